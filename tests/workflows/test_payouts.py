"""A payout moves money once, whatever the bank does."""

from __future__ import annotations

from bursar import Bursar, PaymentState
from tests.house import House
from tests.payments import a_payout

S = PaymentState


async def test_a_payout_settles_and_both_books_agree(house: House, bursar: Bursar) -> None:
    request = a_payout()
    result = await (await bursar.pay_out(request)).result()
    assert result.state is S.SETTLED
    assert await house.bookings(request.id) == (1, 12_50)
    view = await house.view(request.id)
    assert [posting.kind for posting in view.postings if posting.entries] == [
        "hold",
        "capture",
        "settle",
    ]
    await house.agrees()
