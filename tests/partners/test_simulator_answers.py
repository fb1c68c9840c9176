"""What each answer to a submit means for the money at the simulated bank."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.reports import Accepted, Paid, Rejected, RejectionCode, Report, Throttled, Unknown
from partners.simulator.wire import REJECTIONS
from tests.partners.attempts import ANA, JOE, an_attempt
from tests.partners.faults import Answers, AnswersInTurn
from tests.partners.simulated import ATTEMPT, PAID, RETURNED, payout, raw, the_bank


async def submitted(status: int, body: Any, **headers: str) -> Report:
    body = body if isinstance(body, bytes) else raw(body)
    return await the_bank(Answers(status, body, headers)).submit(ATTEMPT)


async def looked_up(status: int, body: Any) -> Report:
    return await the_bank(Answers(status, raw(body))).find(ATTEMPT)


@pytest.mark.parametrize(
    ("told", "meaning"),
    [
        (payout(), Accepted),
        (PAID, Paid),
        (RETURNED, Paid),
        (payout(status="failed", code="account_closed"), Rejected),
        (payout(status="cancelled", code="cancelled"), Rejected),
    ],
)
async def test_each_status_means_the_same_on_a_submit_and_on_a_look_up(
    told: dict[str, Any], meaning: type[Report]
) -> None:
    on_submit, on_look_up = await submitted(201, told), await looked_up(200, {"payouts": [told]})

    assert isinstance(on_submit, meaning)
    assert on_submit == on_look_up


async def test_a_paid_payout_carries_the_banks_reference_and_value_date() -> None:
    report = await submitted(201, PAID)

    assert isinstance(report, Paid)
    assert (report.partner_ref, report.value_on) == ("bp_000000000001", date(2026, 1, 31))


@pytest.mark.parametrize(("code", "ours"), REJECTIONS.items())
async def test_each_published_code_of_a_422_is_a_definite_no(
    code: str, ours: RejectionCode
) -> None:
    report = await submitted(422, {"code": code, "message": "no"})

    assert isinstance(report, Rejected)
    assert report.code is ours


@pytest.mark.parametrize(
    "body",
    [
        {"code": "cancelled", "message": "not a code of a 422"},
        {"code": "brand_new", "message": "?"},
        {"code": "ACCOUNT_INVALID", "message": "?"},
        {"code": None, "message": "?"},
        {"message": "account_invalid"},
        {"error": {"code": "account_invalid"}},
        [],
        "account_invalid",
    ],
)
async def test_any_other_422_is_unknown(body: Any) -> None:
    assert isinstance(await submitted(422, body), Unknown)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
@pytest.mark.parametrize("code", ["invalid_request", "unauthorized", "account_invalid"])
async def test_a_configuration_that_is_wrong_is_never_the_beneficiarys_failure(
    status: int, code: str
) -> None:
    assert isinstance(await submitted(status, {"code": code, "message": ""}), Unknown)


@pytest.mark.parametrize("code", ["idempotency_key_conflict", "idempotency_key_in_use"])
async def test_a_conflict_on_the_key_is_unknown(code: str) -> None:
    assert isinstance(await submitted(409, {"code": code, "message": ""}), Unknown)


@pytest.mark.parametrize("status", [200, 202, 203, 204, 206, 207, 301, 500, 502, 503, 504])
async def test_even_a_perfect_body_is_unknown_under_a_status_that_was_not_agreed(
    status: int,
) -> None:
    assert isinstance(await submitted(status, PAID), Unknown)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"amount_minor": 1251}, "amount_minor"),
        ({"currency": "USD"}, "currency"),
        ({"reference": "po_somebody-1"}, "reference"),
        ({"beneficiary": {**payout()["beneficiary"], "name": "Eva"}}, "beneficiary.name"),
        ({"beneficiary": payout(an_attempt(payee=JOE))["beneficiary"]}, "beneficiary.account"),
    ],
)
@pytest.mark.parametrize("status", ["pending", "paid", "failed"])
async def test_an_echo_other_than_asked_is_unknown_and_named_without_its_value(
    change: dict[str, Any], named: str, status: str
) -> None:
    told = payout(status=status, **change)

    for report in (await submitted(201, told), await looked_up(200, {"payouts": [told]})):
        assert isinstance(report, Unknown)
        assert named in report.evidence
        assert "1251" not in report.evidence
        assert "Eva" not in report.evidence


JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)
)


@settings(deadline=None)
@given(field=st.sampled_from(sorted(payout())), junk=JUNK)
async def test_a_field_that_decides_is_never_taken_for_what_it_is_not(
    field: str, junk: Any
) -> None:
    report = await submitted(201, payout(**{field: junk}))

    if field in ("reference", "amount_minor", "currency", "beneficiary", "status"):
        agrees = type(junk) is type(payout()[field]) and junk == payout()[field]
        assert isinstance(report, Accepted if agrees else Unknown)
    else:
        assert isinstance(report, Accepted | Unknown)


@pytest.mark.parametrize("amount", [1250.0, "1250", True])
async def test_an_amount_that_is_not_a_whole_number_is_unknown(amount: Any) -> None:
    assert isinstance(await submitted(201, payout(amount_minor=amount)), Unknown)


@pytest.mark.parametrize("cut", range(0, len(raw(PAID)), 17))
async def test_a_body_cut_anywhere_is_unknown(cut: int) -> None:
    assert isinstance(await submitted(201, raw(PAID)[:cut]), Unknown)


async def test_a_new_field_of_the_bank_stops_nothing() -> None:
    assert isinstance(await submitted(201, payout(colour="green")), Accepted)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1", 1.0), ("0", 0.0), ("120", 120.0), (" 7 ", 7.0)],
)
async def test_a_throttled_call_tells_the_seconds_to_wait(header: str, seconds: float) -> None:
    report = await submitted(429, {"code": "throttled"}, **{"Retry-After": header})

    assert isinstance(report, Throttled)
    assert report.retry_after_seconds == seconds


async def test_a_date_to_wait_for_is_measured_by_the_banks_own_clock() -> None:
    bank_now = datetime(2020, 2, 29, 12, 0, 0, tzinfo=UTC)
    headers = {
        "Date": format_datetime(bank_now, usegmt=True),
        "Retry-After": format_datetime(bank_now + timedelta(seconds=30), usegmt=True),
    }

    report = await submitted(429, {"code": "throttled"}, **headers)

    assert isinstance(report, Throttled)
    assert report.retry_after_seconds == 30.0


async def test_a_date_without_the_banks_clock_is_measured_by_ours_and_never_negative() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    gone = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)

    ahead = await submitted(429, {}, **{"Retry-After": soon})
    past = await submitted(429, {}, **{"Retry-After": gone})

    assert isinstance(ahead, Throttled)
    assert isinstance(past, Throttled)
    assert ahead.retry_after_seconds is not None
    assert 50 < ahead.retry_after_seconds <= 60
    assert past.retry_after_seconds == 0.0


@pytest.mark.parametrize("header", ["", "soon", "-1", "1.5", "inf", "nan", "9" * 400, "²", "1e3"])
async def test_a_wait_that_cannot_be_read_is_left_unsaid(header: str) -> None:
    below = AnswersInTurn(httpx.Response(429, headers=[(b"retry-after", header.encode())]))

    report = await the_bank(below).submit(ATTEMPT)

    assert report == Throttled(retry_after_seconds=None, evidence=report.evidence)


async def test_a_wait_that_is_absent_is_left_unsaid() -> None:
    report = await submitted(429, b"")

    assert isinstance(report, Throttled)
    assert report.retry_after_seconds is None


async def test_evidence_never_repeats_the_beneficiary() -> None:
    words = f"{ANA.name} {ANA.iban} is closed"

    for report in (
        await submitted(500, words.encode()),
        await submitted(422, {"code": "account_closed", "message": words}),
        await submitted(429, words.encode()),
    ):
        assert "closed" in report.evidence
        assert ANA.iban not in report.evidence
        assert ANA.name not in report.evidence
