"""Payments driven through the real books, step by step, as the activities do it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date

from bursar.beneficiaries import Beneficiary, IbanAccount
from bursar.ids import attempt_key
from bursar.money import Money
from bursar.payments import (
    PaymentKind,
    PaymentState,
    PayoutRequest,
    TransferRequest,
    content_hash,
)
from ledger import accounts, postings
from ledger.books import Books, Payment
from ledger.changes import (
    AttemptClosed,
    AttemptOpened,
    CaseOpened,
    Change,
    Leg,
    Move,
    Registration,
    Written,
)
from ledger.postgres import PostgresBooks

S = PaymentState
BANK = "bank"
DAY = date(2026, 3, 2)
ACME = accounts.wallet("acme", "EUR")
ZENITH = accounts.wallet("zenith", "EUR")
CURRENCIES = ("EUR", "JPY", "KWD")
SOMEONE = IbanAccount(name="Ana Lima", iban="DE89370400440532013000")


class Driver:
    """Moves money for tests; each method is one change, or the few that belong together."""

    def __init__(self, books: Books) -> None:
        self.books = books

    async def open_accounts(self) -> None:
        """Open the rail's accounts and two customers' in three currencies."""
        await self.books.open_accounts(
            [
                *accounts.rail_accounts(BANK, CURRENCIES),
                *(
                    accounts.wallet_account(accounts.wallet(owner, currency), "main")
                    for owner in ("acme", "zenith")
                    for currency in CURRENCIES
                ),
            ]
        )

    async def deposit(self, account: str, amount_minor: int, event: str = "evt_1") -> Written:
        """Book a credit at the bank for an account."""
        currency = account.rpartition("/")[2]
        return await self._write(
            f"deposit/{BANK}/{event}",
            "deposit",
            legs=postings.deposit(account, BANK, currency, amount_minor=amount_minor),
            evidence_id=f"event/{event}",
        )

    async def open_payout(
        self,
        payout_id: str,
        after: PaymentState = S.RESERVED,
        *,
        amount_minor: int = 100_00,
        fee_minor: int = 50,
        beneficiary: Beneficiary = SOMEONE,
        terms: dict[str, object] | None = None,
        batch_id: str | None = None,
        account: str = ACME,
    ) -> Written:
        """Register a payout and take it to its first state."""
        currency = account.rpartition("/")[2]
        request = PayoutRequest(
            id=payout_id,
            account=account,
            amount=Money(amount_minor=amount_minor, currency=currency),
            beneficiary=beneficiary,
            reference=f"Invoice of {payout_id}",
            created_by="orders",
            batch_id=batch_id,
        )
        legs: Sequence[Leg] = ()
        if after is S.RESERVED:
            legs = postings.hold(account, currency, amount_minor=amount_minor, fee_minor=fee_minor)
        opens = self._registration(request, account, fee_minor, terms or {})
        return await self._open(payout_id, opens, after, legs, "hold" if legs else str(after))

    async def open_transfer(
        self, transfer_id: str, *, amount_minor: int = 10_00, fee_minor: int = 0
    ) -> Written:
        """Register a transfer from acme to zenith and book it."""
        request = TransferRequest(
            id=transfer_id,
            source=ACME,
            destination=ZENITH,
            amount=Money(amount_minor=amount_minor, currency="EUR"),
            reference="Rent",
            created_by="orders",
        )
        legs = postings.transfer(
            ACME, ZENITH, "EUR", amount_minor=amount_minor, fee_minor=fee_minor
        )
        opens = self._registration(request, ACME, fee_minor, {})
        return await self._open(transfer_id, opens, S.SETTLED, legs, "transfer")

    async def claim(self, payout_id: str) -> Written:
        """Commit the attempt: from here on bytes may leave."""
        payment = await self._payment(payout_id)
        return await self._move(
            payout_id,
            "claim",
            S.RESERVED,
            S.SUBMITTING,
            attempt=AttemptOpened(
                ordinal=1,
                key=attempt_key(payout_id, 1),
                partner=BANK,
                wire_hash="a" * 64,
                content_hash=payment.content_hash,
            ),
        )

    async def lose_track(self, payout_id: str) -> Written:
        """Record that the outcome is not known."""
        return await self._move(
            payout_id,
            "unknown",
            S.SUBMITTING,
            S.OUTCOME_UNKNOWN,
            attempt=AttemptClosed(key=attempt_key(payout_id, 1), result="unknown"),
        )

    async def review(self, payout_id: str) -> Written:
        """Give a payout whose outcome is unknown to a person."""
        return await self._move(
            payout_id,
            "review",
            S.OUTCOME_UNKNOWN,
            S.IN_REVIEW,
            case=CaseOpened(kind="outcome_unknown", detail="no definite answer"),
        )

    async def capture(self, payout_id: str, before: PaymentState = S.SUBMITTING) -> Written:
        """Book the bank's acceptance."""
        payment = await self._payment(payout_id)
        legs = postings.capture(
            f"{payout_id}/hold",
            payment.request["account"],
            BANK,
            payment.currency,
            amount_minor=payment.amount_minor,
            fee_minor=payment.fee_minor,
        )
        attempt = AttemptClosed(
            key=attempt_key(payout_id, 1), result="accepted", partner_ref="ref-1"
        )
        return await self._move(
            payout_id, "capture", before, S.SUBMITTED, legs, attempt=attempt, evidence="word/1"
        )

    async def settle(self, payout_id: str, cost_minor: int = 0) -> Written:
        """Book that the bank has booked."""
        payment = await self._payment(payout_id)
        legs = postings.settle(
            BANK, payment.currency, amount_minor=payment.amount_minor, cost_minor=cost_minor
        )
        return await self._move(
            payout_id, "settle", S.SUBMITTED, S.SETTLED, legs, evidence="event/paid"
        )

    async def void(
        self, payout_id: str, before: PaymentState = S.RESERVED, after: PaymentState = S.CANCELLED
    ) -> Written:
        """Release the hold: a cancel in time, or the bank's no."""
        payment = await self._payment(payout_id)
        legs = postings.void(
            f"{payout_id}/hold",
            payment.request["account"],
            payment.currency,
            amount_minor=payment.amount_minor,
            fee_minor=payment.fee_minor,
        )
        return await self._move(payout_id, "void", before, after, legs, evidence="word/2")

    async def fail(self, payout_id: str, code: str = "account_closed") -> Written:
        """Book the bank's no after it had accepted."""
        payment = await self._payment(payout_id)
        legs = postings.uncapture(
            payment.request["account"],
            BANK,
            payment.currency,
            amount_minor=payment.amount_minor,
            fee_minor=payment.fee_minor,
            hold_key=f"{payout_id}/hold",
        )
        attempt = AttemptClosed(key=attempt_key(payout_id, 1), result="rejected", code=code)
        return await self._move(
            payout_id,
            "uncapture",
            S.SUBMITTED,
            S.FAILED,
            legs,
            attempt=attempt,
            evidence="event/no",
        )

    async def give_back(self, payout_id: str, kept_minor: int = 0) -> Written:
        """Book that a settled payout came back."""
        payment = await self._payment(payout_id)
        legs = postings.returned(
            payment.request["account"],
            BANK,
            payment.currency,
            amount_minor=payment.amount_minor,
            kept_minor=kept_minor,
            hold_key=f"{payout_id}/hold",
        )
        return await self._move(
            payout_id, "return", S.SETTLED, S.RETURNED, legs, evidence="event/back"
        )

    async def settle_whole_payout(
        self, payout_id: str, *, amount_minor: int = 100_00, fee_minor: int = 50
    ) -> None:
        """Take a payout from its opening to settled."""
        await self.open_payout(payout_id, amount_minor=amount_minor, fee_minor=fee_minor)
        await self.claim(payout_id)
        await self.capture(payout_id)
        await self.settle(payout_id)

    async def pay_after_no(self, payout_id: str) -> Written:
        """Book that the bank has paid although it had said no."""
        payment = await self._payment(payout_id)
        return await self._write(
            f"{payout_id}/paid_after_failed",
            "paid_after_failed",
            legs=postings.paid_after_failed(
                BANK, payment.currency, amount_minor=payment.amount_minor
            ),
            evidence_id="event/late",
            payment_id=payout_id,
        )

    async def _open(
        self,
        payment_id: str,
        opens: Registration,
        after: PaymentState,
        legs: Sequence[Leg],
        kind: str,
    ) -> Written:
        step = "hold" if after is S.RESERVED else "open"
        return await self.books.write(
            Change(
                key=f"{payment_id}/{step}",
                kind=kind,
                actor="orders",
                payment_id=payment_id,
                opens=opens,
                moves=(Move(before=None, after=S.RECEIVED), Move(before=S.RECEIVED, after=after)),
                if_refused=S.REFUSED,
                legs=tuple(legs),
                effective_on=DAY,
            )
        )

    def _registration(
        self,
        request: PayoutRequest | TransferRequest,
        account: str,
        fee_minor: int,
        terms: dict[str, object],
    ) -> Registration:
        is_payout = isinstance(request, PayoutRequest)
        return Registration(
            kind=PaymentKind.PAYOUT if is_payout else PaymentKind.TRANSFER,
            tenant=request.tenant,
            account=account,
            currency=request.amount.currency,
            amount_minor=request.amount.amount_minor,
            fee_minor=fee_minor,
            partner=BANK if is_payout else None,
            content_hash=content_hash(request),
            request=request.model_dump(mode="json"),
            terms=terms,
            created_by=request.created_by,
            batch_id=request.batch_id,
        )

    async def _move(
        self,
        payment_id: str,
        kind: str,
        before: PaymentState,
        after: PaymentState,
        legs: tuple[Leg, ...] = (),
        *,
        attempt: AttemptOpened | AttemptClosed | None = None,
        case: CaseOpened | None = None,
        evidence: str | None = None,
    ) -> Written:
        written = await self.books.write(
            Change(
                key=f"{payment_id}/{kind}/1",
                kind=kind,
                actor="partner:bank" if evidence else "bursar",
                reason=f"because of {kind}",
                payment_id=payment_id,
                moves=(Move(before=before, after=after),),
                legs=legs,
                effective_on=DAY,
                evidence_id=evidence,
                attempt=attempt,
                case=case,
            )
        )
        assert written.refusal is None
        assert written.state is after
        return written

    async def _write(
        self,
        key: str,
        kind: str,
        *,
        legs: tuple[Leg, ...],
        evidence_id: str,
        payment_id: str | None = None,
    ) -> Written:
        return await self.books.write(
            Change(
                key=key,
                kind=kind,
                actor="partner:bank",
                payment_id=payment_id,
                legs=legs,
                effective_on=DAY,
                evidence_id=evidence_id,
            )
        )

    async def _payment(self, payment_id: str) -> Payment:
        payment = await self.books.payment(payment_id)
        assert payment is not None
        return payment


@asynccontextmanager
async def driving(database_url: str) -> AsyncIterator[Driver]:
    """Give a driver of books in which both customers have money."""
    async with PostgresBooks.open(database_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 2_000_00, "evt_1")
        await driver.deposit(accounts.wallet("acme", "JPY"), 5_000, "evt_2")
        await driver.deposit(accounts.wallet("acme", "KWD"), 7_001, "evt_3")
        yield driver


async def live_every_life(driver: Driver) -> None:
    """Leave a payout in every state, and a transfer."""
    for payout_id in ("po_held", "po_claimed", "po_unknown", "po_review", "po_accepted"):
        await driver.open_payout(payout_id)
    for payout_id in ("po_voided", "po_failed"):
        await driver.open_payout(payout_id, amount_minor=30_00)
    for payout_id in ("po_claimed", "po_unknown", "po_review", "po_accepted"):
        await driver.claim(payout_id)
    for payout_id in ("po_unknown", "po_review"):
        await driver.lose_track(payout_id)
    await driver.review("po_review")
    await driver.capture("po_accepted")
    await driver.void("po_voided")
    await driver.claim("po_failed")
    await driver.capture("po_failed")
    await driver.fail("po_failed")
    await driver.pay_after_no("po_failed")
    await driver.settle_whole_payout("po_settled")
    await driver.settle_whole_payout("po_returned", amount_minor=20_00, fee_minor=0)
    await driver.give_back("po_returned", kept_minor=1_00)
    await driver.open_payout("po_yen", account=accounts.wallet("acme", "JPY"), amount_minor=999)
    await driver.open_payout("po_refused", amount_minor=10**9)
    await driver.open_payout("po_waiting", S.AWAITING_APPROVAL)
    await driver.open_transfer("tr_booked", amount_minor=10_00, fee_minor=25)
    await driver.deposit(ZENITH, 20_00, "evt_4")
