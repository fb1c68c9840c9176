"""Money that is not where what was asked, told and decided has put it is found, by its subject.

Each test changes the rows of an honest life in memory, and looks at one rule alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from checker.facts import Facts
from checker.rows import CaseWord, Entry, Event, FeeRule, Ruling
from checker.rules import suspense, wallets

Change = Callable[[Facts], Facts]
ACME, BOLT, OWN = "wallet/acme/EUR", "wallet/bolt/EUR", "own/EUR"


def account(facts: Facts, path: str) -> int:
    return next(one.id for one in facts.accounts if one.path == path)


def of(facts: Facts, key: str) -> int:
    return next(one.id for one in facts.transactions if one.key == key)


def booked(facts: Facts, key: str, *legs: tuple[str, int, int]) -> Facts:
    """Let a transaction have these entries and no others: account, delta, held."""
    made = of(facts, key)
    entries = [entry for entry in facts.entries if entry.transaction_id != made]
    for place, (path, delta, held) in enumerate(legs):
        where = account(facts, path)
        entries.append(Entry(where, 1000 + place, made, "EUR", delta, held, 0, 0, None))
    return replace(facts, entries=entries)


def deposit(facts: Facts) -> str:
    """Return the key of the deposit for acme."""
    return next(
        row.key
        for row in facts.transactions
        if (event := facts.evidence_of(row)) and (event.kind, event.reference) == ("credit", ACME)
    )


def case_posting(facts: Facts) -> str:
    return next(row.key for row in facts.transactions if row.kind.startswith("case_"))


WRONG: dict[str, tuple[str, Change]] = {
    "a transfer went tenfold to another wallet": (
        "tr_plain",
        lambda f: booked(f, "tr_plain/post", (ACME, -100_00, 0), ("wallet/acme/GBP", 100_00, 0)),
    ),
    "a transfer is settled and nothing was booked": (
        "tr_plain",
        lambda f: booked(f, "tr_plain/post"),
    ),
    "a transfer was doubled on one side, by way of a third account": (
        "tr_plain",
        lambda f: booked(f, "tr_plain/post", (ACME, -10_00, 0), (BOLT, 20_00, 0), (OWN, -10_00, 0)),
    ),
    "what was held for a failed payout became a fee": (
        "po_rejected",
        lambda f: booked(
            f, "po_rejected/void/1", (ACME, -12_71, -12_71), ("fees/payout/EUR", 12_71, 0)
        ),
    ),
    "what was held for a failed payout is held yet": (
        "po_rejected",
        lambda f: booked(f, "po_rejected/void/1"),
    ),
    "a fee went to a wallet": (
        "po_plain",
        lambda f: booked(
            f,
            "po_plain/capture/1",
            (ACME, -12_71, -12_71),
            ("transit/out/simulator/EUR", 12_50, 0),
            (BOLT, 21, 0),
        ),
    ),
    "a deposit was credited to another wallet": (
        "simulator/",
        lambda f: booked(
            f, deposit(f), ("nostro/simulator/EUR", -1_000_000_00, 0), (BOLT, 1_000_000_00, 0)
        ),
    ),
    "money was given out for nothing": (
        "po_denied/denied",
        lambda f: replace(
            booked(f, "po_denied/denied", (OWN, -5, 0), (BOLT, 5, 0)),
            transactions=[
                row._replace(payment_id=None) if row.key == "po_denied/denied" else row
                for row in f.transactions
            ],
        ),
    ),
    "a case's money went to another wallet than people had said": (
        "case/",
        lambda f: booked(
            f, case_posting(f), ("suspense/out/simulator/EUR", 12_50, 0), (BOLT, -12_50, 0)
        ),
    ),
    "a fee is another than the rules say": (
        "po_plain",
        lambda f: replace(f, rules=Ruling([], [FeeRule("payout", "EUR", 20, 0)])),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_money_that_is_elsewhere_than_was_asked_is_found(facts: Facts, name: str) -> None:
    subject, change = WRONG[name]
    assert not list(wallets.as_asked(facts))
    assert any(found.where.startswith(subject) for found in wallets.as_asked(change(facts)))


def returned(facts: Facts, amount_minor: int, kept_minor: int, line: str, state: str) -> Facts:
    """Let the return of po_returned be told as another."""
    events = [
        event._replace(amount_minor=amount_minor, fee_minor=kept_minor, line_ref=line)
        if event.kind == "returned"
        else event
        for event in facts.events
    ]
    payments = [p._replace(state=state) if p.id == "po_returned" else p for p in facts.payments]
    return replace(facts, events=events, payments=payments)


def test_what_came_back_is_all_of_it_or_what_each_return_has_told_once(facts: Facts) -> None:
    event = next(event for event in facts.events if event.kind == "returned")
    covered = (event.amount_minor or 0) + (event.fee_minor or 0)
    assert covered == 12_50
    in_parts = returned(facts, covered, 0, "line_1", "settled")
    assert not list(wallets.as_asked(in_parts))
    again = in_parts.events[-1]._replace(
        **{**event._asdict(), "event_id": "again", "line_ref": "line_1"}
    )
    assert not list(wallets.as_asked(replace(in_parts, events=[*in_parts.events, again])))
    for wrong in (
        returned(facts, covered - 5, 0, "line_1", "settled"),
        replace(in_parts, events=[*in_parts.events, again._replace(line_ref="line_2")]),
    ):
        assert [found.where for found in wallets.as_asked(wrong)] == ["po_returned"]


def test_a_credit_without_a_wallet_of_ours_is_no_customers_and_one_in_suspense_is_a_cases(
    facts: Facts,
) -> None:
    def named(reference: str, currency: str = "EUR") -> list[Event]:
        return [
            event._replace(reference=reference, currency=currency)
            if (event.kind, event.reference) == ("credit", ACME)
            else event
            for event in facts.events
        ]

    legs = [("nostro/simulator/EUR", -7, 0), ("suspense/in/simulator/EUR", 7, 0)]
    nobodys = booked(facts, deposit(facts), *legs)
    for reference, currency in (("wallet/nobody/EUR", "EUR"), ("own/EUR", "EUR"), (ACME, "GBP")):
        assert not list(wallets.as_asked(replace(nobodys, events=named(reference, currency))))
    assert list(wallets.as_asked(nobodys)), "it names acme, and no person was called"
    seven = [e._replace(amount_minor=7) if e.reference == ACME else e for e in facts.events]
    case = facts.cases[0]._replace(
        id=999, payment_id=None, kind="unowned_credit", transaction_id=of(facts, deposit(facts))
    )
    waits = replace(nobodys, events=seven, cases=[*facts.cases, case])
    assert not list(wallets.as_asked(waits))


def said(facts: Facts, *words: tuple[str, str]) -> Facts:
    """Let these people have said where the case's money goes, and nobody else."""
    case = suspense.case_of(facts, facts.transaction[of(facts, case_posting(facts))])
    assert case is not None
    before = facts.case_words[-1].at
    return replace(
        facts, case_words=[CaseWord(case.id, who, "resolve", to, "", before) for who, to in words]
    )


def after_it_moved(facts: Facts) -> Facts:
    words = [word._replace(at=facts.now + timedelta(hours=1)) for word in facts.case_words]
    return replace(facts, case_words=words)


def renamed(facts: Facts, key: str) -> Facts:
    rows = [
        row._replace(key=key) if row.key == case_posting(facts) else row
        for row in facts.transactions
    ]
    return replace(facts, transactions=rows)


ALONE: dict[str, Change] = {
    "one person": lambda f: said(f, ("ana", ACME)),
    "two spellings of one": lambda f: said(f, ("ana", ACME), (" Ana", ACME)),
    "the payment's creator": lambda f: said(f, ("ana", ACME), ("MAKER", ACME)),
    "two who say otherwise": lambda f: said(f, ("ana", ACME), ("ben", BOLT)),
    "two who said it afterwards": after_it_moved,
    "nobody, and of no case": lambda f: renamed(f, "elsewhere"),
    "nobody, and of a case that is not there": lambda f: renamed(f, "case/999/1"),
    "two, and another amount": lambda f: booked(
        f, case_posting(f), ("suspense/out/simulator/EUR", 12_49, 0), (ACME, -12_49, 0)
    ),
}


@pytest.mark.parametrize("who", ALONE)
def test_inv20_what_leaves_suspense_goes_where_two_people_have_said(facts: Facts, who: str) -> None:
    assert not list(suspense.emptied(facts))
    assert not list(suspense.emptied(said(facts, ("ana", ACME), ("ben", ACME))))
    assert list(suspense.emptied(ALONE[who](facts)))
