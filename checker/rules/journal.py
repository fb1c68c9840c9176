"""The journal: double entry, bounds, currencies, and a history that nobody has touched."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from checker.facts import Facts
from checker.findings import Finding
from checker.rows import Account, Entry, Guards, Transaction

FROZEN_TABLES = (
    "transactions",
    "entries",
    "transitions",
    "approvals",
    "notes",
    "partner_words",
    "people_disabled",
    "partner_lines",
    "case_words",
    "forgotten_sends",
    "closings",
)
"""What is written there is never changed nor deleted; corrections are new rows."""

DEBIT_KINDS = frozenset({"asset", "expense"})
"""Kinds of account that grow by debits."""


def sums(facts: Facts) -> Iterator[Finding]:
    """INV-01: every transaction sums to 0 in each currency."""
    totals: dict[tuple[int, str], int] = defaultdict(int)
    for entry in facts.entries:
        totals[entry.transaction_id, entry.currency] += entry.delta
    for (transaction_id, currency), total in totals.items():
        if total:
            yield Finding(_key(facts, transaction_id), f"{currency} is off by {total}")


def balances(facts: Facts) -> Iterator[Finding]:
    """INV-02: cached balances are the sums of their entries, and each currency sums to 0."""
    by_currency: Counter[str] = Counter()
    for account in facts.accounts:
        by_currency[account.currency] += account.posted or 0
        entries = facts.entries_on.get(account.id, [])
        summed = (sum(e.delta for e in entries), sum(e.held for e in entries), len(entries))
        cached = (account.posted, account.held, account.seq)
        if cached != summed:
            yield Finding(account.path, f"cached {cached}, its entries give {summed}")
    for account_id in facts.entries_on.keys() - facts.account.keys():
        yield Finding(f"account {account_id}", "has entries and is not there")
    for currency, total in by_currency.items():
        if total:
            yield Finding(currency, f"all accounts sum to {total}")


def bounds(facts: Facts) -> Iterator[Finding]:
    """INV-03: posted less held was never below the floor, nor posted above the ceiling.

    Replayed from the entries' own movements, not from the balances that they state. A soft bound
    forbids new holds only: what a bank has booked is a fact.
    """
    for account in facts.accounts:
        posted = held = 0
        for entry in facts.entries_on.get(account.id, []):
            posted, held = posted + entry.delta, held + entry.held
            if _is_beyond(account, entry, posted, held):
                yield Finding(account.path, f"after entry {entry.seq}: {posted} less {held} held")


def _is_beyond(account: Account, entry: Entry, posted: int, held: int) -> bool:
    own = (account.side or 0) * posted
    low = account.floor is not None and own - held < account.floor
    if account.soft:
        return low and entry.held > 0
    return low or (account.ceiling is not None and own > account.ceiling)


def currencies(facts: Facts) -> Iterator[Finding]:
    """INV-04: an account, its balance, its entries and its payments have one currency."""
    for account in facts.accounts:
        side = -1 if account.kind in DEBIT_KINDS else 1
        if (account.balance_currency, account.side) != (account.currency, side):
            yield Finding(account.path, "its balance has another currency or side")
        others = {e.currency for e in facts.entries_on.get(account.id, [])} - {account.currency}
        if others:
            yield Finding(account.path, f"holds entries in {', '.join(sorted(others))}")
    for payment in facts.payments:
        if payment.account.rpartition("/")[2] != payment.currency:
            yield Finding(payment.id, f"{payment.currency} from {payment.account}")
    for transaction_id, entries in facts.entries_of.items():
        found = {entry.currency for entry in entries}
        if len(found) > 1:
            yield Finding(_key(facts, transaction_id), f"spans {', '.join(sorted(found))}")


def unchanged(facts: Facts) -> Iterator[Finding]:
    """INV-05: history stays as it was written, and nobody has the means to change it."""
    for transaction in facts.transactions:
        yield from _digest_fits(facts, transaction)
        original = transaction.reverses
        if original is not None and original not in facts.transaction:
            yield Finding(transaction.key, "corrects a transaction that is not there")
    for entry in facts.entries:
        owner = facts.transaction.get(entry.transaction_id)
        if owner is None or owner.outcome != "booked":
            yield Finding(f"entry {entry.account_id}/{entry.seq}", "belongs to nothing booked")
    if facts.guards is not None:
        yield from _guarded(facts.guards)


def _guarded(guards: Guards) -> Iterator[Finding]:
    for table in FROZEN_TABLES:
        if table not in guards.frozen:
            yield Finding(table, "rows can be changed: its triggers are gone or off")
    for table, role in guards.writable:
        if table in FROZEN_TABLES:
            yield Finding(table, f"{role} may write it past the functions")
    for owner in guards.owners_with_login:
        yield Finding(owner, "owns tables of the books and can log in")


def _digest_fits(facts: Facts, transaction: Transaction) -> Iterator[Finding]:
    if transaction.outcome != "booked":
        return  # a refusal has no entries to compare with
    if hashlib.sha256(_digested(facts, transaction)).digest() != transaction.digest:
        yield Finding(transaction.key, "its entries are not those that were digested")


def _digested(facts: Facts, transaction: Transaction) -> bytes:
    """Return the canonical bytes of what a transaction moved.

    The content, as the books describe it: format version, kind, payment, attempt, sorted legs
    with their holds; for an opening, the content hash of the payment.
    """
    life = facts.life_of.get(transaction.payment_id or "", [])
    payment = facts.payment.get(transaction.payment_id or "")
    opens = bool(life) and life[0].transaction_id == transaction.id and payment is not None
    legs = sorted(_leg(facts, entry) for entry in facts.entries_of.get(transaction.id, []))
    content = {
        "format": 1,
        "kind": transaction.kind,
        "payment": transaction.payment_id,
        "opens": payment.content_hash if opens and payment else None,
        "attempt": transaction.attempt_key,
        "legs": legs,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _leg(facts: Facts, entry: Entry) -> tuple[str, str, int, int, str, bool]:
    account = facts.account.get(entry.account_id)
    hold = facts.transaction.get(entry.hold_id) if entry.hold_id is not None else None
    return (
        account.path if account else "",
        entry.currency,
        entry.delta,
        entry.held,
        hold.key if hold else "",
        entry.held < 0 and entry.delta == 0,
    )


def rebuilt(facts: Facts) -> Iterator[Finding]:
    """INV-25: balances, holds and states rebuilt from entries and transitions are the same."""
    for account_id, entries in facts.entries_on.items():
        posted = held = 0
        for place, entry in enumerate(entries, start=1):
            posted, held = posted + entry.delta, held + entry.held
            stated = (entry.seq, entry.posted_after, entry.held_after)
            if stated != (place, posted, held):
                path = facts.account[account_id].path if account_id in facts.account else "?"
                yield Finding(path, f"entry {entry.seq} states {stated}, not {posted, held}")
                break
        account = facts.account.get(account_id)
        if account is not None and (account.posted, account.held) != (posted, held):
            yield Finding(account.path, f"rebuilt to {posted} and {held} held")
    yield from _rebuilt_holds(facts)
    for payment in facts.payments:
        life = facts.life_of.get(payment.id, [])
        end = (life[-1].after, life[-1].seq) if life else (None, 0)
        if (payment.state, payment.seq) != end:
            yield Finding(payment.id, f"is {payment.state}, its transitions end at {end[0]}")


def _rebuilt_holds(facts: Facts) -> Iterator[Finding]:
    made: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for entry in facts.entries:
        amounts = made[entry.hold_id or entry.transaction_id, entry.account_id]
        if entry.hold_id is None:
            amounts[0] += max(entry.held, 0)
        elif entry.held == 0:
            amounts[3] += entry.delta
        else:
            amounts[1 if entry.delta else 2] -= entry.held
    for hold in facts.holds:
        rebuilt_to = tuple(made.pop((hold.transaction_id, hold.account_id), (0, 0, 0, 0)))
        if (hold.amount, hold.captured, hold.released, hold.returned) != rebuilt_to:
            yield Finding(_key(facts, hold.transaction_id), f"hold rebuilt to {rebuilt_to}")
    for (transaction_id, _), amounts in made.items():
        if any(amounts):
            yield Finding(_key(facts, transaction_id), "made or spent a hold that is not there")


def _key(facts: Facts, transaction_id: int) -> str:
    found = facts.transaction.get(transaction_id)
    return found.key if found else f"transaction {transaction_id}"
