"""With the whole house: money evidence wins, people are called, and they close what they judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from bursar import Bursar, PaymentState, names
from bursar import temporal as connecting
from bursar.errors import ActionRefused
from bursar.views import CaseView
from ops.postgres import LocalPostgres
from ops.stack import CALLS_FOR_PEOPLE
from ops.temporal import LocalTemporal
from tests.house import SECOND_TOKEN, House
from tests.payments import a_payout
from tests.workflows.conftest import funded_house

S = PaymentState


@pytest.fixture(scope="module")
async def house(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house of its own: the newest other payout at its bank is one of ours."""
    async with funded_house(postgres, template, temporal) as house:
        yield house


async def case_of(house: House, kind: str, payment_id: str | None = None) -> CaseView:
    """Wait for an open case of a kind, and return it."""
    found: list[CaseView] = []

    async def is_there() -> bool:
        async with house.reader() as reader:
            page = await reader.cases(kind=kind, payment_id=payment_id)
        found[:] = page.cases
        return bool(found)

    await house.until(is_there)
    return found[-1]


async def needs_ops(house: House, payment_id: str) -> bool:
    """Tell whether Temporal's index says that a person has to look at a payment."""
    client = await connecting.connect(house.temporal_address, house.namespace)
    query = f"WorkflowId = '{names.workflow_id(payment_id)}' AND NeedsOps = true"
    return (await client.count_workflows(query)).count == 1


async def test_answers_with_swapped_names_call_people_to_both_payments_p12(
    house: House, bursar: Bursar
) -> None:
    first = await bursar.pay_out(a_payout())
    await house.reaches(first.id, S.SETTLED)
    second = await bursar.pay_out(a_payout("[sim:other-reference-echo]"))
    await house.reaches(second.id, S.SETTLED)
    assert (await case_of(house, "mismatch", first.id)).payment_id == first.id
    assert (await case_of(house, "mismatch", second.id)).partner_breach
    assert (await house.bookings(first.id))[0] == (await house.bookings(second.id))[0] == 1
    await house.until(lambda: needs_ops(house, second.id))


async def test_two_people_take_a_doubled_debit_out_of_suspense_inv_20(
    house: House, bursar: Bursar
) -> None:
    payout = await bursar.pay_out(a_payout("[sim:paid-twice]"))
    case = await case_of(house, "paid_twice", payout.id)
    assert (case.amount_minor, case.suspense) == (12_50, "suspense/out/simulator/EUR")
    assert case.original == f"{payout.id}/settle/1"
    await house.quiet()
    await house.agrees()
    evidence = "the bank's ticket 4711"
    async with house.reader() as ops, house.reader(SECOND_TOKEN) as vera:
        assert (await ops.assign_case(case.id, "vera")).verdict == "assigned"
        said = await ops.resolve_case(case.id, evidence, "loss/partner/EUR")
        again = await ops.resolve_case(case.id, evidence, "loss/partner/EUR")
        assert {said.verdict, again.verdict} == {"recorded"}
        done = await vera.resolve_case(case.id, evidence, "loss/partner/EUR")
        assert done.verdict == "resolved"
        with pytest.raises(ActionRefused):
            await vera.resolve_case(case.id, evidence, "loss/partner/EUR")
        closed = await ops.case(case.id)
        (lost,) = (await ops.accounts(prefix="loss/")).accounts
    assert (closed.closed_by, closed.owner) == ("ops with vera", "vera")
    assert [word.principal for word in closed.words] == ["ops", "ops", "vera"]
    assert lost.posted_minor == 12_50
    await house.agrees()


async def test_what_has_ended_is_in_the_list_of_cases_and_not_in_temporals_list(
    house: House, bursar: Bursar
) -> None:
    """The attributes of an ended run stay as they are, so its `NeedsOps` outlives its case."""
    payout = await bursar.pay_out(a_payout("[sim:other-reference-echo]"))
    case = await case_of(house, "mismatch", payout.id)
    await house.reaches(payout.id, S.SETTLED)
    await house.until(lambda: needs_ops(house, payout.id))
    client = await connecting.connect(house.temporal_address, house.namespace)
    this = f"WorkflowId = '{names.workflow_id(payout.id)}'"

    async def is_not_listed() -> bool:
        return (await client.count_workflows(f"{this} AND {CALLS_FOR_PEOPLE}")).count == 0

    await house.until(is_not_listed)
    async with house.reader() as reader:
        assert case.id in [each.id for each in (await reader.cases(payment_id=payout.id)).cases]
        await reader.resolve_case(case.id, "their display only")
        assert (await reader.cases(payment_id=payout.id)).cases == ()
    assert await needs_ops(house, payout.id), "nobody can take it off; so it is filtered out"


async def test_a_running_payment_calls_people_for_as_long_as_it_has_an_open_case(
    house: House, bursar: Bursar
) -> None:
    """Whoever raised it before the books had the case: the next look at them decides."""
    payout = await bursar.pay_out(a_payout(execute_at=datetime.now(UTC) + timedelta(minutes=30)))
    await house.reaches(payout.id, S.SCHEDULED)
    client = await connecting.connect(house.temporal_address, house.namespace)
    run = client.get_workflow_handle(names.workflow_id(payout.id))
    await run.signal(names.CALL_OPS)
    await house.until(lambda: needs_ops(house, payout.id))
    await run.signal(names.PARTNER_EVENT, {})  # as when a case is closed

    async def calls_nobody() -> bool:
        return not await needs_ops(house, payout.id)

    await house.until(calls_nobody)
    await payout.cancel("ana", "test over")


async def test_what_came_back_in_part_is_shown_on_a_payout_that_stays_settled_p16(
    house: House, bursar: Bursar
) -> None:
    payout = await bursar.pay_out(a_payout("[sim:partial-return]"))

    async def is_back() -> bool:
        view = await house.view(payout.id)
        return view.returned_minor == 6_25

    await house.reaches(payout.id, S.SETTLED)
    await house.until(is_back)
    view = await house.view(payout.id)
    assert (view.payment.state, view.cases) == (S.SETTLED, ())
    await house.quiet()
    await house.agrees()


async def test_a_debit_nobody_asked_for_is_in_suspense_with_a_case_of_its_own_p13(
    house: House, bursar: Bursar
) -> None:
    await bursar.pay_out(a_payout("[sim:phantom-debit]"))
    case = await case_of(house, "phantom_debit")
    assert (case.payment_id, case.amount_minor) == (None, 12_50)
    assert case.partner_breach
    await house.quiet()
    await house.agrees()
