"""Conclusions: what a partner's word does to a payment and to the books.

One place for answers to our calls, look-ups, events and people's decisions: whichever comes first
moves the payment, and what says the same later changes nothing. Every step is a change with a key
of its own, so it may be repeated, and raced, without harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from activities.effect import check_in_effect, check_not_refused
from activities.payout_legs import (
    PaymentMissing,
    booked_out,
    captured,
    gone,
    partner,
    released,
    uncaptured,
)
from activities.payout_legs import wallet as wallet  # for others
from activities.terms import Standing
from bursar.ids import attempt_key
from bursar.payments import CANCELLABLE, PaymentState
from bursar.reports import Accepted, Paid, Rejected, RejectionCode
from ledger.books import Books, Payment
from ledger.changes import AttemptClosed, CaseOpened, Change, Leg, Move, Written

HELD = frozenset({PaymentState.SUBMITTING, PaymentState.OUTCOME_UNKNOWN, PaymentState.IN_REVIEW})
"""States in which the attempt is out and the money is held."""

UNCLAIMED = CANCELLABLE
"""States in which no partner can know the payment, if all is right."""

PAID_OUT = frozenset({PaymentState.SETTLED, PaymentState.RETURNED})
"""States of a payout that has been paid."""

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
    """Given where it holds only as long as nobody else may have sent: our own conclusion that
    nothing left, and a no to one send, which says nothing of a newer one with the same key."""


class Conclusion(NamedTuple):
    """What came of a word: the payment as it stands then, and what its standing says beside."""

    payment: Payment
    code: str | None = None
    partner_ref: str | None = None

    def standing(self) -> Standing:
        """Return where the payment stands."""
        told = {"code": self.code, "partner_ref": self.partner_ref}
        return standing_of(self.payment).model_copy(update=told)


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

    async def conclude(self, payment: Payment, word: Word, evidence: Evidence) -> Conclusion:
        """Book what a word proves, whatever the payment's state.

        Args:
            payment: As it was read last. Each change judges that once more in its own commit, so
                where it has moved meanwhile nothing is written, and the word is judged anew.
            word: What the partner says, or what people have found out.
            evidence: Who says it, and where that can be read again.
        """
        if isinstance(word, Paid) and await self._is_no_first_debit(payment, word, evidence):
            return await self._quarantined(payment, evidence)
        moved = False
        while (written := await self._move(payment, word, evidence)) is not None:
            before, payment = payment, await self.payment(payment.id)
            if written.stale and payment.seq == before.seq:  # said of a send that another follows
                return Conclusion(payment)
            moved |= not written.stale
        if await self._contradicts(payment, word, evidence):
            payment = await self.payment(payment.id)
        if evidence.event_row is not None:
            await self._books.set_event_aside(evidence.event_row, f"known: {payment.state}")
        return Conclusion(payment, code=_code(word) if moved else None, partner_ref=_ref(word))

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
            legs = released(payment)
            await self._fail(payment, legs, "void", code, evidence, result="not_sent")
            payment = await self.payment(payment_id)
        failed = payment.state is PaymentState.FAILED
        return standing_of(payment).model_copy(update={"code": code.value if failed else None})

    async def _is_no_first_debit(self, payment: Payment, word: Paid, evidence: Evidence) -> bool:
        """Tell whether a debit is another than this payment's one, and then give it to a person.

        The first line that a partner names is the payment, whatever its state says by then. One
        that is not handed over yet notes none: it may still be handed over, and find it paid.
        """
        if word.line_ref is None or payment.state in UNCLAIMED:
            return False
        line = await self._books.note_line(
            partner(payment), word.line_ref, payment.id, "paid", payment.amount_minor
        )
        is_own = (line.kind, line.payment_id) == ("paid", payment.id)
        if not is_own:
            of = line.payment_id or "no payment"
            text = (
                f"{evidence.actor} tells of {word.line_ref}, which is noted as {line.kind} of {of}"
            )
            await self.mismatch(payment, text, evidence, line.payment_id)
        elif not line.fits:
            await self._paid_twice(payment, word.line_ref, evidence)
        return not (is_own and line.fits)

    async def _quarantined(self, payment: Payment, evidence: Evidence) -> Conclusion:
        """Return where a payment stands that a word did not move, since a person has to look."""
        if evidence.event_row is not None:
            await self._books.set_event_aside(evidence.event_row, "a person has a case of it")
        return Conclusion(await self.payment(payment.id))

    async def _move(self, payment: Payment, word: Word, evidence: Evidence) -> Written | None:
        """Take the one step that a word proves in the payment's state; None: there is none."""
        held, accepted = payment.state in HELD, payment.state is PaymentState.SUBMITTED
        match word:
            case Accepted() | Paid() if held:  # what is paid is captured first, then settled
                result = "paid" if isinstance(word, Paid) else "accepted"
                return await self._capture(payment, word.partner_ref, result, evidence)
            case Paid() if accepted:
                return await self._settle(payment, word.partner_ref, evidence)
            case Rejected() if held:
                return await self._fail(payment, released(payment), "void", word.code, evidence)
            case Rejected() if accepted:
                return await self._fail(
                    payment, uncaptured(payment), "uncapture", word.code, evidence
                )
        return None

    async def _contradicts(self, payment: Payment, word: Word, evidence: Evidence) -> bool:
        """Call a person where a word cannot be true of the payment; tell whether it was so."""
        state, actor = payment.state, evidence.actor
        if isinstance(word, Paid) and state in NEVER_MOVED:
            await self._paid_after_no(payment, evidence)
        elif isinstance(word, Accepted | Paid) and (state in UNCLAIMED or _ended_by_us(payment)):
            detail = f"{actor} knows a payment that is {state} here"
            await self.open_case(payment, "contradiction", detail, evidence)
        elif isinstance(word, Rejected) and state in PAID_OUT and not _is_late(payment, evidence):
            detail = f"{actor} says no after {state}"
            await self.open_case(payment, "contradiction", detail, evidence)
        else:
            return False
        return True

    async def _capture(
        self, payment: Payment, ref: str | None, result: str, evidence: Evidence
    ) -> Written:
        ordinal = _ordinal(payment)
        return await self._write(
            payment,
            "capture",
            ordinal,
            evidence,
            PaymentState.SUBMITTED,
            captured(payment),
            AttemptClosed(key=attempt_key(payment.id, ordinal), result=result, partner_ref=ref),
        )

    async def _settle(self, payment: Payment, ref: str | None, evidence: Evidence) -> Written:
        ordinal = _ordinal(payment)
        return await self._write(
            payment,
            "settle",
            ordinal,
            evidence,
            PaymentState.SETTLED,
            booked_out(payment),
            AttemptClosed(key=attempt_key(payment.id, ordinal), result="paid", partner_ref=ref),
        )

    async def _fail(
        self,
        payment: Payment,
        legs: tuple[Leg, ...],
        kind: str,
        code: str | None,
        evidence: Evidence,
        *,
        result: str = "rejected",
    ) -> Written:
        """End a payment by the partner's definite no; a cancel that it granted is `cancelled`.

        Another `result` says that it is a conclusion of ours or of people: the partner said no no.
        """
        ordinal = _ordinal(payment)
        granted = kind == "uncapture" and code == RejectionCode.CANCELLED
        after = PaymentState.CANCELLED if granted else PaymentState.FAILED
        attempt = AttemptClosed(
            key=attempt_key(payment.id, ordinal),
            result="never_moved" if evidence.closes_cases else result,
            code=code,
            fence=evidence.fence,
        )
        return await self._write(
            payment, kind, ordinal, evidence, after, legs, attempt, reason=code
        )

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
    ) -> Written:
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
        return written

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
                legs=gone(payment),
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


def standing_of(payment: Payment) -> Standing:
    """Return where a payment of the register stands."""
    return Standing(payment_id=payment.id, state=payment.state, open_cases=payment.open_cases)


def today() -> date:
    """Return the day (UTC) that a change without a partner's value date counts for."""
    return datetime.now(UTC).date()


def _ended_by_us(payment: Payment) -> bool:
    """Tell whether a payment has ended without having moved, and no partner has said so."""
    said_no = bool(payment.attempts) and payment.attempts[-1].result == "rejected"
    return payment.state in NEVER_MOVED and not said_no


def _is_late(payment: Payment, evidence: Evidence) -> bool:
    """Tell whether evidence of one send comes when a newer one was permitted."""
    fence = payment.attempts[-1].fence if payment.attempts else 0
    return evidence.fence is not None and evidence.fence < fence


def _ordinal(payment: Payment) -> int:
    return payment.attempts[-1].ordinal if payment.attempts else 1


def _ref(word: Word) -> str | None:
    return word.partner_ref


def _code(word: Word) -> str | None:
    return word.code.value if isinstance(word, Rejected) else None
