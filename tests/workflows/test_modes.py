"""What a bank does not promise is never relied on: without proof a person decides."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bursar import Outcome, PaymentState, Resolve, Verdict, names, temporal
from ops.postgres import LocalPostgres
from ops.stack import CALLS_FOR_PEOPLE
from ops.temporal import LocalTemporal
from tests.house import RULES, House
from tests.payments import a_payout
from tests.workflows.conftest import funded_house

S = PaymentState
IMPATIENT = RULES.replace("overdue_after = 20", "overdue_after = 2").replace(
    "people = [\n", 'people = [\n    { name = "Ana", roles = ["resolve"] },\n'
)


@pytest.fixture(scope="module", params=["lookup_only", "neither"])
async def lesser(
    request: pytest.FixtureRequest, postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house whose bank honours no keys, or cannot even be asked."""
    async with funded_house(
        postgres, template, temporal, mode=request.param, rules=IMPATIENT
    ) as house:
        yield house


async def test_what_was_booked_is_found_or_told_and_settles(lesser: House) -> None:
    payout = await (await lesser.bursar()).pay_out(a_payout("[sim:reset-after-booking]"))
    assert (await payout.result()).state is S.SETTLED
    assert await lesser.bookings(payout.id) == (1, 12_50)


async def test_without_keys_nothing_is_sent_again_and_two_people_decide(lesser: House) -> None:
    payout = await (await lesser.bursar()).pay_out(
        a_payout("[sim:500-without-booking] [sim:webhook-lost]")
    )
    view = await lesser.reaches(payout.id, S.IN_REVIEW)
    assert any(entry.what == "case" for entry in view.timeline)
    assert len([word for word in view.words if word.verb == "submit"]) == 1
    alone = Resolve(
        by="ana", confirmed_by="ana", outcome=Outcome.NEVER_MOVED, evidence="their letter of today"
    )
    creator = alone.model_copy(update={"by": "maker", "confirmed_by": "ana"})
    assert (await payout.resolve(creator)).verdict is Verdict.NOT_ALLOWED
    assert (await payout.resolve(alone)).verdict is Verdict.RECORDED
    same = alone.model_copy(update={"by": "Ana"})
    assert (await payout.resolve(same)).verdict is Verdict.RECORDED, "it is the same person"
    assert (await lesser.view(payout.id)).payment.state is S.IN_REVIEW
    other = alone.model_copy(update={"by": "ben", "outcome": Outcome.PAID, "confirmed_by": None})
    assert (await payout.resolve(other)).verdict is Verdict.RECORDED, "they do not say the same"
    agreeing = alone.model_copy(update={"by": "ben", "confirmed_by": None})
    assert (await payout.resolve(agreeing)).verdict is Verdict.RESOLVED
    assert (await payout.result()).state is S.FAILED
    assert await lesser.bookings(payout.id) == (0, 0)
    await lesser.agrees()


async def test_a_payment_in_review_calls_for_ops_until_it_is_decided(lesser: House) -> None:
    client = await temporal.connect(lesser.temporal_address, lesser.namespace)
    payout = await (await lesser.bursar()).pay_out(
        a_payout("[sim:500-without-booking] [sim:webhook-lost]")
    )
    await lesser.reaches(payout.id, S.IN_REVIEW)
    handle = client.get_workflow_handle(names.workflow_id(payout.id))
    listed = f"WorkflowId = '{handle.id}' AND {CALLS_FOR_PEOPLE}"

    async def needs_ops() -> bool:
        attributes = (await handle.describe()).typed_search_attributes
        return bool(attributes.get(names.NEEDS_OPS))

    async def is_listed() -> bool:
        return (await client.count_workflows(listed)).count == 1

    await lesser.until(needs_ops)
    await lesser.until(is_listed)
    await payout.resolve(
        Resolve(by="ana", confirmed_by="ben", outcome=Outcome.NEVER_MOVED, evidence="their letter")
    )
    await payout.result()
    assert not await needs_ops()


async def test_an_accepted_payout_without_a_last_word_becomes_a_case_and_stays_open(
    lesser: House,
) -> None:
    payout = await (await lesser.bursar()).pay_out(
        a_payout("[sim:status-rolled-back-for-good] [sim:webhook-lost]")
    )
    view = await lesser.reaches(payout.id, S.SUBMITTED, S.SETTLED)
    if view.payment.state is S.SUBMITTED:
        await lesser.shows(payout.id, "case")
        decision = Resolve(
            by="ana", confirmed_by="ben", outcome=Outcome.PAID, evidence="statement, line 7"
        )
        assert (await payout.resolve(decision)).verdict is Verdict.RESOLVED
    assert (await payout.result()).state is S.SETTLED
    assert await lesser.bookings(payout.id) == (1, 12_50)
    await lesser.agrees()
