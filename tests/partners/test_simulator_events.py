"""What the simulated bank's webhooks tell, and which of them are believed."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from bursar.reports import EventKind, PartnerEvent, RejectionCode
from partners.port import EventRefused
from partners.simulator.rehearsal import OTHER_SECRET, SECRET, credit_body, signed
from tests.partners.faults import Answers
from tests.partners.simulated import ATTEMPT, PAID, payout, raw, the_bank

AT = "2026-01-31T10:00:00.223456Z"


def told(kind: str, data: Any, **more: Any) -> PartnerEvent:
    """Return what we understand of an event that the bank signed."""
    body = raw({"id": "evt_1", "type": kind, "timestamp": AT, "data": data, **more})
    (event,) = the_bank(Answers(500)).read_event(*signed(body))
    return event


def refuse(body: bytes, headers: dict[str, str], **more: Any) -> None:
    with pytest.raises(EventRefused):
        the_bank(Answers(500), **more).read_event(body, headers)


@pytest.mark.parametrize(
    ("kind", "data", "ours"),
    [
        ("payout.accepted", payout(), EventKind.ACCEPTED),
        ("payout.pending", payout(), EventKind.ACCEPTED),
        ("payout.paid", PAID, EventKind.PAID),
        ("payout.failed", payout(status="failed", code="compliance"), EventKind.FAILED),
        ("payout.cancelled", payout(status="cancelled", code="cancelled"), EventKind.FAILED),
    ],
)
def test_an_event_on_a_payout_names_the_attempt_and_the_amount(
    kind: str, data: dict[str, Any], ours: EventKind
) -> None:
    event = told(kind, data)

    assert event.kind is ours
    assert (event.reference, event.partner_ref) == (ATTEMPT.key, "bp_000000000001")
    assert (event.amount_minor, event.currency) == (1250, "EUR")
    assert event.occurred_at == datetime(2026, 1, 31, 10, 0, 0, 223456, tzinfo=UTC)


def test_a_failure_tells_why() -> None:
    assert told("payout.failed", payout(status="failed", code="compliance")).code is (
        RejectionCode.COMPLIANCE
    )
    assert told("payout.failed", payout(status="failed", code="new")).code is RejectionCode.OTHER
    assert told("payout.cancelled", payout(status="cancelled")).code is RejectionCode.CANCELLED


def test_a_return_tells_what_came_back_and_what_was_kept() -> None:
    data = payout(status="returned", code="account_closed", returned_minor=1240, fee_minor=10)

    event = told("payout.returned", data)

    assert event.kind is EventKind.RETURNED
    assert (event.amount_minor, event.fee_minor, event.payment_amount_minor) == (1240, 10, 1250)
    assert "10 kept as fee" in event.detail
    assert event.code is RejectionCode.ACCOUNT_CLOSED


def test_a_part_that_came_back_is_told_from_a_return_less_a_fee() -> None:
    event = told("payout.returned", payout(status="returned", returned_minor=625, fee_minor=0))

    assert event.kind is EventKind.RETURNED
    assert (event.amount_minor, event.fee_minor, event.payment_amount_minor) == (625, 0, 1250)


def test_an_event_echoes_the_payee_and_names_the_line_that_was_booked() -> None:
    paid = told("payout.paid", {**PAID, "line_id": "bl_000000000007"})
    accepted = told("payout.accepted", payout())

    assert paid.line_ref == "bl_000000000007"
    assert accepted.line_ref is None
    assert paid.payee_account == PAID["beneficiary"]["account"]


@pytest.mark.parametrize(
    ("back", "kept"), [(None, None), (0, 1250), (1240, 11), (1251, 0), (-1, 1251), (1240, None)]
)
def test_a_return_that_is_more_than_its_payout_or_says_no_fee_is_not_understood(
    back: int | None, kept: int | None
) -> None:
    data = payout(status="returned", returned_minor=back, fee_minor=kept)

    assert told("payout.returned", data).kind is EventKind.UNRECOGNISED


def test_a_credit_names_the_account_that_it_is_meant_for() -> None:
    (event,) = the_bank(Answers(500)).read_event(*signed(credit_body()))

    assert event.kind is EventKind.CREDIT
    assert (event.reference, event.partner_ref) == ("wallet/acme/EUR", "c-1")
    assert (event.amount_minor, event.currency) == (100_000, "EUR")
    assert event.value_on == date(2026, 1, 31)


def test_a_credit_with_a_strangers_words_is_still_a_credit() -> None:
    data = json.loads(credit_body())["data"]

    event = told("credit.received", {**data, "reference": "Miete für\x00 März 🙂" + "x" * 500})

    assert event.kind is EventKind.CREDIT
    assert event.reference is not None
    assert event.reference.startswith("Miete für März 🙂")
    assert len(event.reference) <= 140


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("payout.renamed", PAID),
        ("", PAID),
        ("Payout.Paid", PAID),
        ("payout.paid", payout()),
        ("payout.paid", payout(status="failed")),
        ("payout.failed", PAID),
        ("payout.paid", {**PAID, "status": "PAID"}),
        ("payout.paid", {**PAID, "amount_minor": 12.5}),
        ("payout.paid", {**PAID, "amount_minor": 0}),
        ("payout.paid", {**PAID, "reference": None}),
        ("payout.paid", {}),
        ("payout.paid", []),
        ("payout.paid", None),
        ("credit.received", PAID),
        ("credit.received", {}),
    ],
)
def test_what_is_not_understood_is_kept_as_that_and_never_guessed(kind: str, data: Any) -> None:
    event = told(kind, data)

    assert event.kind is EventKind.UNRECOGNISED
    assert event.event_id == "evt_1"
    assert event.detail
    assert (event.reference, event.amount_minor, event.currency) == (None, None, None)


@pytest.mark.parametrize("body", ["", "null", "[]", "7", "paid", '{"type": "payout.paid"}', "{}"])
def test_an_authentic_body_of_any_shape_is_kept(body: str) -> None:
    before = datetime.now(UTC)

    (event,) = the_bank(Answers(500)).read_event(*signed(body.encode()))

    assert event.kind is EventKind.UNRECOGNISED
    assert abs((event.occurred_at - before).total_seconds()) < 5


def test_the_id_is_the_one_that_was_signed_and_not_the_one_in_the_body() -> None:
    (event,) = the_bank(Answers(500)).read_event(*signed(credit_body("evt_2"), event_id="evt_9"))

    assert event.event_id == "evt_9"


def test_header_names_are_read_in_any_case() -> None:
    body, headers = signed(credit_body())

    events = the_bank(Answers(500)).read_event(
        body, {name.title(): value for name, value in headers.items()}
    )

    assert events[0].kind is EventKind.CREDIT


def test_while_a_secret_is_changed_both_are_believed_and_no_third_one() -> None:
    both = f"{OTHER_SECRET} {SECRET}"

    for secret in (SECRET, OTHER_SECRET):
        body, headers = signed(credit_body(), secret=secret)
        (event,) = the_bank(Answers(500), webhook_secret=both).read_event(body, headers)
        assert event.kind is EventKind.CREDIT
    refuse(*signed(credit_body(), secret="whsec_dGhlIHRoaXJkIHNlY3JldCBvZiBub2JvZHkh"))


def test_one_good_signature_among_several_is_enough() -> None:
    body, headers = signed(credit_body())
    several = f"v2,abc v1,AAAA {headers['webhook-signature']}"

    (event,) = the_bank(Answers(500)).read_event(body, {**headers, "webhook-signature": several})

    assert event.kind is EventKind.CREDIT


@pytest.mark.parametrize(
    "signature",
    ["", " ", ",", "v1", "v1,", "v1,!!!", "v1,é", "v1,AAAA", "v2,AAAA", "v1,A", "v1,=", "x" * 9000],
)
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    body, headers = signed(credit_body())

    refuse(body, {**headers, "webhook-signature": signature})


@pytest.mark.parametrize(
    "timestamp", ["", "soon", "nan", "inf", "-inf", "-1", "0", "1e400", "9" * 400, "²"]
)
def test_a_time_that_is_none_is_refused(timestamp: str) -> None:
    body, headers = signed(credit_body())

    refuse(body, {**headers, "webhook-timestamp": timestamp})


@pytest.mark.parametrize("event_id", ["", " ", "evt 1", "evt\x001", "é", "x" * 101])
def test_an_id_that_cannot_be_kept_is_refused_though_signed(event_id: str) -> None:
    refuse(*signed(credit_body(), event_id=event_id))


def test_a_body_that_is_not_text_is_refused() -> None:
    _, headers = signed(credit_body())

    refuse(b"\xff\xfe\x00", headers)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_an_event_of_an_impossible_time_is_kept_and_not_understood(at: str) -> None:
    event = told("payout.paid", PAID, timestamp=at)
    assert (event.kind, event.event_id) == (EventKind.UNRECOGNISED, "evt_1")
