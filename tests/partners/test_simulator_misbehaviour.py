"""Every misbehaving answer of the simulated bank, over real sockets, and what moved there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bursar.reports import Accepted, Paid, Rejected, RejectionCode, Report, Throttled, Unknown
from partners.rehearsal import Moved
from partners.simulator.rehearsal import SimulatorRehearsal, open_rehearsal
from partners.simulator.settings import Mode
from tests.partners.attempts import an_attempt

AMOUNT = 700

NOT_PROCESSED = {
    "reset-before-booking",
    "timeout-before-booking",
    "500-without-booking",
    "409-without-booking",
}
BOOKED = {
    "reset-after-booking",
    "timeout-after-booking",
    "500-after-booking",
    "409-on-the-key",
    "200-empty",
    "200-html",
    "200-truncated",
    "odd-2xx",
    "202-empty",
    "other-amount-echo",
    "other-payee-echo",
    "other-reference-echo",
    "not-found-for-a-while",
}


@pytest.fixture(scope="module")
async def bank(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimulatorRehearsal]:
    """A bank with keys and look-up, and money for everything below."""
    directory = tmp_path_factory.mktemp("misbehaving")
    async with open_rehearsal(Mode.KEYS_AND_LOOKUP, directory) as running:
        await running.ask("POST", "/control/settings", {"not_found_seconds": 0.5})
        await running.fund("EUR", 1_000_000)
        yield running


async def submit(bank: SimulatorRehearsal, behaviour: str) -> tuple[Report, Report, Moved]:
    """Return the answer to a submit, the answer to a repeat of it, and what the bank booked."""
    attempt = an_attempt(AMOUNT, reference=f"Invoice 7 [sim:{behaviour}]")
    partner = bank.partner()
    try:
        assert partner.guarantees.may_resend(timedelta(0))
        first = await partner.submit(attempt)
        return first, await partner.submit(attempt), await bank.moved(attempt)
    finally:
        await partner.aclose()


@pytest.mark.parametrize("behaviour", sorted(NOT_PROCESSED | BOOKED))
async def test_an_answer_that_says_nothing_is_unknown_and_a_repeat_pays_once(
    bank: SimulatorRehearsal, behaviour: str
) -> None:
    first, repeat, moved = await submit(bank, behaviour)

    assert isinstance(first, Unknown)
    assert first.evidence
    assert isinstance(repeat, Accepted | Paid)
    assert moved == Moved(times=1, minor=AMOUNT)


@pytest.mark.parametrize("behaviour", sorted(NOT_PROCESSED | BOOKED))
async def test_a_look_up_tells_whether_it_was_booked_once_the_lag_has_passed(
    bank: SimulatorRehearsal, behaviour: str
) -> None:
    attempt = an_attempt(AMOUNT, reference=f"Invoice 7 [sim:{behaviour}]")
    partner = bank.partner()
    await partner.submit(attempt)
    moved = await bank.moved(attempt)

    report = await partner.find(attempt)
    while moved.times and not isinstance(report, Paid):  # within the bank's published lag
        report = await partner.find(attempt)
    await partner.aclose()

    assert (report.kind == "paid") is (behaviour in BOOKED)
    assert (report.kind == "not_found") is (behaviour in NOT_PROCESSED)


@pytest.mark.parametrize(
    ("behaviour", "differs"),
    [
        ("other-amount-echo", "amount_minor"),
        ("other-payee-echo", "beneficiary.account"),
        ("other-reference-echo", "reference"),
    ],
)
async def test_an_answer_that_echoes_something_else_says_what_differs_p12(
    bank: SimulatorRehearsal, behaviour: str, differs: str
) -> None:
    first, _, _ = await submit(bank, behaviour)

    assert isinstance(first, Unknown)
    assert first.differs == (differs,)
    assert (first.other_reference is not None) is (differs == "reference")


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("reject", RejectionCode.ACCOUNT_INVALID),
        ("reject=account_closed", RejectionCode.ACCOUNT_CLOSED),
        ("reject=insufficient_funds", RejectionCode.PARTNER_FUNDS),
        ("reject=compliance", RejectionCode.COMPLIANCE),
    ],
)
async def test_a_definite_no_moves_nothing_and_stays_one(
    bank: SimulatorRehearsal, behaviour: str, code: RejectionCode
) -> None:
    first, repeat, moved = await submit(bank, behaviour)

    assert isinstance(first, Rejected)
    assert first.code is code
    assert isinstance(repeat, Rejected)
    assert moved.times == 0


@pytest.mark.parametrize(
    ("behaviour", "least", "most"),
    [("429-seconds", 1.0, 1.0), ("throttle-then-ok", 1.0, 1.0), ("429-date", 0.0, 3.0)],
)
async def test_a_throttled_call_says_how_long_to_wait(
    bank: SimulatorRehearsal, behaviour: str, least: float, most: float
) -> None:
    first, _, moved = await submit(bank, behaviour)

    assert isinstance(first, Throttled)
    assert first.retry_after_seconds is not None
    assert least <= first.retry_after_seconds <= most
    assert moved.times <= 1


async def test_a_throttled_call_without_a_time_to_wait_is_throttled_all_the_same(
    bank: SimulatorRehearsal,
) -> None:
    first, repeat, _ = await submit(bank, "429-absent")

    assert isinstance(first, Throttled)
    assert first.retry_after_seconds is None
    assert isinstance(repeat, Accepted | Paid)


async def test_a_slow_answer_is_an_answer(bank: SimulatorRehearsal) -> None:
    first, _, moved = await submit(bank, "slow-accept")

    assert isinstance(first, Accepted | Paid)
    assert moved == Moved(times=1, minor=AMOUNT)


async def test_what_fails_after_it_was_accepted_is_found_as_failed(
    bank: SimulatorRehearsal,
) -> None:
    attempt = an_attempt(AMOUNT, reference="Invoice 7 [sim:accepted-then-failed=account_closed]")
    partner = bank.partner()

    first = await partner.submit(attempt)
    moved = await bank.moved(attempt)
    later = await partner.find(attempt)
    await partner.aclose()

    assert isinstance(first, Accepted)
    assert isinstance(later, Rejected)
    assert later.code is RejectionCode.ACCOUNT_CLOSED
    assert moved.times == 0


async def test_a_payout_that_is_still_pending_can_be_cancelled_and_then_never_moves(
    bank: SimulatorRehearsal,
) -> None:
    attempt = an_attempt(AMOUNT, reference="Invoice 7 [sim:slow-paid]")
    partner = bank.partner()

    first = await partner.submit(attempt)
    cancelled = await partner.cancel(attempt)
    again = await partner.cancel(attempt)
    await partner.aclose()

    assert isinstance(first, Accepted)
    assert isinstance(cancelled, Rejected)
    assert cancelled.code is RejectionCode.CANCELLED
    assert again.kind == "rejected"
    assert (await bank.moved(attempt)).times == 0


async def test_a_cancel_after_the_booking_tells_that_it_is_paid(bank: SimulatorRehearsal) -> None:
    attempt = an_attempt(AMOUNT)
    partner = bank.partner()

    await partner.submit(attempt)
    moved = await bank.moved(attempt)
    report = await partner.cancel(attempt)
    await partner.aclose()

    assert moved.times == 1
    assert isinstance(report, Paid)
