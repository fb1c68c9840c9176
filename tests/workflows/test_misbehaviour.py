"""Whatever the bank does wrong: one payment there, right books here, and the right state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from bursar import PaymentState
from tests.house import House
from tests.payments import a_payout

S = PaymentState


@dataclass(frozen=True)
class End:
    """What must be true in the end."""

    states: frozenset[PaymentState]
    bookings: int
    case: bool = False


PAID_ONCE = End(frozenset({S.SETTLED}), 1)
NEVER = End(frozenset({S.FAILED}), 0)
BACK = End(frozenset({S.RETURNED}), 1)
# An answer echoes something else: it moves nothing, the look-up tells the truth, a person sees it.
QUARANTINED = End(frozenset({S.SETTLED}), 1, case=True)
# The bank contradicts itself. Which word we hear first decides the state; either way the money is
# booked as the bank has it, and a person gets a case.
CONTRADICTED = End(frozenset({S.FAILED, S.SETTLED}), 1, case=True)

# other-reference-echo draws a second payment in: tests/workflows/test_money_evidence.py has it.
ENDS: dict[str, End] = {
    "none": PAID_ONCE,
    "reject": NEVER,
    "reject=account_closed": NEVER,
    "slow-accept": PAID_ONCE,
    "reset-before-booking": PAID_ONCE,
    "reset-after-booking": PAID_ONCE,
    "timeout-before-booking": PAID_ONCE,
    "timeout-after-booking": PAID_ONCE,
    "500-after-booking": PAID_ONCE,
    "500-without-booking": PAID_ONCE,
    "409-on-the-key": PAID_ONCE,
    "409-without-booking": PAID_ONCE,
    "429-seconds": PAID_ONCE,
    "429-date": PAID_ONCE,
    "429-absent": PAID_ONCE,
    "throttle-then-ok": PAID_ONCE,
    "200-empty": PAID_ONCE,
    "200-html": PAID_ONCE,
    "200-truncated": PAID_ONCE,
    "odd-2xx": PAID_ONCE,
    "202-empty": PAID_ONCE,
    "other-amount-echo": QUARANTINED,
    "other-payee-echo": QUARANTINED,
    "accepted-then-failed": NEVER,
    "slow-paid": PAID_ONCE,
    "status-rolled-back": PAID_ONCE,
    "status-rolled-back-for-good": PAID_ONCE,
    "paid-then-returned": BACK,
    "paid-then-returned-less-fee": BACK,
    "partial-return": PAID_ONCE,
    "returned-in-two-parts": BACK,
    "returned-twice": End(frozenset({S.RETURNED}), 1, case=True),
    "return-before-paid": BACK,
    "paid-twice": End(frozenset({S.SETTLED}), 2, case=True),
    "phantom-debit": PAID_ONCE,  # its case is of no payment
    "webhook-lost": PAID_ONCE,
    "webhook-late": PAID_ONCE,
    "webhook-doubled": PAID_ONCE,
    "webhook-doubled-new-ids": PAID_ONCE,
    "webhook-out-of-order": PAID_ONCE,
    "webhook-before-reply": PAID_ONCE,
    "webhook-wrongly-signed": PAID_ONCE,
    "webhook-forged": PAID_ONCE,
    "webhook-credit-first": PAID_ONCE,  # nothing comes back
    "not-found-for-a-while": PAID_ONCE,
    "rejected-but-paid": CONTRADICTED,
    "failed-but-paid": CONTRADICTED,
    "paid-but-told-failed": CONTRADICTED,
}


@pytest.fixture(scope="package")
async def sent(house: House) -> Mapping[str, str]:
    """A payout for every misbehaviour, all under way at once: marker → payout id."""
    bursar = await house.bursar()
    requests = {marker: a_payout(f"[sim:{marker}]") for marker in ENDS}
    for request in requests.values():
        await bursar.pay_out(request)
    return {marker: request.id for marker, request in requests.items()}


@pytest.mark.parametrize("marker", ENDS)
async def test_money_moves_once_or_not_at_all_when_the_bank_answers(
    house: House, sent: Mapping[str, str], marker: str
) -> None:
    end = ENDS[marker]
    view = await house.reaches(sent[marker], *end.states)
    if end.case:
        view = await house.shows(sent[marker], "case")

    async def is_booked() -> bool:  # some of the bank's mistakes come a while later
        return (await house.bookings(sent[marker]))[0] == end.bookings

    await house.until(is_booked)
    assert any(entry.what == "case" for entry in view.timeline) == end.case


async def test_after_every_misbehaviour_the_books_agree_with_the_bank(
    house: House, sent: Mapping[str, str]
) -> None:
    for marker, payment_id in sent.items():
        await house.reaches(payment_id, *ENDS[marker].states)
    await house.quiet()
    await house.agrees()
