"""Every move of the tables happens in a real life, and the database has seen it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from bursar import Bursar, Outcome, PaymentHandle, PaymentState, Resolve, Verdict
from bursar.payments import PAYOUT_MOVES, TRANSFER_MOVES
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.house import House
from tests.payments import a_payout, a_transfer
from tests.workflows.conftest import funded_house

S = PaymentState
NEEDS_ONE = 1_000_00
"""An amount in GBP for which the house's rules want one approval."""

PATIENT = {"BANK_SLOW_PAID_SECONDS": "15"}
"""So slow that a busy machine, too, asks to cancel before the bank has paid."""

NOT_LIVED = {("payout", "received", "cancelled"), ("transfer", "received", "cancelled")}
"""A payment leaves `received` in the commit that registers it, so nobody can be in between."""


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=3)


@pytest.fixture(scope="module")
async def own(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house of this file, whose bank and worker may be stopped."""
    async with funded_house(postgres, template, temporal, bank=PATIENT) as house:
        async with house.reader() as reader:
            wallets = ["wallet/poor/GBP", "wallet/bolt/GBP"]
            await reader.open_accounts([(path, "main") for path in wallets])
        yield house


async def start(
    bursar: Bursar, kind: str, *, poor: bool = False, waits: bool = True, later: bool = False
) -> PaymentHandle:
    """Start a payment in GBP that waits for approval, or for its time, or for neither."""
    owner = "poor" if poor else "acme"
    amount_minor = NEEDS_ONE if waits else 10_00
    due = soon() if later else None
    if kind == "payout":
        request = a_payout(currency="GBP", amount_minor=amount_minor, execute_at=due)
        return await bursar.pay_out(request.model_copy(update={"account": f"wallet/{owner}/GBP"}))
    transfer = a_transfer(source=owner, currency="GBP", amount_minor=amount_minor)
    return await bursar.transfer(transfer.model_copy(update={"execute_at": due}))


@pytest.mark.parametrize("kind", ["payout", "transfer"])
async def test_a_payment_waits_for_people_and_dates_in_every_way(own: House, kind: str) -> None:
    bursar = await own.bursar()
    payments = {
        name: await start(bursar, kind, poor=name == "approved but poor", later="later" in name)
        for name in ("approved", "approved, later", "approved but poor", "denied", "cancelled")
    }
    left_alone = await start(bursar, kind)
    later = await start(bursar, kind, waits=False, later=True)
    poor_later = await start(bursar, kind, waits=False, later=True, poor=True)
    cancelled_later = await start(bursar, kind, waits=False, later=True)
    at_once = await start(bursar, kind, waits=False)
    poor_now = await start(bursar, kind, waits=False, poor=True)
    assert (await cancelled_later.cancel("ana", "not needed")).verdict is Verdict.CANCELLED
    for name, payment in payments.items():
        if name == "denied":
            await payment.deny("ana", "not ours")
        elif name == "cancelled":
            await payment.cancel("ana", "not needed")
        else:
            await payment.approve("ana")
    ends = {name: (await payment.result()).state for name, payment in payments.items()}
    assert ends == {
        "approved": S.SETTLED,
        "approved, later": S.SETTLED,
        "approved but poor": S.REFUSED,
        "denied": S.DENIED,
        "cancelled": S.CANCELLED,
    }
    assert (await left_alone.result()).state is S.EXPIRED
    assert (await at_once.result()).state is S.SETTLED
    assert (await later.result()).state is S.SETTLED
    assert (await poor_later.result()).state is S.REFUSED
    assert (await cancelled_later.result()).state is S.CANCELLED
    assert (await poor_now.result()).code == "insufficient_funds"


@pytest.mark.parametrize(
    ("markers", "end"),
    [
        ("[sim:reject]", S.FAILED),
        ("[sim:reset-after-booking]", S.SETTLED),
        ("[sim:500-without-booking]", S.SETTLED),
        ("[sim:timeout-after-booking] [sim:accepted-then-failed] [sim:webhook-lost]", S.FAILED),
        ("[sim:accepted-then-failed]", S.FAILED),
        ("[sim:paid-then-returned]", S.RETURNED),
    ],
)
async def test_a_payout_ends_as_the_bank_says(own: House, markers: str, end: PaymentState) -> None:
    payout = await (await own.bursar()).pay_out(a_payout(markers))
    await own.reaches(payout.id, end)


async def test_a_payout_that_the_bank_still_holds_is_cancelled_there(own: House) -> None:
    payout = await (await own.bursar()).pay_out(a_payout("[sim:slow-paid]"))
    await own.reaches(payout.id, S.SUBMITTED)
    await payout.cancel("ana", "wrong payee")
    assert (await payout.result()).state is S.CANCELLED


async def test_a_payout_that_no_worker_hands_over_can_be_cancelled(own: House) -> None:
    await own.swap_worker("payments")  # nobody serves the partner's queue
    try:
        payout = await (await own.bursar()).pay_out(a_payout())
        await own.reaches(payout.id, S.RESERVED)
        assert (await payout.cancel("ana", "not needed")).verdict is Verdict.CANCELLED
        assert (await payout.result()).state is S.CANCELLED
    finally:
        await own.swap_worker()
    assert await own.bookings(payout.id) == (0, 0)


async def test_a_bank_that_falls_silent_leaves_the_payout_to_people_or_its_own_late_word(
    own: House,
) -> None:
    await own.ask_bank("POST", "/control/settings", {"webhooks_paused": True})
    bursar = await own.bursar()
    told_late = await bursar.pay_out(a_payout("[sim:timeout-after-booking]"))
    never = await bursar.pay_out(a_payout("[sim:timeout-before-booking]"))
    for payout in (told_late, never):
        await own.reaches(payout.id, S.SUBMITTING)
    await own.until(lambda: _both_tried(own, told_late.id, never.id))
    own.kill("bank")
    for payout in (told_late, never):
        await own.reaches(payout.id, S.IN_REVIEW)
    await own.start("bank")
    decision = Resolve(
        by="ana", confirmed_by="ben", outcome=Outcome.NEVER_MOVED, evidence="their letter of today"
    )
    assert (await never.resolve(decision)).verdict is Verdict.RESOLVED
    assert (await never.result()).state is S.FAILED
    await own.ask_bank("POST", "/control/settings", {"webhooks_paused": False})
    assert (await told_late.result()).state is S.SETTLED
    assert await own.bookings(never.id) == (0, 0)


async def _both_tried(house: House, *payment_ids: str) -> bool:
    state = await house.ask_bank("GET", "/control/state")
    return all(f"{payment_id}-1" in state["references"] for payment_id in payment_ids)


async def test_every_move_of_the_tables_has_been_lived(own: House) -> None:
    await own.agrees()
    connection = await asyncpg.connect(own.books_url)
    try:
        rows = await connection.fetch(
            "SELECT DISTINCT p.kind, t.before, t.after FROM transitions t"
            " JOIN payments p ON p.id = t.payment_id WHERE t.before IS NOT NULL"
        )
    finally:
        await connection.close()
    lived = {(row["kind"], row["before"], row["after"]) for row in rows}
    tables = {"payout": PAYOUT_MOVES, "transfer": TRANSFER_MOVES}
    allowed = {
        (kind, before.value, after.value)
        for kind, moves in tables.items()
        for before, afters in moves.items()
        for after in afters
    }
    assert lived == allowed - NOT_LIVED
