"""Facts: everything that was read, indexed; the rules judge these and ask nobody else.

The sources are the books (Postgres), each bank's own book (SQLite), what clients were told (their
logs) and Temporal.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar

from checker.rows import (
    Account,
    Approval,
    Archived,
    Attempt,
    BankBook,
    BankLine,
    BankPayout,
    Case,
    CaseWord,
    Disabled,
    Entry,
    Event,
    Guards,
    Hold,
    Note,
    Outgoing,
    Pause,
    Payment,
    Ruling,
    Runs,
    Told,
    Transaction,
    Transition,
    Word,
)

FINAL = frozenset({"settled", "returned", "refused", "denied", "expired", "cancelled", "failed"})
"""States in which nothing more is to come, but for a return after `settled`."""

_Row = TypeVar("_Row")
_Key = TypeVar("_Key", bound=Hashable)

_ATTEMPT_KEY = re.compile(r"((?:po|tr)_[0-9A-Za-z_]{1,29})-[1-9][0-9]*")


@dataclass(frozen=True)
class Facts:
    """Everything that was read, and the moment for which it counts."""

    now: datetime
    grace: timedelta = timedelta()
    """How young something may be to be still on its way, and not judged by the other side."""
    since: datetime | None = None
    """Judge only payments of which there is news since then, and those that are not final."""
    accounts: Sequence[Account] = ()
    transactions: Sequence[Transaction] = ()
    entries: Sequence[Entry] = ()
    """Of all times, those that are archived included."""
    archived: Sequence[Archived] = ()
    holds: Sequence[Hold] = ()
    payments: Sequence[Payment] = ()
    transitions: Sequence[Transition] = ()
    attempts: Sequence[Attempt] = ()
    words: Sequence[Word] = ()
    events: Sequence[Event] = ()
    approvals: Sequence[Approval] = ()
    disabled: Sequence[Disabled] = ()
    pauses: Sequence[Pause] = ()
    notes: Sequence[Note] = ()
    cases: Sequence[Case] = ()
    case_words: Sequence[CaseWord] = ()
    outbox: Sequence[Outgoing] | None = None
    """None: these books tell nobody, as those of the model."""
    guards: Guards | None = None
    banks: Sequence[BankBook] | None = None
    told: Sequence[Told] | None = None
    runs: Runs | None = None
    rules: Ruling | None = None

    @property
    def settled_before(self) -> datetime:
        """The moment before which both sides must have heard of everything."""
        return self.now - self.grace

    @cached_property
    def account(self) -> dict[int, Account]:
        """Accounts by id."""
        return {account.id: account for account in self.accounts}

    @cached_property
    def account_at(self) -> dict[str, Account]:
        """Accounts by path."""
        return {account.path: account for account in self.accounts}

    @cached_property
    def transaction(self) -> dict[int, Transaction]:
        """Transactions by id."""
        return {row.id: row for row in self.transactions}

    @cached_property
    def transaction_at(self) -> dict[str, Transaction]:
        """Transactions by key."""
        return {row.key: row for row in self.transactions}

    @cached_property
    def payment(self) -> dict[str, Payment]:
        """Payments by id."""
        return {row.id: row for row in self.payments}

    @cached_property
    def attempt(self) -> dict[str, Attempt]:
        """Attempts by key."""
        return {row.key: row for row in self.attempts}

    @cached_property
    def entries_of(self) -> dict[int, list[Entry]]:
        """Entries by transaction."""
        return grouped(self.entries, lambda entry: entry.transaction_id)

    @cached_property
    def entries_on(self) -> dict[int, list[Entry]]:
        """Entries by account, in their order."""
        by_account = grouped(self.entries, lambda entry: entry.account_id)
        for entries in by_account.values():
            entries.sort(key=lambda entry: entry.seq)
        return by_account

    @cached_property
    def life_of(self) -> dict[str, list[Transition]]:
        """Transitions by payment, in their order."""
        lives = grouped(self.transitions, lambda move: move.payment_id)
        for moves in lives.values():
            moves.sort(key=lambda move: move.seq)
        return lives

    @cached_property
    def attempts_of(self) -> dict[str, list[Attempt]]:
        """Attempts by payment, oldest first."""
        found = grouped(self.attempts, lambda attempt: attempt.payment_id)
        for attempts in found.values():
            attempts.sort(key=lambda attempt: attempt.ordinal)
        return found

    @cached_property
    def words_on(self) -> dict[str, list[Word]]:
        """A partner's answers by attempt, oldest first."""
        found = grouped(self.words, lambda word: word.attempt_key)
        for words in found.values():
            words.sort(key=lambda word: word.answered_at)
        return found

    @cached_property
    def events_of(self) -> dict[str, list[Event]]:
        """Events by payment."""
        return grouped((e for e in self.events if e.payment_id), lambda e: e.payment_id or "")

    @cached_property
    def event(self) -> dict[tuple[str, str], Event]:
        """Events by partner and event id."""
        return {(row.partner, row.event_id): row for row in self.events}

    def evidence_of(self, transaction: Transaction) -> Event | None:
        """Return the event by which a partner has brought a transaction about, or None."""
        partner = transaction.actor.removeprefix("partner:")
        event_id = (transaction.evidence_id or "").removeprefix("event/")
        return self.event.get((partner, event_id))

    @cached_property
    def moved_by(self) -> dict[str, list[Transaction]]:
        """Transactions by the partner's movement that they book, whichever event told of it."""
        found: dict[str, list[Transaction]] = defaultdict(list)
        for transaction in self.transactions:
            event = self.evidence_of(transaction)
            if event is not None:
                found[event.movement].append(transaction)
        return found

    @cached_property
    def approvals_of(self) -> dict[str, list[Approval]]:
        """People's words by payment."""
        return grouped(self.approvals, lambda approval: approval.payment_id)

    @cached_property
    def cases_of(self) -> dict[str, list[Case]]:
        """Cases by payment."""
        return grouped((c for c in self.cases if c.payment_id), lambda c: c.payment_id or "")

    @cached_property
    def case(self) -> dict[int, Case]:
        """Cases by number."""
        return {case.id: case for case in self.cases}

    @cached_property
    def cases_by(self) -> dict[int, list[Case]]:
        """Cases by the transaction that has opened them."""
        return grouped(self.cases, lambda case: case.transaction_id)

    @cached_property
    def words_of_case(self) -> dict[int, list[CaseWord]]:
        """What people said of cases, by the case's number."""
        return grouped(self.case_words, lambda word: word.case_id)

    @cached_property
    def bank_payouts_of(self) -> dict[str, list[tuple[BankBook, BankPayout]]]:
        """Payouts in the banks' books by payment, oldest first."""
        found: dict[str, list[tuple[BankBook, BankPayout]]] = defaultdict(list)
        for book in self.banks or ():
            for payout in book.payouts:
                found[payment_of(payout.reference) or ""].append((book, payout))
        return found

    @cached_property
    def debits_of(self) -> dict[str, list[tuple[BankBook, BankLine]]]:
        """Money that a bank's book says has left for a payment."""
        found: dict[str, list[tuple[BankBook, BankLine]]] = defaultdict(list)
        for book in self.banks or ():
            for line in book.lines:
                if line.amount_minor < 0:
                    found[payment_of(line.reference) or ""].append((book, line))
        return found

    def has_open_case(self, payment_id: str) -> bool:
        """Tell whether a person has been called and has not answered yet."""
        return any(case.closed_at is None for case in self.cases_of.get(payment_id, ()))

    @cached_property
    def left_alone(self) -> frozenset[str]:
        """Payments that this check does not report on: final, and with no news since `since`."""
        if self.since is None:
            return frozenset()
        news = {payment_id for at, payment_id in self._dated() if at and at >= self.since}
        final = {payment.id for payment in self.payments if payment.state in FINAL}
        return frozenset(final - news)

    def _dated(self) -> Iterator[tuple[datetime | None, str | None]]:
        """Return everything that any source says of a payment, with its moment."""
        yield from ((move.at, move.payment_id) for move in self.transitions)
        yield from ((row.booked_at, row.payment_id) for row in self.transactions)
        yield from ((event.received_at, event.payment_id) for event in self.events)
        yield from ((word.answered_at, payment_of(word.attempt_key)) for word in self.words)
        yield from ((told.at, told.id) for told in self.told or ())
        for case in self.cases:
            yield from ((at, case.payment_id) for at in (case.opened_at, case.closed_at))
        for book in self.banks or ():
            yield from ((line.booked_at, payment_of(line.reference)) for line in book.lines)
            yield from ((one.created_at, payment_of(one.reference)) for one in book.payouts)


def payment_of(reference: str) -> str | None:
    """Return the payment that a partner's reference stands for (po_…-1), or None."""
    found = _ATTEMPT_KEY.fullmatch(reference)
    return found.group(1) if found else None


def grouped(rows: Iterable[_Row], key: Callable[[_Row], _Key]) -> dict[_Key, list[_Row]]:
    """Return rows in lists by a key."""
    found: dict[_Key, list[_Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def moment(text: object) -> datetime | None:
    """Read a moment out of a payment's frozen terms."""
    return datetime.fromisoformat(text) if isinstance(text, str) else None


_DURATION = re.compile(
    r"(-?)P(?:(\d+)Y)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)


def length(text: object) -> timedelta | None:
    """Read a length of time (ISO 8601, such as PT1M30S, or seconds); None where there is none.

    Raises:
        ValueError: It is something else.
    """
    if text is None:
        return None
    if isinstance(text, int | float):
        return timedelta(seconds=text)
    found = _DURATION.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no length of time")
    sign, years, days, hours, minutes, seconds = found.groups()
    total = timedelta(
        days=int(years or 0) * 365 + int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=float(seconds or 0),
    )
    return -total if sign else total
