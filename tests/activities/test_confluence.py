"""INV-21: a payment's events, in any order and repeated, come to one and the same end."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from bursar.reports import EventKind, PartnerEvent
from ledger import accounts
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from tests.activities.telling import AMOUNT, an_event, fetch, run_step, store
from tests.ledger.driving import ACME, BANK, Driver

ACCEPTED, PAID, NO, BACK = (
    EventKind.ACCEPTED,
    EventKind.PAID,
    EventKind.FAILED,
    EventKind.RETURNED,
)
ORDERS_MAX = 24
"""All orders of four events; of more, as many are drawn."""


@dataclass(frozen=True)
class Told:
    """One event of a set, with what makes it differ from others of its kind."""

    kind: EventKind
    line: str | None = None
    arrived: int = AMOUNT
    kept: int | None = None
    wrong_amount: bool = False

    def event(self, payout_id: str, place: int) -> PartnerEvent:
        amount = AMOUNT + 1 if self.wrong_amount else self.arrived
        return an_event(
            self.kind,
            f"{payout_id}_{place}",
            payout_id,
            amount_minor=amount,
            line_ref=self.line and f"{payout_id}_{self.line}",
            fee_minor=self.kept,
        )


PART = [Told(BACK, "back1", 40_00, 0), Told(BACK, "back2", 59_00, 1_00)]
SETS: dict[str, list[Told]] = {
    "paid": [Told(ACCEPTED), Told(PAID, "debit"), Told(PAID, "debit"), Told(ACCEPTED)],
    "refused": [Told(ACCEPTED), Told(NO), Told(NO), Told(ACCEPTED)],
    "returned": [Told(ACCEPTED), Told(PAID, "debit"), Told(BACK, "back", AMOUNT, 0)],
    "returned in parts": [Told(PAID, "debit"), *PART, PART[0]],
    "everything twice": [Told(PAID, "debit"), *PART, Told(PAID, "debit"), *PART],
    "paid twice": [Told(ACCEPTED), Told(PAID, "debit1"), Told(PAID, "debit2")],
    "paid twice and back": [
        Told(ACCEPTED),
        Told(PAID, "debit1"),
        Told(PAID, "debit2"),
        Told(PAID, "debit1"),
        Told(BACK, "back", AMOUNT, 0),
    ],
    "returned twice": [
        Told(PAID, "debit"),
        Told(BACK, "back1", AMOUNT, 0),
        Told(BACK, "back2", AMOUNT, 0),
    ],
    "one does not fit": [Told(PAID, "debit"), Told(PAID, "debit", wrong_amount=True), *PART],
}

End = tuple[str, dict[str, int], Counter[str]]


def orders(told: Sequence[Told]) -> list[tuple[Told, ...]]:
    every = list(itertools.permutations(told))
    every = list(dict.fromkeys(every))
    if len(every) <= ORDERS_MAX:
        return every
    return random.Random(21).sample(every, ORDERS_MAX)  # noqa: S311  the same draw in each run


async def end_of(url: str, payout_id: str) -> End:
    """Return state, what moved on each account, and the cases of a payout."""
    state = await fetch(url, "select state from payments where id = $1", payout_id)
    moved = await fetch(
        url,
        "select a.path, sum(e.delta)::bigint as delta from transactions t"
        " join entries e on e.transaction_id = t.id join accounts a on a.id = e.account_id"
        " where t.payment_id = $1 group by 1 having sum(e.delta) <> 0",
        payout_id,
    )
    opened = await fetch(url, "select kind from cases where payment_id = $1", payout_id)
    return (
        state[0]["state"],
        {row["path"]: row["delta"] for row in moved},
        Counter(row["kind"] for row in opened),
    )


async def lives(books: PostgresBooks, driver: Driver, url: str, told: Sequence[Told]) -> list[End]:
    """Tell one set of events in many orders, each to a payout of its own, side by side."""
    await driver.deposit(ACME, 100_000_00, "evt_more")

    async def live(number: int, order: tuple[Told, ...]) -> End:
        payout_id = f"po_{number}"
        await driver.open_payout(payout_id)
        await driver.claim(payout_id)
        for place, each in enumerate(order):
            event = each.event(payout_id, place)
            await run_step(books, event, await store(books, event))
        return await end_of(url, payout_id)

    return await asyncio.gather(*(live(*one) for one in enumerate(orders(told))))


async def are_sound(url: str) -> None:
    reader = Reader(url)
    report = await reader.check()
    await reader.aclose()
    assert not report.breaks, report.breaks
    assert set(report.trial_balance.values()) == {0}


@pytest.mark.parametrize("name", SETS)
async def test_events_in_every_order_and_repeated_come_to_the_same_end_inv_21(
    books: PostgresBooks, driver: Driver, auditor_url: str, name: str
) -> None:
    ends = await lives(books, driver, auditor_url, SETS[name])
    for end in ends:
        assert end == ends[0]
    await are_sound(auditor_url)


async def test_whatever_contradicts_itself_is_in_the_nostro_and_with_a_person_in_every_order(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    told = [Told(ACCEPTED), Told(NO), Told(PAID, "debit"), Told(BACK, "back", AMOUNT, 0)]
    for _, moved, opened in await lives(books, driver, auditor_url, told):
        assert accounts.nostro(BANK, "EUR") not in moved  # it left and came back, whatever was said
        assert opened
    await are_sound(auditor_url)
