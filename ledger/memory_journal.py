"""The journal in memory: accounts, holds and entries, judged one change at a time.

The serial meaning of the rules that `write_changes_v1` applies to whole batches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.books import AccountToOpen
from ledger.changes import Change, Leg, Refusal


class MemoryEntry(NamedTuple):
    """What one transaction did to one account; amounts as in the database."""

    account: str
    seq: int
    transaction_id: int
    delta: int
    held: int
    posted_after: int
    held_after: int
    hold_id: int | None


@dataclass
class MemoryAccount:
    """An account with its balance; `posted` has credits positive."""

    id: int
    opened: AccountToOpen
    side: int
    closed: bool = False
    posted: int = 0
    held: int = 0
    entries: list[MemoryEntry] = field(default_factory=list)

    def room_below(self) -> int | None:
        """Return how much may still be taken; None: without end."""
        floor = self.opened.floor_minor
        return None if floor is None else self.side * self.posted - self.held - floor

    def room_above(self) -> int | None:
        """Return how much may still come in; None: without end."""
        ceiling = self.opened.ceiling_minor
        return None if ceiling is None else ceiling - self.side * self.posted


@dataclass
class MemoryHold:
    """Money that was set aside on one account by one transaction."""

    transaction_id: int
    account: str
    amount: int
    captured: int = 0
    released: int = 0
    returned: int = 0

    @property
    def open(self) -> int:
        """What is still set aside."""
        return self.amount - self.captured - self.released


@dataclass
class Journal:
    """Accounts by path, holds by the key that made them and their account."""

    accounts: dict[str, MemoryAccount] = field(default_factory=dict)
    holds: dict[tuple[str, str], MemoryHold] = field(default_factory=dict)

    def objection(self, change: Change) -> str | None:
        """Return what makes a change's legs unsound in themselves, whatever is in the books."""
        for leg in change.legs:
            account = self.accounts.get(leg.account)
            if account is None:
                return f"there is no account {leg.account}"
            if account.opened.currency != leg.currency:
                return f"account {leg.account} holds {account.opened.currency}"
            if leg.account.startswith("nostro/") and leg.delta and not change.evidence_id:
                return f"account {leg.account} moves only with an evidence_id"
            if _is_odd(leg):
                return f"its leg on {leg.account} contradicts itself"
        return None

    def refusal(self, change: Change, was_refused: Callable[[str], bool]) -> Refusal | None:
        """Return why the books do not take a change, or None.

        Args:
            change: What is to be booked.
            was_refused: Tells whether the change of a key was answered with a refusal.

        Raises:
            ValueError: It names a hold that was never asked for.
        """
        for hold_key, account in {(g.hold, g.account) for g in change.legs if g.hold}:
            if was_refused(hold_key):
                return Refusal.HOLD_SPENT
            hold = self.holds.get((hold_key, account))
            if hold is None:
                raise ValueError(f"{change.key}: there is no hold {hold_key} on this account")
            if _overspends(change, hold_key, hold):
                return Refusal.HOLD_SPENT
        reasons = [self._limit(path, legs) for path, legs in _by_account(change.legs).items()]
        for reason in (Refusal.ACCOUNT_CLOSED, Refusal.CEILING, Refusal.FUNDS):
            if reason in reasons:
                return reason
        return None

    def _limit(self, path: str, legs: list[Leg]) -> Refusal | None:
        account = self.accounts[path]
        moved = account.side * sum(leg.delta for leg in legs)
        freed = moved - sum(leg.held for leg in legs)
        below, above = account.room_below(), account.room_above()
        is_bound = not account.opened.soft
        if account.closed:
            return Refusal.ACCOUNT_CLOSED
        if is_bound and above is not None and moved > max(above, 0):
            return Refusal.CEILING
        asks = is_bound or any(leg.held > 0 for leg in legs)
        return Refusal.FUNDS if asks and below is not None and below + freed < 0 > freed else None

    def book(self, transaction_id: int, change: Change) -> None:
        """Write entries and holds; within an account, what brings in comes first."""
        for path, legs in _by_account(change.legs).items():
            account = self.accounts[path]
            for leg in sorted(legs, key=lambda leg: leg.held - account.side * leg.delta):
                hold = self.holds[leg.hold, path] if leg.hold is not None else None
                account.posted += leg.delta
                account.held += leg.held
                account.entries.append(
                    MemoryEntry(
                        path,
                        len(account.entries) + 1,
                        transaction_id,
                        leg.delta,
                        leg.held,
                        account.posted,
                        account.held,
                        hold.transaction_id if hold else None,
                    )
                )
                self._hold(transaction_id, change.key, leg, hold)

    def _hold(self, transaction_id: int, key: str, leg: Leg, spent: MemoryHold | None) -> None:
        if spent is None and leg.held > 0:
            made = self.holds.setdefault(
                (key, leg.account), MemoryHold(transaction_id, leg.account, 0)
            )
            made.amount += leg.held
        elif spent is not None and leg.held == 0:
            spent.returned += leg.delta
        elif spent is not None and leg.releases:
            spent.released -= leg.held
        elif spent is not None:
            spent.captured -= leg.held


def _is_odd(leg: Leg) -> bool:
    if leg.held < 0:
        return leg.hold is None or (not leg.releases and leg.delta != leg.held)
    if leg.hold is not None:
        return leg.held > 0 or leg.delta <= 0
    return leg.held == 0 and leg.delta == 0


def _overspends(change: Change, hold_key: str | None, hold: MemoryHold) -> bool:
    legs = [x for x in change.legs if x.hold == hold_key and x.account == hold.account]
    taken = -sum(leg.held for leg in legs)
    back = sum(leg.delta for leg in legs if leg.held == 0)
    return taken > hold.open or back > hold.captured - hold.returned


def _by_account(legs: Iterable[Leg]) -> dict[str, list[Leg]]:
    found: dict[str, list[Leg]] = defaultdict(list)
    for leg in legs:
        found[leg.account].append(leg)
    return found
