"""A serial model of the books: what a batch of changes must come to, one change at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.changes import Change, Leg, Refusal

State = str | None


@dataclass
class ModelAccount:
    """An account as plain numbers; bounds as in the database."""

    side: int
    floor: int | None = None
    ceiling: int | None = None
    soft: bool = False
    closed: bool = False
    posted: int = 0
    held: int = 0
    seq: int = 0


@dataclass
class ModelHold:
    """A hold with what is still open and what may still come back."""

    open: int
    captured: int = 0
    returned: int = 0


@dataclass
class Answer:
    """What the model says to a change."""

    fate: str
    refusal: Refusal | None
    state: State


@dataclass
class Model:
    """Accounts, holds, payments and keys; `write` is the whole rule, without any set."""

    accounts: dict[str, ModelAccount]
    holds: dict[tuple[str, str], ModelHold] = field(default_factory=dict)
    payments: dict[str, tuple[str, State]] = field(default_factory=dict)
    keys: dict[str, tuple[bytes, Refusal | None]] = field(default_factory=dict)

    def write(self, change: Change) -> Answer:
        """Apply one change as if nothing else happened meanwhile."""
        known = self.keys.get(change.key)
        if known is not None:
            fate = "repeated" if known[0] == change.digest() else "conflict"
            return Answer(fate, known[1], self._state(change))
        if self._is_other_payment(change):
            return Answer("conflict", None, self._state(change))
        if change.moves and self._state(change) != change.moves[0].before:
            return Answer("stale", None, self._state(change))
        refusal = self._refusal(change)
        self.keys[change.key] = (change.digest(), refusal)
        self._move(change, refusal)
        if refusal is None:
            for leg in change.legs:
                self._book(change.key, leg)
        return Answer("written", refusal, self._state(change))

    def _state(self, change: Change) -> State:
        return self.payments.get(change.payment_id or "", ("", None))[1]

    def _is_other_payment(self, change: Change) -> bool:
        there = self.payments.get(change.payment_id or "")
        return (
            change.opens is not None and there is not None and there[0] != change.opens.content_hash
        )

    def _refusal(self, change: Change) -> Refusal | None:
        if any(self._overspends(change, leg) for leg in change.legs if leg.hold):
            return Refusal.HOLD_SPENT
        paths = {leg.account for leg in change.legs}
        if any(self.accounts[path].closed for path in paths):
            return Refusal.ACCOUNT_CLOSED
        if any(self._passes_ceiling(change, path) for path in paths):
            return Refusal.CEILING
        if any(self._passes_floor(change, path) for path in paths):
            return Refusal.FUNDS
        return None

    def _overspends(self, change: Change, leg: Leg) -> bool:
        hold = self.holds.get((leg.hold or "", leg.account))
        if hold is None:
            return True
        same = [other for other in change.legs if other.hold == leg.hold]
        back = sum(other.delta for other in same if other.held == 0)
        return -sum(other.held for other in same) > hold.open or (
            back > hold.captured - hold.returned
        )

    def _sums(self, change: Change, path: str) -> tuple[int, int]:
        legs = [leg for leg in change.legs if leg.account == path]
        side = self.accounts[path].side
        return side * sum(leg.delta for leg in legs), sum(leg.held for leg in legs)

    def _passes_ceiling(self, change: Change, path: str) -> bool:
        account, (moved, _) = self.accounts[path], self._sums(change, path)
        if account.soft or account.ceiling is None or moved <= 0:
            return False
        return account.side * account.posted + moved > account.ceiling

    def _passes_floor(self, change: Change, path: str) -> bool:
        account, (moved, held) = self.accounts[path], self._sums(change, path)
        new_hold = any(leg.held > 0 for leg in change.legs if leg.account == path)
        if account.floor is None or moved - held >= 0 or (account.soft and not new_hold):
            return False
        return account.side * account.posted - account.held + moved - held < account.floor

    def _move(self, change: Change, refusal: Refusal | None) -> None:
        if change.payment_id is None:
            return
        content = change.opens.content_hash if change.opens else None
        content = content or self.payments[change.payment_id][0]
        state = self._state(change)
        if refusal is None and change.moves:
            state = change.moves[-1].after
        elif refusal is not None:
            entered = change.moves[0].after if change.opens else state
            state = change.if_refused or entered
        self.payments[change.payment_id] = (content, state)

    def _book(self, key: str, leg: Leg) -> None:
        account = self.accounts[leg.account]
        account.posted += leg.delta
        account.held += leg.held
        account.seq += 1
        if leg.held > 0:
            self.holds[(key, leg.account)] = ModelHold(leg.held)
        elif leg.hold is not None:
            hold = self.holds[(leg.hold, leg.account)]
            hold.open += leg.held
            hold.returned += leg.delta if leg.held == 0 else 0
            hold.captured -= 0 if leg.releases else leg.held
