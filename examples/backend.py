"""How a backend service pays an order out: save the id first, then send, then wait."""

from bursar import Bursar, IbanAccount, Money, PaymentState, PayoutRequest


async def pay_order(bursar: Bursar, payout_id: str, total_minor: int) -> PaymentState:
    """Pay an order out; safe to call again for the same order, as long as the id is the same."""
    request = PayoutRequest(
        id=payout_id,  # made once with `new_payout_id()` and saved with the order, before sending
        account="wallet/acme/EUR",
        amount=Money(amount_minor=total_minor, currency="EUR"),
        beneficiary=IbanAccount(name="Anna Müller", iban="DE89370400440532013000"),
        reference="Order 4711",
        created_by="service:orders",
    )
    payout = await bursar.pay_out(request)
    return (await payout.result()).state
