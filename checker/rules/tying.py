"""Tying: every movement of a bank is one of our nostro account, and its balance is the bank's.

The sources are not read at one moment: what is young may be on one side only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from checker.facts import Facts, payment_of
from checker.findings import Finding
from checker.rows import BankBook


class Movement(NamedTuple):
    """A movement on our account with a partner, in a form that both sides share."""

    partner: str
    currency: str
    amount_minor: int
    """As the bank sees it: credits to us positive."""
    subject: str
    """The payment, or what a credit names."""


Dated = tuple[datetime, Movement]


class OneSided(NamedTuple):
    """What one side has and the other has not."""

    late: Counter[Movement]
    young: Counter[Movement]
    """Not older than the grace: still on its way."""


def movements(facts: Facts) -> Iterator[Finding]:
    """INV-09: each movement of a bank is one of our nostro account, and the other way round."""
    theirs, ours = _one_sided(facts)
    for movement, count in theirs.late.items():
        yield Finding(_told(movement), f"{count} in the bank's book and not in ours")
    for movement, count in ours.late.items():
        yield Finding(_told(movement), f"{count} in our books and not in the bank's")


def _told(movement: Movement) -> str:
    return f"{movement.subject} {movement.partner} {movement.amount_minor} {movement.currency}"


def _one_sided(facts: Facts) -> tuple[OneSided, OneSided]:
    theirs, ours = list(_theirs(facts)), list(_ours(facts))
    before = facts.settled_before
    return _beyond(theirs, ours, before), _beyond(ours, theirs, before)


def _beyond(one: Iterable[Dated], other: Iterable[Dated], before: datetime) -> OneSided:
    """Return what one side has beyond the other; of equal movements the oldest are matched."""
    left = Counter(movement for _, movement in other)
    found = OneSided(Counter(), Counter())
    for at, movement in sorted(one):
        if left[movement]:
            left[movement] -= 1
        elif at <= before:
            found.late[movement] += 1
        else:
            found.young[movement] += 1
    return found


def _theirs(facts: Facts) -> Iterator[Dated]:
    for book in facts.banks or ():
        for line in book.lines:
            subject = payment_of(line.reference)
            known = subject if subject in facts.payment else None
            movement = Movement(
                book.partner, line.currency, line.amount_minor, known or line.reference
            )
            yield line.booked_at, movement


def _ours(facts: Facts) -> Iterator[Dated]:
    partners = {book.partner for book in facts.banks or ()}
    for account in facts.accounts:
        head, _, rest = account.path.partition("/")
        partner = rest.rpartition("/")[0]
        if head != "nostro" or partner not in partners:
            continue
        for entry in facts.entries_on.get(account.id, ()):
            if entry.delta:
                booked = facts.transaction.get(entry.transaction_id)
                at = booked.booked_at if booked else datetime.min.replace(tzinfo=UTC)
                subject = _subject(facts, partner, entry.transaction_id)
                yield at, Movement(partner, account.currency, -entry.delta, subject)


def _subject(facts: Facts, partner: str, transaction_id: int) -> str:
    """Return what one of our movements is about: its payment, or what its event names."""
    transaction = facts.transaction.get(transaction_id)
    if transaction is None:
        return f"transaction {transaction_id}"
    if transaction.payment_id in facts.payment:
        return transaction.payment_id or ""
    event_id = (transaction.evidence_id or "").removeprefix("event/")
    event = facts.event.get((partner, event_id))
    return event.reference or transaction.key if event else transaction.key


def tied_out(facts: Facts) -> Iterator[Finding]:
    """INV-27: a bank's book adds up, and our nostro account is its mirror."""
    on_its_way = _on_its_way(facts)
    for book in facts.banks or ():
        running: dict[str, int] = defaultdict(int)
        for line in sorted(book.lines, key=lambda line: line.seq):
            running[line.currency] += line.amount_minor
            if line.balance_minor != running[line.currency]:
                yield Finding(f"{book.partner} line {line.seq}", "its balance does not add up")
        mirrors = _mirrors(facts, book)
        for currency in mirrors.keys() | book.balances.keys():
            theirs, ours = book.balances.get(currency, 0), mirrors.get(currency, 0)
            if theirs != running[currency]:
                yield Finding(f"{book.partner} {currency}", f"{theirs} is not opening and lines")
            if theirs != ours + (young := on_its_way[book.partner, currency]):
                detail = f"{ours} and {young} on its way, the bank has {theirs}"
                yield Finding(f"nostro/{book.partner}/{currency}", detail)


def _mirrors(facts: Facts, book: BankBook) -> dict[str, int]:
    return {
        account.currency: -(account.posted or 0)
        for account in facts.accounts
        if account.path == f"nostro/{book.partner}/{account.currency}"
    }


def _on_its_way(facts: Facts) -> Counter[tuple[str, str]]:
    """Sum up exactly what is too young to be on both sides: the bank's, less what only we have."""
    theirs, ours = _one_sided(facts)
    found: Counter[tuple[str, str]] = Counter()
    for side, sign in ((theirs.young, 1), (ours.young, -1)):
        for movement, count in side.items():
            found[movement.partner, movement.currency] += sign * count * movement.amount_minor
    return found
