"""Steps: changes as payments make them, short to write in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from itertools import pairwise
from typing import Any

from bursar.payments import PaymentKind, PaymentState
from ledger import postings
from ledger.changes import AttemptOpened, Change, Leg, Move, Registration
from ledger.reading import Reader

ANA, BEN = "wallet/ana/EUR", "wallet/ben/EUR"
DAY = date(2026, 11, 2)


def change(key: str, *legs: Leg, **fields: Any) -> Change:
    """Return a change with what every change needs; `fields` add to it or replace it."""
    plain: dict[str, Any] = {"kind": key.split("/")[-1], "actor": "test", "effective_on": DAY}
    return Change(key=key, legs=legs, **(plain | fields))


def deposit(key: str, amount: int, account: str = ANA) -> Change:
    """Return the booking of money that came in at the bank."""
    legs = postings.deposit(account, "bank", "EUR", amount_minor=amount)
    return change(key, *legs, evidence_id=f"line-{key}")


def transfer(key: str, amount: int, *, source: str = ANA, destination: str = BEN) -> Change:
    """Return a transfer that is no registered payment: legs only."""
    return change(key, *postings.transfer(source, destination, "EUR", amount_minor=amount))


def registration(amount: int, *, content: str = "c" * 64) -> Registration:
    """Return what a payout of ana's is registered with."""
    return Registration(
        kind=PaymentKind.PAYOUT,
        tenant="main",
        account=ANA,
        currency="EUR",
        amount_minor=amount,
        fee_minor=0,
        partner="bank",
        content_hash=content,
        request={"reference": "rent"},
        terms={"fee": 0},
        created_by="shop",
    )


def opened(payment: str, amount: int, *, content: str = "c" * 64) -> Change:
    """Return the registration of a payout with its hold, refused where funds are short."""
    return change(
        f"{payment}/hold",
        *postings.hold(ANA, "EUR", amount_minor=amount),
        payment_id=payment,
        opens=registration(amount, content=content),
        moves=moves(None, PaymentState.RECEIVED, PaymentState.RESERVED),
        if_refused=PaymentState.REFUSED,
    )


def claimed(payment: str, ordinal: int = 1, *, content: str = "c" * 64) -> Change:
    """Return the claim of an attempt: from here on bytes may leave."""
    return change(
        f"{payment}/claim/{ordinal}",
        payment_id=payment,
        moves=moves(PaymentState.RESERVED, PaymentState.SUBMITTING),
        attempt=AttemptOpened(
            ordinal=ordinal,
            key=f"{payment}-{ordinal}",
            partner="bank",
            wire_hash="a" * 64,
            content_hash=content,
        ),
    )


def voided(payment: str, amount: int, **fields: Any) -> Change:
    """Return the release of a payout's hold before anything was sent."""
    legs = postings.void(f"{payment}/hold", ANA, "EUR", amount_minor=amount)
    plain: dict[str, Any] = {
        "payment_id": payment,
        "moves": moves(PaymentState.RESERVED, PaymentState.CANCELLED),
    }
    return change(f"{payment}/void", *legs, **(plain | fields))


def captured(key: str, hold: str, amount: int, **fields: Any) -> Change:
    """Return a capture of (a part of) a hold into transit."""
    return change(key, *postings.capture(hold, ANA, "bank", "EUR", amount_minor=amount), **fields)


def moves(*states: PaymentState | None) -> tuple[Move, ...]:
    """Return the moves through these states, in their order."""
    return tuple(Move(before=before, after=after) for before, after in pairwise(states) if after)


async def breaks(url: str, *, legs_only: bool = False) -> list[str]:
    """Return every break that the continuous checks find in the books.

    Args:
        url: The database.
        legs_only: The test wrote holds and transit without payments, so what ties the two is moot.
    """
    reader = Reader(url)
    try:
        report = await reader.check()
    finally:
        await reader.aclose()
    moot = {"held_while_undecided", "transit_equals_submitted"} if legs_only else set()
    return [str(one) for one in report.breaks if one.check not in moot]


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Return when something outside this process has come true; fail after 90 seconds."""
    async with asyncio.timeout(90):
        while not await condition():  # noqa: ASYNC110  no event comes from another process
            await asyncio.sleep(0.005)
