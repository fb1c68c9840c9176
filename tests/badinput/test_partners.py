"""Partners: whatever bytes answer or arrive, the end is `Unknown` or `EventRefused`, never a crash."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.reports import Accepted, EventKind, NotFound, Paid, Rejected, Throttled, Unknown
from partners.port import EventRefused, StatementUnavailable
from partners.simulator.rehearsal import credit_body, signed
from tests.partners.faults import Answers
from tests.partners.simulated import ATTEMPT, PAID, RETURNED, payout, raw, the_bank

MUTATIONS = int(os.environ.get("BURSAR_FUZZ_MUTATIONS", "400"))

ANSWERS: tuple[bytes, ...] = (
    raw(payout()),
    raw(PAID),
    raw(RETURNED),
    raw({"payouts": [payout()]}),
    raw(
        {
            "code": "account_closed",
            "message": "no",
            "payout": payout(status="failed", code="compliance"),
        }
    ),
)
EVENTS: tuple[bytes, ...] = (
    credit_body(),
    *(
        raw(
            {
                "id": "evt_1",
                "type": f"payout.{kind}",
                "timestamp": "2026-01-31T10:00:00Z",
                "data": data,
            }
        )
        for kind, data in (("paid", PAID), ("returned", RETURNED), ("accepted", payout()))
    ),
)
TOKENS = (
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"0",
        b"-1",
        b"1e999",
        b"NaN",
        b"1" * 50,
        b"1" * 4_300,
        b"1" * 5_000,
    ),
    *(
        b"\\u0000",
        b"\\ud800",
        b"\xff",
        b"\0",
        b'"',
        b"{",
        b"}",
        b"[",
        b",",
        b"[" * 300,
        b'{"a":' * 300,
    ),
    *(
        b"0001-01-01T00:00:00+14:00",
        b"9999-12-31",
        b"paid",
        b"settled",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xae",
    ),
)


def mutated(rng: random.Random, body: bytes) -> bytes:
    """Return bytes that were a message before something happened to them."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(6):
            case 0:
                body = body[:at]
            case 1:
                body = body[:at] + rng.choice(TOKENS) + body[at:]
            case 2:
                body = body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
            case 3:
                body = body[:at] + body[at + rng.randint(1, 40) :]
            case 4:
                body = body + body[at:]
            case _:
                body = body[:at] + rng.choice(TOKENS) + body[at + rng.randint(1, 20) :]
    return body


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 401, 404, 409, 422, 429, 500, 503])
async def test_no_answer_crashes_the_adapter_or_passes_for_more_than_it_says(status: int) -> None:
    rng = random.Random(status)  # noqa: S311 - the same bytes in every run
    for _ in range(MUTATIONS):
        body = mutated(rng, rng.choice(ANSWERS))
        headers = {
            "retry-after": rng.choice(
                ["", "-1", "1e9", "x", "9" * 99, "Fri, 99 Foo 2026 00:00:00 GMT"]
            )
        }
        bank = the_bank(Answers(status, body, headers))
        reports = [await bank.submit(ATTEMPT), await bank.find(ATTEMPT), await bank.cancel(ATTEMPT)]
        assert all(
            isinstance(each, Accepted | Paid | Rejected | NotFound | Throttled | Unknown)
            for each in reports
        )
        if isinstance(reports[0], Rejected) and status != 422:
            assert b'"failed"' in body or b'"cancelled"' in body
        if isinstance(reports[0], Accepted | Paid):
            assert status == 201
            told = json.loads(body)
            assert (told["amount_minor"], told["currency"]) == (1250, "EUR")
            assert told["reference"] == ATTEMPT.key
        for each in reports:
            assert ATTEMPT.beneficiary.account() not in each.evidence


async def test_no_statement_crashes_the_adapter() -> None:
    rng = random.Random(1)  # noqa: S311
    from datetime import date

    day = raw(
        {
            "day": "2026-01-31",
            "statements": [
                {
                    "currency": "EUR",
                    "opening_minor": 0,
                    "closing_minor": -1250,
                    "lines": [
                        {
                            "id": "bl_1",
                            "booked_at": "2026-01-31T10:00:00Z",
                            "value_on": "2026-01-31",
                            "amount_minor": -1250,
                            "currency": "EUR",
                            "reference": ATTEMPT.key,
                            "kind": "payout",
                        }
                    ],
                }
            ],
        }
    )
    for _ in range(MUTATIONS):
        bank = the_bank(Answers(200, mutated(rng, day)))
        try:
            for told in await bank.statement(date(2026, 1, 31)):
                assert (
                    told.opening_minor + sum(x.amount_minor for x in told.lines)
                    == told.closing_minor
                )
        except StatementUnavailable:
            pass


def test_no_event_body_that_is_authentic_crashes_the_reader_or_is_guessed_at() -> None:
    rng = random.Random(2)  # noqa: S311
    bank = the_bank(Answers(500))
    for _ in range(MUTATIONS * 3):
        body = mutated(rng, rng.choice(EVENTS))
        try:
            text, headers = signed(body)
        except UnicodeDecodeError:  # the bank signs text only
            text, headers = body, signed(b"{}")[1]
        try:
            (event,) = bank.read_event(text, headers)
        except EventRefused:
            continue
        if event.kind is not EventKind.UNRECOGNISED:
            told = json.loads(text)["data"]
            assert event.currency == told["currency"]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=80),
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "Webhook-Id"]),
        st.text(max_size=40) | st.sampled_from(["v1,AAAA", "1764249400", "nan", "1e400", "evt_1"]),
    ),
)
def test_no_unsigned_event_is_read_whatever_its_headers_say(body: bytes, headers: Any) -> None:
    with pytest.raises(EventRefused):
        the_bank(Answers(500)).read_event(body, headers)
