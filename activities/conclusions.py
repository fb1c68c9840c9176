"""Conclusions: what a partner's word does to a payment and to the books.

One place for answers to our calls, look-ups, events and people's decisions: whichever comes first
moves the payment, and what says the same later changes nothing. Every step is a change with a key
of its own, so it may be repeated, and raced, without harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from activities.effect import check_in_effect, check_not_refused
from activities.terms import Standing
from bursar.ids import attempt_key
from bursar.payments import CANCELLABLE, PaymentState
from bursar.reports import Accepted, Paid, Rejected, RejectionCode
from ledger import postings
from ledger.books import Books, Payment
from ledger.changes import AttemptClosed, CaseOpened, Change, Leg, Move

HELD = frozenset({PaymentState.SUBMITTING, PaymentState.OUTCOME_UNKNOWN, PaymentState.IN_REVIEW})
"""States in which the attempt is out and the money is held."""

UNCLAIMED = CANCELLABLE
"""States in which no partner can know the payment, if all is right."""

NEVER_MOVED = frozenset(
    {
        PaymentState.REFUSED,
        PaymentState.DENIED,
        PaymentState.EXPIRED,
        PaymentState.CANCELLED,
        PaymentState.FAILED,
    }
)

Word = Accepted | Paid | Rejected


@dataclass(frozen=True)
class Evidence:
    """Who says so, and where it can be read again."""

    actor: str
    id: str
    reason: str | None = None
    event_row: int | None = None
    value_on: date | None = None
    closes_cases: bool = False
    fence: int | None = None
    """Given where it holds only as long as nobody else may have sent: see `never_sent`."""


class PaymentMissing(RuntimeError):
    """A step was asked for a payment that the register does not have: a bug, so it waits."""


class Conclusions:
    """Turns a partner's word into changes of the books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def payment(self, payment_id: str) -> Payment:
        """Return a payment that must exist."""
        payment = await self._books.payment(payment_id)
        if payment is None:
            raise PaymentMissing(payment_id)
        return payment

    async def conclude(self, payment_id: str, word: Word, evidence: Evidence) -> Standing:
        """Book what a word proves, whatever the payment's state; return where it stands then."""
        if isinstance(word, Paid) and await self._is_no_first_debit(payment_id, word, evidence):
            return await self._quarantined(payment_id, evidence)
        steps: dict[type[Word], Callable[[Payment, Evidence], Awaitable[bool]]] = {
            Accepted: lambda payment, ev: self._accepted(payment, _ref(word), ev),
            Paid: lambda payment, ev: self._paid(payment, _ref(word), ev),
            Rejected: lambda payment, ev: self._rejected(payment, _code(word), ev),
        }
        step = steps[type(word)]
        decided = False
        while await step(payment := await self.payment(payment_id), evidence):
            decided = True  # it has moved, by us or by another: look again until nothing is left
        if evidence.event_row is not None:
            await self._books.set_event_aside(evidence.event_row, f"known: {payment.state}")
        if not decided:
            payment = await self.payment(payment_id)  # the word may have opened a case
        return Standing(
            payment_id=payment_id,
            state=payment.state,
            code=_code(word) if decided else None,
            partner_ref=_ref(word),
            open_cases=payment.open_cases,
        )

    async def never_sent(
        self, payment_id: str, code: RejectionCode, evidence: Evidence
    ) -> Standing:
        """End a payout of which nothing has left, unless somebody may have sent it since.

        It is our own no and not the partner's: the fence of `evidence` is that of the permission
        to send which was used in vain. The books take no other word under it once a newer one is
        given, and the payment is then left where it is.
        """
        payment = await self.payment(payment_id)
        if payment.state in HELD:
            await self._fail(payment, _released(payment), "void", code, evidence)
            payment = await self.payment(payment_id)
        failed = payment.state is PaymentState.FAILED
        return standing_of(payment).model_copy(update={"code": code.value if failed else None})

    async def _is_no_first_debit(self, payment_id: str, word: Paid, evidence: Evidence) -> bool:
        """Tell whether a debit is another than this payment's one, and then give it to a person.

        The first line that a partner names is the payment, whatever its state says by then. One
        that is not handed over yet notes none: it may still be handed over, and find it paid.
        """
        payment = await self.payment(payment_id)
        if word.line_ref is None or payment.state in UNCLAIMED:
            return False
        line = await self._books.note_line(
            partner(payment), word.line_ref, payment.id, "paid", payment.amount_minor
        )
        if line.payment_id != payment.id:
            text = f"{evidence.actor} tells one debit, {word.line_ref}, of two payments"
            await self.mismatch(payment, text, evidence, line.payment_id)
        elif not line.fits:
            await self._paid_twice(payment, word.line_ref, evidence)
        return line.payment_id != payment.id or not line.fits

    async def _quarantined(self, payment_id: str, evidence: Evidence) -> Standing:
        """Return where a payment stands that a word did not move, since a person has to look."""
        if evidence.event_row is not None:
            await self._books.set_event_aside(evidence.event_row, "a person has a case of it")
        return standing_of(await self.payment(payment_id))

    async def _accepted(self, payment: Payment, ref: str | None, evidence: Evidence) -> bool:
        """Capture the hold, where it still stands."""
        if payment.state in HELD:
            await self._capture(payment, ref, "accepted", evidence)
            return True
        await self._case_if_unclaimed(payment, evidence)
        return False

    async def _paid(self, payment: Payment, ref: str | None, evidence: Evidence) -> bool:
        """Capture if need be, then settle; money that has left after a no goes to suspense."""
        if payment.state in HELD:
            await self._capture(payment, ref, "paid", evidence)
            return True
        if payment.state is PaymentState.SUBMITTED:
            await self._settle(payment, ref, evidence)
            return True
        if payment.state in NEVER_MOVED:
            await self._paid_after_no(payment, evidence)
        await self._case_if_unclaimed(payment, evidence)
        return False

    async def _rejected(self, payment: Payment, code: str | None, evidence: Evidence) -> bool:
        """Give the money back, out of the hold or out of transit; never after it was paid."""
        if payment.state in HELD:
            await self._fail(payment, _released(payment), "void", code, evidence)
            return True
        if payment.state is PaymentState.SUBMITTED:
            await self._fail(payment, _uncaptured(payment), "uncapture", code, evidence)
            return True
        if payment.state in {PaymentState.SETTLED, PaymentState.RETURNED}:
            await self.open_case(
                payment,
                "contradiction",
                f"{evidence.actor} says no after {payment.state}",
                evidence,
            )
        return False

    async def _case_if_unclaimed(self, payment: Payment, evidence: Evidence) -> None:
        """Call a person when a partner knows a payment that we have never handed over."""
        if payment.state in UNCLAIMED:
            detail = f"{evidence.actor} knows a payment that is only {payment.state} here"
            await self.open_case(payment, "contradiction", detail, evidence)

    async def _capture(
        self, payment: Payment, ref: str | None, result: str, evidence: Evidence
    ) -> None:
        ordinal = await self._ordinal(payment)
        legs = postings.capture(
            hold_key(payment.id),
            wallet(payment),
            partner(payment),
            payment.currency,
            amount_minor=payment.amount_minor,
            fee_minor=payment.fee_minor,
        )
        await self._write(
            payment,
            "capture",
            ordinal,
            evidence,
            PaymentState.SUBMITTED,
            legs,
            AttemptClosed(key=attempt_key(payment.id, ordinal), result=result, partner_ref=ref),
        )

    async def _settle(self, payment: Payment, ref: str | None, evidence: Evidence) -> None:
        ordinal = await self._ordinal(payment)
        legs = postings.settle(
            partner(payment), payment.currency, amount_minor=payment.amount_minor
        )
        await self._write(
            payment,
            "settle",
            ordinal,
            evidence,
            PaymentState.SETTLED,
            legs,
            AttemptClosed(key=attempt_key(payment.id, ordinal), result="paid", partner_ref=ref),
        )

    async def _fail(
        self,
        payment: Payment,
        legs: tuple[Leg, ...],
        kind: str,
        code: str | None,
        evidence: Evidence,
    ) -> None:
        """End a payment by the partner's definite no; a cancel that it granted is `cancelled`."""
        ordinal = await self._ordinal(payment)
        granted = kind == "uncapture" and code == RejectionCode.CANCELLED
        after = PaymentState.CANCELLED if granted else PaymentState.FAILED
        attempt = AttemptClosed(
            key=attempt_key(payment.id, ordinal),
            result="rejected",
            code=code,
            fence=evidence.fence,
        )
        await self._write(payment, kind, ordinal, evidence, after, legs, attempt, reason=code)

    async def _write(
        self,
        payment: Payment,
        kind: str,
        ordinal: int,
        evidence: Evidence,
        after: PaymentState,
        legs: tuple[Leg, ...],
        attempt: AttemptClosed,
        reason: str | None = None,
    ) -> None:
        written = await self._books.write(
            Change(
                key=f"{payment.id}/{kind}/{ordinal}",
                kind=kind,
                actor=evidence.actor,
                reason=reason or evidence.reason,
                payment_id=payment.id,
                moves=(Move(before=payment.state, after=after),),
                legs=legs,
                effective_on=evidence.value_on or today(),
                evidence_id=evidence.id,
                attempt=attempt,
                closes_cases=evidence.closes_cases,
            )
        )
        check_in_effect(written, payment)

    async def _paid_after_no(self, payment: Payment, evidence: Evidence) -> None:
        """Book money that left although the payment had ended without: suspense, and a case."""
        detail = f"{evidence.actor} paid after {payment.state}"
        case = CaseOpened(kind="contradiction", detail=detail)
        reason = f"paid although {payment.state}"
        await self._into_suspense(payment, "paid_after_failed", "", reason, case, evidence)

    async def _paid_twice(self, payment: Payment, line_ref: str, evidence: Evidence) -> None:
        """Book a debit that the partner made by itself, beside the payment's own: its breach."""
        detail = f"{evidence.actor} debited it once more, as {line_ref}: ask for the money back"
        case = CaseOpened(kind="paid_twice", detail=detail)
        reason = "debited a second time by the partner"
        await self._into_suspense(payment, "paid_twice", f"/{line_ref}", reason, case, evidence)

    async def _into_suspense(
        self,
        payment: Payment,
        kind: str,
        which: str,
        reason: str,
        case: CaseOpened,
        evidence: Evidence,
    ) -> None:
        """Book money that is gone without a reason, with the case that asks for one."""
        written = await self._books.write(
            Change(
                key=f"{payment.id}/{kind}{which}",
                kind=kind,
                actor=evidence.actor,
                reason=reason,
                payment_id=payment.id,
                legs=postings.paid_after_failed(
                    partner(payment), payment.currency, amount_minor=payment.amount_minor
                ),
                effective_on=evidence.value_on or today(),
                evidence_id=evidence.id,
                case=case,
            )
        )
        check_not_refused(written)

    async def mismatch(
        self, payment: Payment, text: str, evidence: Evidence, other: str | None = None
    ) -> None:
        """Call a person to a word that does not fit; to both payments where it may be of another.

        Nothing moves: what is unknown stays unknown, and is asked about on.
        """
        twin = await self._books.payment(other) if other and other != payment.id else None
        named = f"; it may be about {twin.id}" if twin else ""
        await self.open_case(payment, "mismatch", f"{text}{named}", evidence)
        if twin is not None:
            await self.open_case(twin, "mismatch", f"{text}: told of {payment.id}", evidence)

    async def open_case(
        self, payment: Payment | None, kind: str, detail: str, evidence: Evidence
    ) -> None:
        """Open a case, once per kind and evidence; nothing else changes."""
        payment_id = payment.id if payment else None
        await self._books.write(
            Change(
                key=f"{payment_id or evidence.actor}/case/{kind}/{evidence.id}",
                kind="case",
                actor=evidence.actor,
                reason=detail,
                payment_id=payment_id,
                effective_on=today(),
                evidence_id=evidence.id,
                case=CaseOpened(kind=kind, detail=detail),
            )
        )

    async def _ordinal(self, payment: Payment) -> int:
        attempts = await self._books.attempts(payment.id)
        return attempts[-1].ordinal if attempts else 1


def standing_of(payment: Payment) -> Standing:
    """Return where a payment of the register stands."""
    return Standing(payment_id=payment.id, state=payment.state, open_cases=payment.open_cases)


def hold_key(payment_id: str) -> str:
    """Return the key of the change that holds a payment's money."""
    return f"{payment_id}/hold"


def wallet(payment: Payment) -> str:
    """Return the account that pays."""
    request = payment.request
    return str(request["account"] if "account" in request else request["source"])


def partner(payment: Payment) -> str:
    """Return the partner of a payout."""
    if payment.partner is None:
        raise PaymentMissing(f"{payment.id} has no partner")
    return payment.partner


def today() -> date:
    """Return the day (UTC) that a change without a partner's value date counts for."""
    return datetime.now(UTC).date()


def _released(payment: Payment) -> tuple[Leg, ...]:
    return postings.void(
        hold_key(payment.id),
        wallet(payment),
        payment.currency,
        amount_minor=payment.amount_minor,
        fee_minor=payment.fee_minor,
    )


def _uncaptured(payment: Payment) -> tuple[Leg, ...]:
    return postings.uncapture(
        wallet(payment),
        partner(payment),
        payment.currency,
        amount_minor=payment.amount_minor,
        fee_minor=payment.fee_minor,
        hold_key=hold_key(payment.id),
    )


def _ref(word: Word) -> str | None:
    return word.partner_ref


def _code(word: Word) -> str | None:
    return word.code.value if isinstance(word, Rejected) else None
