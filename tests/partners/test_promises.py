"""What every partner's adapter promises, tried on each one with its bank over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.beneficiaries import Beneficiary
from bursar.errors import InvalidRequest
from bursar.reports import (
    Accepted,
    NotFound,
    NotSent,
    Paid,
    Rejected,
    Report,
    Throttled,
    Unknown,
)
from partners.loading import FOLDER, load, names
from partners.port import Attempt, EventRefused, Partner, StatementUnavailable
from partners.rehearsal import Moved, Rehearsal
from partners.transport import Below
from tests.partners.attempts import AKINYI, ANA, JOE, an_attempt
from tests.partners.faults import Answers, BreaksOff, Fails, LosesReplies

NETWORK = Fails(httpx.ConnectError("an event needs no connection"))

NEVER_LEFT = [
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("no answer"),
    httpx.PoolTimeout("no connection free"),
]
MAY_HAVE_LEFT = [
    httpx.ReadTimeout("no reply"),
    httpx.ReadError("reset"),
    httpx.WriteError("broken pipe"),
    httpx.WriteTimeout("stuck"),
    httpx.RemoteProtocolError("cut off"),
    httpx.CloseError("reset"),
]
FAULTS = [*NEVER_LEFT, *MAY_HAVE_LEFT]


def described(fault: object) -> str:
    return type(fault).__name__


async def submit_through(rehearsal: Rehearsal, below: Below, attempt: Attempt) -> Report:
    partner = rehearsal.partner(below)
    try:
        return await partner.submit(attempt)
    finally:
        await partner.aclose()


async def found(partner: Partner, attempt: Attempt) -> Report:
    """Ask until the partner has had the time that it says it needs to show a payout."""
    async with asyncio.timeout(30):
        while True:
            report = await partner.find(attempt)
            if isinstance(report, Accepted | Paid | Rejected):
                return report
            await asyncio.sleep(0.1)


async def test_an_accepted_payout_is_paid_once_and_found(
    rehearsal: Rehearsal, partner: Partner
) -> None:
    attempt = an_attempt()
    await rehearsal.fund("EUR", 1250)

    report = await partner.submit(attempt)

    assert isinstance(report, Accepted | Paid)
    assert report.partner_ref
    assert await rehearsal.moved(attempt) == Moved(times=1, minor=1250)
    if partner.guarantees.finds_by_reference:
        assert isinstance(await found(partner, attempt), Paid)


async def test_submitting_twice_under_one_key_moves_money_once_where_keys_are_promised(
    rehearsal: Rehearsal, partner: Partner
) -> None:
    if not partner.guarantees.may_resend(timedelta(0)):
        pytest.skip("this bank honours no keys, and its guarantees say so")
    attempt = an_attempt()
    await rehearsal.fund("EUR", 2500)

    reports = await asyncio.gather(*(partner.submit(attempt) for _ in range(5)))
    again = await partner.submit(attempt)

    assert isinstance(again, Accepted | Paid)
    assert {report.kind for report in reports} <= {"accepted", "paid", "unknown"}
    assert await rehearsal.moved(attempt) == Moved(times=1, minor=1250)


async def test_a_lost_reply_is_unknown_and_never_a_failure(
    rehearsal: Rehearsal, partner: Partner
) -> None:
    attempt = an_attempt()
    await rehearsal.fund("EUR", 1250)

    report = await submit_through(rehearsal, LosesReplies(), attempt)

    assert isinstance(report, Unknown)
    assert await rehearsal.moved(attempt) == Moved(times=1, minor=1250)
    if partner.guarantees.finds_by_reference:
        assert isinstance(await found(partner, attempt), Paid)
    else:
        assert isinstance(await partner.find(attempt), Unknown)


async def test_what_was_never_sent_is_called_absent_only_where_absence_can_be_proved(
    partner: Partner,
) -> None:
    report = await partner.find(an_attempt())

    proves_absence = partner.guarantees.absence_after is not None
    assert isinstance(report, NotFound if proves_absence else Unknown)


async def test_nothing_moves_for_a_request_that_never_left(rehearsal: Rehearsal) -> None:
    attempt = an_attempt()

    report = await submit_through(rehearsal, Fails(httpx.ConnectError("refused")), attempt)

    assert isinstance(report, NotSent)
    assert await rehearsal.moved(attempt) == Moved(times=0, minor=0)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "payee"),
    [
        (1, "JPY", ANA),
        (12_345_678, "JPY", JOE),
        (1, "EUR", ANA),
        (90_071_992_547, "USD", JOE),
        (1, "KWD", ANA),
        (1_234_567, "KWD", AKINYI),
        (100, "KES", AKINYI),
    ],
)
async def test_amounts_survive_the_wire_in_currencies_of_every_scale(
    rehearsal: Rehearsal,
    partner: Partner,
    amount_minor: int,
    currency: str,
    payee: Beneficiary,
) -> None:
    attempt = an_attempt(amount_minor, currency, payee=payee)
    await rehearsal.fund(currency, amount_minor)

    report = await partner.submit(attempt)

    assert isinstance(report, Accepted | Paid)
    assert await rehearsal.moved(attempt) == Moved(times=1, minor=amount_minor)


@pytest.mark.parametrize("payee", [ANA, JOE, AKINYI], ids=lambda payee: payee.kind)
async def test_the_same_attempt_always_gives_the_same_bytes(
    rehearsal: Rehearsal, partner: Partner, payee: Beneficiary
) -> None:
    attempt = an_attempt(payee=payee)
    read_back = Attempt.model_validate_json(attempt.model_dump_json())
    other = rehearsal.partner()

    assert partner.render(attempt) == other.render(read_back)
    assert partner.render(attempt) != partner.render(an_attempt(payee=payee))
    await other.aclose()


async def test_the_bytes_sent_are_the_bytes_rendered(
    rehearsal: Rehearsal, partner: Partner
) -> None:
    attempt, below = an_attempt(), Answers(500)

    await submit_through(rehearsal, below, attempt)

    (request,) = below.seen
    assert request.content == partner.render(attempt)


@pytest.mark.parametrize("fault", NEVER_LEFT, ids=described)
async def test_a_connection_that_was_never_made_is_not_sent(
    rehearsal: Rehearsal, fault: Exception
) -> None:
    below = Fails(fault)

    assert isinstance(await submit_through(rehearsal, below, an_attempt()), NotSent)
    assert below.requests == 1


@pytest.mark.parametrize("fault", MAY_HAVE_LEFT, ids=described)
async def test_every_other_fault_of_the_network_is_unknown(
    rehearsal: Rehearsal, fault: Exception
) -> None:
    below = Fails(fault)

    assert isinstance(await submit_through(rehearsal, below, an_attempt()), Unknown)
    assert below.requests == 1


@pytest.mark.parametrize("fault", FAULTS, ids=described)
async def test_a_question_that_was_not_answered_says_nothing_of_the_payout(
    rehearsal: Rehearsal, fault: Exception
) -> None:
    partner = rehearsal.partner(Fails(fault))

    assert isinstance(await partner.find(an_attempt()), Unknown)
    assert isinstance(await partner.cancel(an_attempt()), Unknown)


async def test_an_answer_that_breaks_off_is_unknown(rehearsal: Rehearsal) -> None:
    for status in sorted(rehearsal.submit_statuses):
        below = BreaksOff(status, b"{", reading=httpx.ReadError("reset"), closing=None)
        assert isinstance(await submit_through(rehearsal, below, an_attempt()), Unknown)


BODIES = [b"", b"{}", b"null", b'{"status": "paid"}', b"<html><body>Welcome</body></html>", b"\xff"]


async def test_every_status_outside_the_contract_is_unknown(rehearsal: Rehearsal) -> None:
    below = Answers(0)
    partner = rehearsal.partner(below)
    for below.status, below.body in itertools.product(range(100, 600), BODIES):
        if below.status not in rehearsal.submit_statuses:
            report = await partner.submit(an_attempt())
            assert isinstance(report, Unknown), f"status {below.status}, body {below.body!r}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(
    status=st.sampled_from([200, 201, 202, 400, 404, 409, 422, 429, 500]),
    body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
)
async def test_garbage_never_decides_about_money(
    rehearsal: Rehearsal, status: int, body: bytes
) -> None:
    partner = rehearsal.partner(Answers(status, body))

    submitted = await partner.submit(an_attempt())

    assert isinstance(submitted, Unknown | Throttled)
    assert isinstance(submitted, Throttled) == (status == 429)
    assert isinstance(await partner.find(an_attempt()), Unknown)
    assert isinstance(await partner.cancel(an_attempt()), Unknown)
    with pytest.raises(StatementUnavailable):
        await partner.statement(date(2026, 1, 31))


async def test_the_money_of_a_day_is_on_its_statement_and_adds_up(
    rehearsal: Rehearsal, partner: Partner
) -> None:
    await rehearsal.fund("CHF", 5000)
    attempt = an_attempt(1250, "CHF")
    before = datetime.now(UTC).date()
    await partner.submit(attempt)
    await rehearsal.moved(attempt)

    days = {before, datetime.now(UTC).date()}
    statements = [one for day in days for one in await partner.statement(day)]

    lines = [line for one in statements if one.currency == "CHF" for line in one.lines]
    assert -1250 in [line.amount_minor for line in lines]
    for one in statements:
        total = sum(line.amount_minor for line in one.lines)
        assert one.opening_minor + total == one.closing_minor


def test_an_authentic_event_is_read(rehearsal: Rehearsal) -> None:
    partner = rehearsal.partner(NETWORK)
    raw, headers = rehearsal.event()

    events = partner.read_event(raw, headers)

    assert events
    assert {event.partner for event in events} == {partner.name}
    assert events == partner.read_event(raw, headers)


def test_an_event_signed_with_another_secret_is_refused(rehearsal: Rehearsal) -> None:
    raw, headers = rehearsal.event(authentic=False)

    with pytest.raises(EventRefused):
        rehearsal.partner(NETWORK).read_event(raw, headers)


@pytest.mark.parametrize("minutes", [-60 * 24, -10, 10, 60 * 24])
def test_an_event_signed_too_long_ago_or_ahead_is_refused(
    rehearsal: Rehearsal, minutes: int
) -> None:
    raw, headers = rehearsal.event(signed_at=datetime.now(UTC) + timedelta(minutes=minutes))

    with pytest.raises(EventRefused):
        rehearsal.partner(NETWORK).read_event(raw, headers)


def test_an_event_that_was_changed_by_one_byte_is_refused(rehearsal: Rehearsal) -> None:
    raw, headers = rehearsal.event()
    partner = rehearsal.partner(NETWORK)

    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(EventRefused):
            partner.read_event(changed, headers)
    with pytest.raises(EventRefused):
        partner.read_event(raw + b" ", headers)


def test_an_event_that_lacks_a_header_is_refused(rehearsal: Rehearsal) -> None:
    raw, headers = rehearsal.event()
    partner = rehearsal.partner(NETWORK)

    for name in headers:
        with pytest.raises(EventRefused):
            partner.read_event(raw, {key: headers[key] for key in headers if key != name})


@settings(deadline=None)
@given(header=st.text(), body=st.binary(max_size=100))
def test_garbage_in_an_events_headers_or_body_is_refused_and_never_an_error_of_ours(
    rehearsal: Rehearsal, header: str, body: bytes
) -> None:
    raw, headers = rehearsal.event()
    partner = rehearsal.partner(NETWORK)

    for name in headers:
        if headers[name] != header:
            with pytest.raises(EventRefused):
                partner.read_event(raw, {**headers, name: header})
    with pytest.raises(EventRefused):
        partner.read_event(body, headers)


def test_a_name_without_a_folder_is_refused_with_the_names_that_there_are() -> None:
    for wrong in ("nobody", "simulator.bank", "../simulator", "", "port"):
        with pytest.raises(InvalidRequest, match=names()[0]) as refused:
            load(wrong)
        assert refused.value.field == "partner"


def test_every_partner_has_a_folder_page_that_says_how_it_maps() -> None:
    for name in names():
        page = (FOLDER / name / "README.md").read_text()
        assert "guarantee" in page.lower()
