"""What is young, and what is old and has news, is judged: neither grace nor `--since` hides money.

Facts made by hand: a bank's book with our nostro account, or a payment that has long ended.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from checker.facts import Facts
from checker.rows import (
    Account,
    BankBook,
    BankLine,
    BankPayout,
    Case,
    Entry,
    Event,
    Payment,
    Told,
    Transaction,
    Transition,
    Word,
)
from checker.rules import tying

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD, YOUNG = NOON - timedelta(hours=1), NOON - timedelta(seconds=5)
NOSTRO = Account(
    *(1, "nostro/bank/EUR", "asset", "EUR", None, "EUR", -1, 0, None, True, None, 0, 0),
)

Moved = tuple[str, int, datetime]


def mirrored(theirs: list[Moved], ours: list[Moved]) -> Facts:
    """Return a bank's book and our account of it: what is moved by whom, how much and when."""
    lines, balance = [], 0
    for seq, (reference, amount, at) in enumerate(theirs, start=1):
        balance += amount
        lines.append(BankLine(seq, at, date(2026, 1, 1), amount, "EUR", balance, reference, ""))
    posted = -sum(amount for _, amount, _ in ours)
    book = BankBook("bank", [], lines, {"EUR": balance}, {}, {})
    return Facts(
        now=NOON,
        grace=timedelta(seconds=60),
        accounts=[NOSTRO._replace(posted=posted)],
        transactions=[
            Transaction(
                *(n, name, b"", "deposit", "booked", None, None, None, None),
                *(date(2026, 1, 1), at, "partner:bank", None, n),
            )
            for n, (name, _, at) in enumerate(ours)
        ],
        entries=[
            Entry(1, n, n, "EUR", -amount, 0, 0, 0, None) for n, (_, amount, _) in enumerate(ours)
        ],
        banks=[book],
    )


FIRST = ("first", 100, OLD)
ON_ITS_WAY = ("second", 40, YOUNG)

TIED = {
    "nothing is on its way": ([FIRST], [FIRST]),
    "a line is on its way": ([FIRST, ON_ITS_WAY], [FIRST]),
    "a line came after the bank's book was read": ([FIRST], [FIRST, ON_ITS_WAY]),
    "the second of two alike is on its way": ([FIRST, ("first", 100, YOUNG)], [FIRST]),
}
LOOSE = {
    "a cent is missing while a line is on its way": (
        [FIRST, ON_ITS_WAY],
        [("first", 99, OLD)],
    ),
    "an old line is missing while another one is on its way": (
        [FIRST, ("lost", -7, OLD), ON_ITS_WAY],
        [FIRST],
    ),
    "an old movement of ours is not the bank's while a line is on its way": (
        [FIRST, ON_ITS_WAY],
        [FIRST, ("made up", 40, OLD)],
    ),
}


@pytest.mark.parametrize("name", TIED)
def test_inv27_what_is_on_its_way_is_taken_into_account(name: str) -> None:
    facts = mirrored(*TIED[name])
    assert not list(tying.tied_out(facts))
    assert not list(tying.movements(facts))


@pytest.mark.parametrize("name", LOOSE)
def test_inv27_what_is_on_its_way_hides_nothing_else_of_its_currency(name: str) -> None:
    facts = mirrored(*LOOSE[name])
    assert list(tying.tied_out(facts))
    assert list(tying.movements(facts))


SINCE = NOON
LATER = NOON + timedelta(seconds=1)
LINE = BankLine(1, OLD, date(2026, 1, 1), -5, "EUR", -5, "po_a-1", "payout")
BOOK = BankBook("bank", [], [], {}, {}, {})
EVENT = Event(
    *(1, "bank", "evt_1", "paid", "po_a-1", 5, "EUR", "", "po_a", OLD, OLD, "", None, None, None),
)
PAYOUT = BankPayout(1, "po_a-1", 5, "EUR", {}, "paid", OLD)
CASE = Case("po_a", 1, "paid_twice", "", OLD, None, None, None)
TOLD = Told("log:1", OLD, "status", "po_a", "payout", "answered", {}, {})
POSTING = Transaction(
    *(1, "po_a/x", b"", "x", "booked", "po_a", None, None, None, date(2026, 1, 1), OLD, "a"),
    *(None, 1),
)


def long_ended(**rows: Any) -> Facts:
    payment = Payment(
        *("po_a", "payout", "main", "wallet/a/EUR", "EUR", 5, 0, "bank", "", {}, {}, "m", OLD),
        *("settled", 1),
    )
    move = Transition("po_a", 1, "payout", None, "settled", OLD, "a", None, None, 1, 1)
    whole = Facts(now=NOON, since=SINCE, payments=[payment], transitions=[move])
    return replace(whole, **rows)


NEWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # What was there before, and the same with something that has come since.
    "a line at the bank": (
        {"banks": [replace(BOOK, lines=[LINE])]},
        {"banks": [replace(BOOK, lines=[LINE._replace(booked_at=LATER)])]},
    ),
    "a payout at the bank": (
        {"banks": [replace(BOOK, payouts=[PAYOUT])]},
        {"banks": [replace(BOOK, payouts=[PAYOUT._replace(created_at=LATER)])]},
    ),
    "an event": ({"events": [EVENT]}, {"events": [EVENT._replace(received_at=LATER)]}),
    "a case": ({"cases": [CASE]}, {"cases": [CASE._replace(opened_at=LATER)]}),
    "a closed case": ({"cases": [CASE]}, {"cases": [CASE._replace(closed_at=LATER)]}),
    "what a client was told": ({"told": [TOLD]}, {"told": [TOLD._replace(at=LATER)]}),
    "a posting": (
        {"transactions": [POSTING]},
        {"transactions": [POSTING._replace(booked_at=LATER)]},
    ),
    "a partner's answer": (
        {"words": [Word("po_a-1", "find", "paid", None, "", OLD)]},
        {"words": [Word("po_a-1", "find", "paid", None, "", LATER)]},
    ),
}


@pytest.mark.parametrize("what", NEWS)
def test_since_judges_what_has_long_ended_if_there_is_news_of_it(what: str) -> None:
    before, since = NEWS[what]
    assert long_ended(**before).left_alone == {"po_a"}
    assert not long_ended(**since).left_alone
