"""Suspense: money without an owner leaves it for one case, as two people have said."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

from checker.facts import Facts
from checker.findings import Finding
from checker.rows import Case, Entry, Transaction
from checker.rules.lives import DECIDERS_MIN
from checker.rules.naming import person

_POSTING = re.compile(r"case/([0-9]+)/[0-9]+")


def emptied(facts: Facts) -> Iterator[Finding]:
    """INV-20: what leaves suspense is what one case has put there, and goes where two have said."""
    seen = set[int]()
    for transaction, entry in _taken(facts):
        case = case_of(facts, transaction)
        if case is None:
            yield Finding(transaction.key, f"takes {entry.delta} out of suspense for no case")
            continue
        if case.id in seen:
            yield Finding(transaction.key, "takes its case's money a second time")
        seen.add(case.id)
        if put_by(facts, case) != {entry.account_id: -entry.delta}:
            yield Finding(transaction.key, "takes other money than its case has put there")
        if not targets(facts, transaction) <= decided(facts, case, transaction.booked_at):
            yield Finding(transaction.key, f"goes where fewer than {DECIDERS_MIN} people have said")


def _taken(facts: Facts) -> Iterator[tuple[Transaction, Entry]]:
    """Return what makes suspense smaller: credits that go, and debits that are made up for."""
    for account in facts.accounts:
        direction = {"suspense/in": -1, "suspense/out": 1}.get(account.path.rsplit("/", 2)[0], 0)
        for entry in facts.entries_on.get(account.id, ()) if direction else ():
            transaction = facts.transaction.get(entry.transaction_id)
            if transaction is not None and entry.delta * direction > 0:
                yield transaction, entry


def case_of(facts: Facts, transaction: Transaction) -> Case | None:
    """Return the case that a posting resolves, or None: it is of no case."""
    found = _POSTING.fullmatch(transaction.key)
    return facts.case.get(int(found.group(1))) if found else None


def put_by(facts: Facts, case: Case) -> dict[int, int]:
    """Return what a case has put into suspense, by account."""
    found: Counter[int] = Counter()
    for entry in facts.entries_of.get(case.transaction_id, ()):
        account = facts.account.get(entry.account_id)
        if account is not None and account.path.startswith("suspense/"):
            found[entry.account_id] += entry.delta
    return dict(found)


def targets(facts: Facts, transaction: Transaction) -> set[str]:
    """Return the accounts outside of suspense that a posting moves."""
    paths = {
        facts.account[entry.account_id].path
        for entry in facts.entries_of.get(transaction.id, ())
        if entry.account_id in facts.account
    }
    return {path for path in paths if not path.startswith("suspense/")}


def decided(facts: Facts, case: Case, until: datetime) -> set[str]:
    """Return where a case's money may go: two people, not its payment's creator, have said so."""
    payment = facts.payment.get(case.payment_id or "")
    creator = person(payment.created_by) if payment else None
    people: dict[str, set[str]] = defaultdict(set)
    for word in facts.words_of_case.get(case.id, ()):
        if word.verb == "resolve" and word.at <= until and person(word.principal) != creator:
            people[word.decision].add(person(word.principal))
    return {decision for decision, said in people.items() if len(said) >= DECIDERS_MIN}
