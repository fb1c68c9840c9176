"""People decide: approvals, denials, cancellations and resolutions count where they may."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client

from bursar import ActionRefused, Bursar, PaymentState, Verdict, names, temporal
from tests.house import House
from tests.payments import a_payout, a_transfer

S = PaymentState
ONE_APPROVAL = 1_000_00
TWO_APPROVALS = 5_000_00


@pytest.fixture
async def client(house: House) -> Client:
    """A raw Temporal client, as the UI and the CLI have it."""
    return await temporal.connect(house.temporal_address, house.namespace)


async def test_one_approval_lets_a_payout_go(house: House, bursar: Bursar) -> None:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    assert (await payout.approve("ana")).verdict is Verdict.APPROVED
    assert (await payout.result()).state is S.SETTLED


async def test_two_approvals_need_two_different_people(house: House, bursar: Bursar) -> None:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=TWO_APPROVALS))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    assert (await payout.approve("ana")).verdict is Verdict.RECORDED
    assert (await payout.approve("ana")).verdict is Verdict.RECORDED
    assert (await house.view(payout.id)).payment.state is S.AWAITING_APPROVAL
    assert (await payout.approve("ben")).verdict is Verdict.APPROVED
    assert (await payout.result()).state is S.SETTLED


@pytest.mark.parametrize(
    ("by", "content_hash"), [("maker", None), ("stranger", None), ("ana", "0" * 64)]
)
async def test_an_approval_that_may_not_count_changes_nothing(
    house: House, bursar: Bursar, by: str, content_hash: str | None
) -> None:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    answer = await payout.approve(by, content_hash=content_hash)
    assert answer.verdict is Verdict.NOT_ALLOWED
    view = await house.view(payout.id)
    assert view.payment.state is S.AWAITING_APPROVAL
    assert any(entry.actor == by for entry in view.timeline), "the attempt is on record"
    await payout.cancel("ops", "test over")


async def test_a_denial_ends_a_payout_and_nothing_has_moved(house: House, bursar: Bursar) -> None:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    assert (await payout.deny("ana", "not ours")).verdict is Verdict.DENIED
    assert (await payout.result()).state is S.DENIED
    assert await house.bookings(payout.id) == (0, 0)


async def test_without_approval_in_time_a_payout_expires(house: House, bursar: Bursar) -> None:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    assert (await payout.result()).state is S.EXPIRED


async def test_a_cancel_before_the_commit_point_wins(house: House, bursar: Bursar) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    payout = await bursar.pay_out(a_payout(execute_at=later))
    await house.reaches(payout.id, S.SCHEDULED)
    assert (await payout.cancel("ana", "paid by card")).verdict is Verdict.CANCELLED
    assert (await payout.result()).state is S.CANCELLED
    assert await house.bookings(payout.id) == (0, 0)
    with pytest.raises(ActionRefused, match="ended already"):
        await payout.cancel("ana", "again")


async def test_a_cancel_after_acceptance_is_put_to_the_bank(house: House, bursar: Bursar) -> None:
    payout = await bursar.pay_out(a_payout("[sim:slow-paid]"))
    await house.reaches(payout.id, S.SUBMITTED)
    assert (await payout.cancel("ana", "wrong payee")).verdict is Verdict.TOO_LATE
    assert (await payout.result()).state is S.CANCELLED
    assert await house.bookings(payout.id) == (0, 0)
    await house.agrees()


async def test_a_cancel_that_comes_too_late_is_recorded_and_the_payout_settles(
    house: House, bursar: Bursar
) -> None:
    payout = await bursar.pay_out(a_payout("[sim:slow-accept]"))
    await house.reaches(payout.id, S.SUBMITTING)
    assert (await payout.cancel("ana", "too late")).verdict is Verdict.TOO_LATE
    assert (await payout.result()).state is S.SETTLED
    assert any(entry.actor == "ana" for entry in (await house.view(payout.id)).timeline)


async def test_temporals_own_cancel_is_a_wish_like_any_other(
    house: House, bursar: Bursar, client: Client
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    early = await bursar.pay_out(a_payout(execute_at=later))
    late = await bursar.pay_out(a_payout("[sim:slow-accept]"))
    await house.reaches(early.id, S.SCHEDULED)
    await house.reaches(late.id, S.SUBMITTING)
    for payout in (early, late):
        await client.get_workflow_handle(names.workflow_id(payout.id)).cancel()
    assert (await early.result()).state is S.CANCELLED
    assert (await late.result()).state is S.SETTLED


async def test_a_scheduled_payout_goes_at_its_time(house: House, bursar: Bursar) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1)
    payout = await bursar.pay_out(a_payout(execute_at=due))
    await house.reaches(payout.id, S.SCHEDULED)
    assert (await payout.result()).state is S.SETTLED
    [held] = [p for p in (await house.view(payout.id)).postings if p.kind == "hold"]
    assert held.booked_at >= due


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("approve", []),
        ("approve", [{"by": "ana"}, {"by": "ben"}]),
        ("approve", ["ana"]),
        ("approve", [{"who": "ana"}]),
        ("approve", [{"by": ""}]),
        ("deny", [{"by": "ana"}]),
        ("cancel", [{"by": "ana", "reason": "why", "a\x00b": 1}]),
        (
            "resolve",
            [{"by": "ana", "outcome": "paid", "evidence": "x\x00y", "partner_ref": "\x00"}],
        ),
        ("cancel", [None]),
        ("partner_event", []),
        ("partner_event", [1, 2, 3]),
        ("no_such_signal", [{"a": 1}]),
    ],
)
async def test_a_signal_that_means_nothing_harms_nothing(
    house: House, bursar: Bursar, client: Client, name: str, arguments: list[object]
) -> None:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    await handle.signal(name, args=arguments)
    assert (await payout.approve("ana")).verdict is Verdict.APPROVED
    assert (await payout.result()).state is S.SETTLED
    if name != "partner_event":
        assert any(entry.what == "note" for entry in (await house.view(payout.id)).timeline)


async def test_a_plain_signal_approves_as_the_ui_sends_it(
    house: House, bursar: Bursar, client: Client
) -> None:
    payout = await bursar.pay_out(a_payout(currency="GBP", amount_minor=ONE_APPROVAL))
    await house.reaches(payout.id, S.AWAITING_APPROVAL)
    await client.get_workflow_handle(names.workflow_id(payout.id)).signal("approve", {"by": "ana"})
    assert (await payout.result()).state is S.SETTLED


async def test_cancel_against_hand_over_has_one_winner_and_truthful_answers(
    house: House, bursar: Bursar
) -> None:
    async def race() -> tuple[str, Verdict, PaymentState]:
        payout = await bursar.pay_out(a_payout())
        try:
            verdict = (await payout.cancel("ana", "race")).verdict
        except ActionRefused:
            verdict = Verdict.ALREADY_FINAL
        return payout.id, verdict, (await payout.result()).state

    for payment_id, verdict, state in await asyncio.gather(*(race() for _ in range(25))):
        times, _ = await house.bookings(payment_id)
        assert times == (0 if state is S.CANCELLED else 1)
        if verdict is Verdict.CANCELLED:
            assert state is S.CANCELLED


async def test_a_transfer_books_both_accounts_in_one_commit(house: House, bursar: Bursar) -> None:
    async with house.reader() as reader:
        await reader.open_accounts([("wallet/bolt/EUR", "main")])
    request = a_transfer()
    assert (await (await bursar.transfer(request)).result()).state is S.SETTLED
    [posting] = [p for p in (await house.view(request.id)).postings if p.entries]
    assert sum(entry.delta_minor for entry in posting.entries) == 0


@pytest.mark.parametrize(
    ("source", "destination", "amount_minor", "code"),
    [
        ("acme", "nobody", 1_00, "account_unknown"),
        ("nobody", "acme", 1_00, "account_unknown"),
        ("acme", "bolt", 10**12, "insufficient_funds"),
    ],
)
async def test_a_transfer_that_cannot_be_is_refused_and_says_why(
    house: House, bursar: Bursar, source: str, destination: str, amount_minor: int, code: str
) -> None:
    async with house.reader() as reader:
        await reader.open_accounts([("wallet/bolt/EUR", "main")])
    request = a_transfer(source=source, destination=destination, amount_minor=amount_minor)
    result = await (await bursar.transfer(request)).result()
    assert (result.state, result.code) == (S.REFUSED, code)
