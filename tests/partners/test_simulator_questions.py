"""What look-ups, cancels and statements of the simulated bank prove, and what they do not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from bursar.reports import Accepted, NotFound, Paid, Rejected, RejectionCode, Report, Unknown
from partners.port import StatementUnavailable
from partners.simulator.settings import Mode
from tests.partners.faults import Answers, AnswersInTurn
from tests.partners.simulated import ATTEMPT, PAID, payout, raw, the_bank


async def looked_up(status: int, body: Any) -> Report:
    return await the_bank(Answers(status, raw(body))).find(ATTEMPT)


async def test_absence_is_only_what_the_bank_says_in_its_own_words() -> None:
    assert isinstance(await looked_up(404, {"code": "payout_not_found"}), NotFound)
    assert isinstance(await looked_up(200, {"payouts": []}), NotFound)
    assert isinstance(await looked_up(404, {"code": "not_found"}), Unknown)
    assert isinstance(await looked_up(404, {}), Unknown)
    assert isinstance(await looked_up(200, {}), Unknown)
    assert isinstance(await looked_up(200, []), Unknown)


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 409, 410, 422, 429, 500, 503])
async def test_a_look_up_that_failed_says_nothing(status: int) -> None:
    below = Answers(status, raw({"payouts": [PAID], "code": "account_invalid"}))

    assert isinstance(await the_bank(below).find(ATTEMPT), Unknown)


async def test_a_payout_made_twice_is_never_called_paid() -> None:
    twice = {"payouts": [PAID, {**PAID, "id": "bp_000000000002"}]}

    report = await looked_up(200, twice)

    assert isinstance(report, Unknown)
    assert report.differs == ("payouts",)  # so that a person is called
    assert "bp_000000000002" in report.evidence


async def test_a_failed_try_beside_a_paid_one_does_not_hide_it() -> None:
    failed = payout(status="failed", code="other", id="bp_000000000002")

    assert isinstance(await looked_up(200, {"payouts": [PAID, failed]}), Paid)
    assert isinstance(await looked_up(200, {"payouts": [failed, PAID]}), Paid)
    assert isinstance(await looked_up(200, {"payouts": [failed, failed]}), Rejected)


async def test_a_status_told_as_pending_again_is_no_failure() -> None:
    below = AnswersInTurn(
        httpx.Response(200, json={"payouts": [PAID]}),
        httpx.Response(200, json={"payouts": [payout()]}),
    )
    bank = the_bank(below)

    assert isinstance(await bank.find(ATTEMPT), Paid)
    assert isinstance(await bank.find(ATTEMPT), Accepted)


async def cancelled(status: int, body: Any, told: dict[str, Any] | None = None) -> Report:
    below = AnswersInTurn(
        httpx.Response(200, json={"payouts": [told or payout()]}),
        httpx.Response(status, json=body),
    )
    return await the_bank(below).cancel(ATTEMPT)


async def test_a_cancel_is_only_what_the_bank_confirms() -> None:
    report = await cancelled(200, payout(status="cancelled", code="cancelled"))

    assert isinstance(report, Rejected)
    assert report.code is RejectionCode.CANCELLED
    other = payout(status="cancelled", code="cancelled", amount_minor=1)
    assert isinstance(await cancelled(200, other), Unknown)
    assert isinstance(await cancelled(200, payout()), Unknown)
    assert isinstance(await cancelled(200, {}), Unknown)
    assert isinstance(await cancelled(404, {"code": "payout_not_found"}), Unknown)
    assert isinstance(await cancelled(500, {}), Unknown)


async def test_a_cancel_that_comes_too_late_tells_where_the_payout_stands() -> None:
    def refused(told: dict[str, Any]) -> dict[str, Any]:
        return {"code": "not_cancellable", "message": "", "payout": told}

    assert isinstance(await cancelled(409, refused(PAID)), Paid)
    assert isinstance(await cancelled(409, refused(payout())), Accepted)
    assert isinstance(await cancelled(409, {"code": "not_cancellable"}), Unknown)


async def test_what_is_final_at_the_bank_is_not_asked_to_be_cancelled() -> None:
    below = Answers(200, raw({"payouts": [PAID]}))

    assert isinstance(await the_bank(below).cancel(ATTEMPT), Paid)
    assert [request.method for request in below.seen] == ["GET"]


async def test_a_cancel_of_what_the_bank_does_not_know_is_unknown() -> None:
    below = Answers(404, raw({"code": "payout_not_found"}))

    assert isinstance(await the_bank(below).cancel(ATTEMPT), Unknown)


@pytest.mark.parametrize("mode", [Mode.STATEMENT_ONLY, Mode.NEITHER])
async def test_where_nothing_can_be_cancelled_nothing_is_sent(mode: Mode) -> None:
    below = Answers(200, raw(PAID))

    assert isinstance(await the_bank(below, mode).cancel(ATTEMPT), Unknown)
    assert below.seen == []


def line(**changes: Any) -> dict[str, Any]:
    told = {
        "id": "bl_1",
        "seq": 1,
        "booked_at": "2026-01-31T10:00:00.5Z",
        "value_on": "2026-01-31",
        "amount_minor": -1250,
        "currency": "EUR",
        "reference": ATTEMPT.key,
        "kind": "payout",
        "balance_minor": 0,
    }
    return {**told, **changes}


def day(lines: list[dict[str, Any]], on: date, **changes: Any) -> dict[str, Any]:
    closing = 5000 + sum(one["amount_minor"] for one in lines)
    one = {"currency": "EUR", "opening_minor": 5000, "closing_minor": closing, "lines": lines}
    return {"day": on.isoformat(), "statements": [{**one, **changes}]}


class Statements(httpx.AsyncBaseTransport):
    """Answers with lines on yesterday's statement, and none on today's."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = date.fromisoformat(request.url.path.rpartition("/")[2])
        lines = self.lines if asked < datetime.now(UTC).date() else []
        return httpx.Response(200, json=day(lines, asked))


@pytest.mark.parametrize(
    ("lines", "meaning"),
    [
        ([line()], Paid),
        ([], Unknown),
        ([line(reference=None)], Unknown),
        ([line(reference="po_other-1")], Unknown),
        ([line(kind="payout_return", amount_minor=1250)], Unknown),
        ([line(amount_minor=-1251)], Unknown),
        ([line(), line(id="bl_2")], Unknown),
        ([line(), line(id="bl_2", kind="payout_return", amount_minor=1250)], Paid),
    ],
)
async def test_without_a_look_up_only_a_debit_on_the_statement_proves_anything(
    lines: list[dict[str, Any]], meaning: type[Report]
) -> None:
    report = await the_bank(Statements(lines), Mode.STATEMENT_ONLY).find(ATTEMPT)

    assert isinstance(report, meaning)


async def test_without_a_look_up_or_references_the_bank_is_not_asked() -> None:
    below = Answers(200, raw({"payouts": [PAID]}))

    assert isinstance(await the_bank(below, Mode.NEITHER).find(ATTEMPT), Unknown)
    assert below.seen == []


DAY = date(2026, 1, 31)


@pytest.mark.parametrize(
    "body",
    [
        day([line()], DAY, closing_minor=1),
        day([line(currency="USD")], DAY),
        day([line()], date(2026, 1, 30)),
        {"day": "2026-01-31", "statements": [{"currency": "EUR", "opening_minor": "0"}]},
        {**day([], DAY), "day": 20_260_131},
        {"day": "2026-01-31"},
    ],
)
async def test_a_statement_that_does_not_add_up_is_no_statement(body: dict[str, Any]) -> None:
    with pytest.raises(StatementUnavailable):
        await the_bank(Answers(200, raw(body))).statement(DAY)


async def test_a_strangers_words_on_a_statement_are_kept_printable() -> None:
    body = day([line(kind="credit", amount_minor=1, reference="rent\x00\n \u202edrawkcab")], DAY)

    (statement,) = await the_bank(Answers(200, raw(body))).statement(DAY)

    assert statement.lines[0].reference == "rent drawkcab"
