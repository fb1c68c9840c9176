"""Sending many: bounded, each id once, and every line gets its own answer."""

from __future__ import annotations

import asyncio

import pytest

from bursar.cli.codes import ExitCode
from bursar.cli.files import Form, Line, payouts_in
from bursar.cli.sending import (
    FAILURES_IN_A_ROW_MAX,
    IN_FLIGHT_MAX,
    Outcome,
    checked,
    plan,
    report,
    send,
)
from bursar.errors import InvalidRequest, PaymentConflict, ServiceUnavailable
from bursar.payments import PayoutRequest
from tests.cli.sample import HEADER, good


def lines_of(*lines: str) -> list[Line[PayoutRequest]]:
    read, refused = payouts_in("\n".join([HEADER, *lines]).encode(), Form.CSV, name="p.csv")
    assert not refused
    return read


def many(count: int) -> list[Line[PayoutRequest]]:
    return lines_of(*(good(f"po_{n}") for n in range(count)))


def test_the_first_line_of_an_id_goes_and_later_ones_are_repeats_or_conflicts() -> None:
    made = plan(lines_of(good("po_1"), good("po_2"), good("po_1"), good("po_1", "13.00")))
    assert [line.number for line in made.lines] == [2, 3]
    assert [(one.line, one.outcome) for one in made.set_aside] == [
        (4, Outcome.REPEATED),
        (5, Outcome.CONFLICT),
    ]


async def test_no_more_than_the_bound_are_under_way_at_once_and_all_are_sent() -> None:
    under_way = most = 0
    started: set[str] = set()

    async def start(request: PayoutRequest) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(5):  # let every clerk begin before the first one is done
            await asyncio.sleep(0)
        started.add(request.id)
        under_way -= 1
        return False

    answers = await send(many(100), start)
    assert most == IN_FLIGHT_MAX
    assert len(started) == len(answers) == 100
    assert {answer.outcome for answer in answers} == {Outcome.STARTED}


async def test_after_too_many_unanswered_starts_the_rest_is_not_tried() -> None:
    tried = 0

    async def start(request: PayoutRequest) -> bool:
        nonlocal tried
        tried += 1
        raise ServiceUnavailable("gone")

    answers = await send(many(200), start)
    assert FAILURES_IN_A_ROW_MAX <= tried < FAILURES_IN_A_ROW_MAX + IN_FLIGHT_MAX
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count(Outcome.UNKNOWN) == tried
    assert outcomes.count(Outcome.NOT_SENT) == 200 - tried


async def test_one_answer_between_failures_keeps_the_sending_alive() -> None:
    tried = 0

    async def start(request: PayoutRequest) -> bool:
        nonlocal tried
        tried += 1
        if tried % 3:
            raise ServiceUnavailable("busy")
        return True

    answers = await send(many(200), start)
    assert tried == len(answers) == 200


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (None, Outcome.STARTED, ExitCode.OK),
        (InvalidRequest("no"), Outcome.FAILED, ExitCode.INVALID),
        (PaymentConflict("po_0"), Outcome.CONFLICT, ExitCode.CONFLICT),
        (ServiceUnavailable("gone"), Outcome.UNKNOWN, ExitCode.UNAVAILABLE),
    ],
)
async def test_the_worst_answer_decides_the_exit_code(
    error: Exception | None, outcome: Outcome, code: ExitCode
) -> None:
    async def start(request: PayoutRequest) -> bool:
        if error is not None and request.id == "po_0":
            raise error
        return False

    made = report("p.csv", check=False, sent=await send(many(3), start), refused=[])
    assert made.sent[0].outcome is outcome
    assert made.exit_code is code


def test_sums_count_each_payment_once_and_by_currency() -> None:
    made = plan(lines_of(good("po_1"), good("po_1"), good("po_2", "0.50"), good("po_2")))
    done = report("p.csv", check=True, sent=[*checked(made.lines), *made.set_aside], refused=[])
    assert done.sums() == {"EUR": (2, 1300)}
    assert done.counts() == {"good": 2, "repeated": 1, "conflict": 1}
