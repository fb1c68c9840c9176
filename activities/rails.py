"""Calls to partners: each may be repeated, and none sends twice without a proof of absence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from time import monotonic
from typing import assert_never

from temporalio import activity

from activities.again import again as _again
from activities.calls import Call, Calls, attempt_of, hash_of
from activities.conclusions import Conclusions, Evidence, standing_of, today
from activities.effect import check_in_effect
from activities.gate import Gate
from activities.payout_legs import partner
from activities.terms import Question, Standing
from bursar.payments import PaymentState
from bursar.reports import (
    Accepted,
    NotFound,
    NotSent,
    Paid,
    Rejected,
    RejectionCode,
    Report,
    Throttled,
    Unknown,
)
from ledger.books import Books, Payment, Unsendable
from ledger.changes import (
    AttemptClosed,
    AttemptOpened,
    AttemptReopened,
    CaseOpened,
    Change,
    HeldBack,
    Move,
)
from partners.port import Attempt, Partner

_S = PaymentState

PAUSE_MAX = timedelta(minutes=5)
"""The longest pause between two tries to send, whatever a partner asks for."""

RESEND_AGAIN_AFTER = timedelta(seconds=30)
"""The pause between two looks at the gate for a resend: before each, the partner is asked anew."""

ABSENT_AND_UNWANTED = "absence is proven, and somebody wished to cancel"
ABSENT = "absence is proven, and the partner honours a repeated key"
HELD_UP = "the try was held up past its time before it could send"
"""By then another may have been told that the payout is absent, or the key be forgotten."""
REPEATED = "nothing can be looked up, and the partner honours a repeated key"


class RailActivities:
    """The partner's side of a payout. Definite answers move the books; all else is asked again."""

    def __init__(self, books: Books, partners: Mapping[str, Partner]) -> None:
        self._books = books
        self._partners = partners
        self._calls = Calls(books, partners)
        self._conclusions = Conclusions(books)
        self._gate = Gate(books, partners)

    def all(self) -> Sequence[Callable[..., object]]:
        """Return every activity of this class, as a worker registers them."""
        return (self.submit, self.ask, self.poll, self.ask_to_cancel)

    @activity.defn(name="payout.submit")
    async def submit(self, payment_id: str) -> Standing:
        """Hand a payout to its partner; a repeat asks before anything is sent again."""
        begun = monotonic()
        payment = await self._conclusions.payment(payment_id)
        made: Attempt | None = None
        if payment.state is _S.RESERVED:
            made = attempt_of(payment, ordinal=1)
            payment = await self._claim(payment, made)
        if payment.state is not _S.SUBMITTING:
            return standing_of(payment)
        call = self._calls.open(payment, made)
        if call.row.sent_at is None and not await self._calls.may_send(call):
            return await self._unknown(call, "the key may have been forgotten by now")
        call.check_body()
        permit = await self._books.mark_sent(call.attempt.key)
        if permit.fence is None:
            return await self._not_permitted(call, permit.refusal)
        call = call.permitted(permit.fence)
        if monotonic() - begun > call.terms.policy.partner_call_timeout.total_seconds():
            return await self._unknown(call, HELD_UP)
        report = await call.partner.submit(call.attempt)
        await self._calls.keep(call, "submit", report)
        return await self._after_submit(call, report)

    @activity.defn(name="payout.ask")
    async def ask(self, question: Question) -> Standing:
        """Ask about an unknown outcome, rung by rung, until the answer is definite or spent."""
        payment = await self._conclusions.payment(question.payment_id)
        if payment.state is not _S.OUTCOME_UNKNOWN:
            return standing_of(payment)
        call = self._calls.open(payment)
        wished = question.cancel_wished or await self._wished_before_any_send(call)
        if not call.guarantees.finds_by_reference:
            nothing_left = wished and call.row.fence == 0
            return await (self._review(call) if nothing_left else self._repeat_key(call))
        asked_at = await self._books.now()
        report = await self._calls.find(call)
        if isinstance(report, Accepted | Paid | Rejected):
            standing = await self._conclude(call, "find", report)
            if standing.state is not _S.OUTCOME_UNKNOWN:
                return standing
        now = await self._conclusions.payment(payment.id)
        if now.open_cases > payment.open_cases:  # it does not fit: the run calls a person, asks on
            return standing_of(now)
        if not (isinstance(report, NotFound) and await self._calls.is_absent(call, asked_at)):
            return await self._ask_later(call, report)
        if wished:  # absence is a definite no, so the wish can still be granted
            return await self._never_sent(
                call, "find", RejectionCode.CANCELLED, ABSENT_AND_UNWANTED
            )
        return await self._resend(call, ABSENT) or await self._review(call)

    @activity.defn(name="payout.poll")
    async def poll(self, payment_id: str) -> Standing:
        """Ask about an accepted payout until the partner says how it ended, or it is overdue."""
        payment = await self._conclusions.payment(payment_id)
        if payment.state is not _S.SUBMITTED:
            return standing_of(payment)
        call = self._calls.open(payment)
        if call.guarantees.finds_by_reference:
            report = await self._calls.find(call)
            if isinstance(report, Paid | Rejected):
                standing = await self._conclude(call, "find", report)
                if standing.state is not _S.SUBMITTED:
                    return standing
            now = await self._conclusions.payment(payment.id)
            if now.open_cases > payment.open_cases:
                return standing_of(now)
        age = await self._calls.age(call.row)
        policy = call.terms.policy
        if age > policy.overdue_after:
            detail = "accepted long ago, and neither paid nor refused since"
            evidence = Evidence(actor="bursar", id=f"overdue/{call.attempt.key}")
            await self._conclusions.open_case(payment, "overdue", detail, evidence)
            return standing_of(payment).model_copy(update={"overdue": True})
        raise _again("pending", policy.poll_every)

    @activity.defn(name="payout.ask_to_cancel")
    async def ask_to_cancel(self, payment_id: str) -> Standing:
        """Ask the partner to cancel an accepted payout; only its definite yes counts."""
        payment = await self._conclusions.payment(payment_id)
        if payment.state is not _S.SUBMITTED:
            return standing_of(payment)
        call = self._calls.open(payment)
        report = await call.partner.cancel(call.attempt)
        await self._calls.keep(call, "cancel", report)
        if isinstance(report, Paid | Rejected):
            return await self._conclude(call, "cancel", report)
        asked = sum(word.verb == "cancel" for word in await self._calls.words(call))
        if not isinstance(report, Accepted) and asked <= len(call.terms.policy.ask_again_after):
            raise _again("no answer to the cancel", call.terms.policy.ask_again_after[asked - 1])
        return standing_of(payment)

    async def _wished_before_any_send(self, call: Call) -> bool:
        """Tell whether a cancel was wished of what nobody was ever permitted to send in this life.

        Restored books ask about such a payout first. Its wish is read from them: the run that took
        it may have been replaced since, and the next send would be the first.
        """
        return call.row.fence == 0 and await self._books.cancel_wished(call.payment.id)

    async def _claim(self, payment: Payment, attempt: Attempt) -> Payment:
        """Commit the attempt before the first byte; whoever loses a race sees who has won.

        Where it is held back and a person has just been called to that, the run is told of it.

        Raises:
            ApplicationError: It may not be handed over now; Temporal tries again later.
        """
        adapter = self._partners[partner(payment)]
        written = await self._books.write(
            Change(
                key=f"{payment.id}/claim/{attempt.ordinal}",
                kind="claim",
                actor="bursar",
                payment_id=payment.id,
                moves=(Move(before=_S.RESERVED, after=_S.SUBMITTING),),
                effective_on=today(),
                attempt=AttemptOpened(
                    ordinal=attempt.ordinal,
                    key=attempt.key,
                    partner=adapter.name,
                    wire_hash=hash_of(adapter.render(attempt)),
                    content_hash=payment.content_hash,
                ),
            )
        )
        later = await self._gate.held(payment, written.held) if written.held else None
        now = await self._conclusions.payment(payment.id)
        if later is not None and now.open_cases <= payment.open_cases:
            raise later
        return now

    async def _not_permitted(self, call: Call, refusal: Unsendable | None) -> Standing:
        """Wait, stop, or ask first, where bytes may not leave now.

        Raises:
            ApplicationError: It is paused; Temporal tries again later.
        """
        if refusal is Unsendable.PAUSED:
            raise await self._gate.held(call.payment, HeldBack.PAUSED)
        if refusal is Unsendable.ENDED:
            return standing_of(await self._conclusions.payment(call.payment.id))
        if refusal is Unsendable.TOLD:
            await self._call_a_person(call)
        return await self._after_a_lost_try(call)

    async def _after_a_lost_try(self, call: Call) -> Standing:
        """Find out about a send whose answer nobody kept: the worker died, or took too long.

        Or it was in a life that these books have forgotten, and others tell of it.
        """
        report: Report = Unknown()
        if call.guarantees.finds_by_reference:
            report = await self._calls.find(call)
        if isinstance(report, Accepted | Paid | Rejected):
            return await self._conclude_send(call, "find", report)
        lost = Unknown(evidence="an earlier try left no answer")
        await self._calls.keep(
            call, "submit", lost
        )  # a send like any other, when sends are counted
        return await self._unknown(call, lost.evidence)

    async def _call_a_person(self, call: Call) -> None:
        """Open a case of a payment that a partner knows without us, unless there is one."""
        open_cases = await self._books.open_cases(call.payment.id)
        if not any(case.kind == "contradiction" for case in open_cases):
            teller = await self._books.told_by(call.payment.id)
            evidence = Evidence(actor=f"partner:{teller}", id=f"told/{call.attempt.key}")
            detail = f"{evidence.actor} told of it before it was sent: it was asked about first"
            await self._conclusions.open_case(call.payment, "contradiction", detail, evidence)

    async def _after_submit(self, call: Call, report: Report) -> Standing:
        match report:
            case Accepted() | Paid() | Rejected():
                return await self._conclude_send(call, "submit", report)
            case NotSent():
                return await self._send_later(call, report, None)
            case Throttled() if call.guarantees.throttled_is_not_processed:
                return await self._send_later(call, report, report.retry_after_seconds)
            case Throttled() | NotFound() | Unknown():
                return await self._unknown(call, report.evidence or report.kind)
            case _:
                assert_never(report)

    async def _send_later(
        self, call: Call, report: Report, retry_after_seconds: float | None
    ) -> Standing:
        """Try once more with the same key, since this try has done nothing; or give up in time."""
        policy = call.terms.policy
        left = policy.submit_for - (await self._books.now() - call.row.opened_at)
        if left <= timedelta():
            return await self._give_up(call, report)
        if not await self._books.mark_unsent(call.attempt.key, call.row.fence):
            return await self._unknown(call, "another try was under way at the same time")
        pause = policy.submit_again_after
        if retry_after_seconds is not None:
            pause = max(pause, timedelta(seconds=retry_after_seconds))
        raise _again("not sent", min(pause, left, PAUSE_MAX))

    async def _give_up(self, call: Call, report: Report) -> Standing:
        """End what could not be handed over in its time, while the permission to send is ours."""
        if not await self._calls.nothing_ever_left(call):
            return await self._unknown(call, "not sent again in time; an earlier try may have been")
        reason = f"not sent in time: {report.kind}"
        return await self._never_sent(call, "submit", RejectionCode.NOT_SUPPORTED, reason)

    async def _never_sent(
        self, call: Call, verb: str, code: RejectionCode, reason: str
    ) -> Standing:
        """Give the money back on our own conclusion, unless another may have sent meanwhile."""
        evidence = Evidence(
            actor=f"partner:{call.partner.name}",
            id=f"{verb}/{call.attempt.key}",
            reason=reason,
            fence=call.row.fence,
        )
        return await self._conclusions.never_sent(call.payment.id, code, evidence)

    async def _unknown(self, call: Call, reason: str) -> Standing:
        """Say that nobody knows; the money stays held."""
        fence = call.row.fence
        attempt = AttemptClosed(key=call.attempt.key, result="unknown", fence=fence)
        return await self._move(call, "unknown", _S.OUTCOME_UNKNOWN, reason[:200], attempt=attempt)

    async def _resend(self, call: Call, reason: str) -> Standing | None:
        """Go back to sending, where the same key may be sent again; else None."""
        sends = sum(word.verb == "submit" for word in await self._calls.words(call))
        allowed = (
            call.row.first_sent_at is not None
            and not call.guarantees.replays_failures
            and call.guarantees.may_resend(await self._books.now() - call.row.first_sent_at)
            and sends <= call.terms.policy.resends_max
        )
        if not allowed:
            return None
        reopened = AttemptReopened(key=call.attempt.key, fence=call.row.fence)
        return await self._move(call, "resend", _S.SUBMITTING, reason, attempt=reopened)

    async def _repeat_key(self, call: Call) -> Standing:
        """Where nothing can be looked up: repeat a key that is honoured, after a pause; else stop.

        A repeated key is a question too: it gives the first result and never a second payment.
        """
        ladder = call.terms.policy.ask_again_after
        sends = sum(word.verb == "submit" for word in await self._calls.words(call))
        pause = ladder[min(max(sends, 1), len(ladder)) - 1]
        waited = await self._books.now() - (call.row.sent_at or call.row.opened_at)
        if call.guarantees.key_lifetime is not None and waited < pause:
            raise _again("still unknown", pause - waited)
        return await self._resend(call, REPEATED) or await self._review(call)

    async def _review(self, call: Call) -> Standing:
        """Hand an unknown outcome to people: automatic ways are spent."""
        detail = "the partner gave no definite answer; find out, and resolve with evidence"
        case = CaseOpened(kind="outcome_unknown", detail=detail)
        return await self._move(call, "review", _S.IN_REVIEW, detail, case=case)

    async def _move(
        self,
        call: Call,
        kind: str,
        after: PaymentState,
        reason: str,
        *,
        attempt: AttemptClosed | AttemptReopened | None = None,
        case: CaseOpened | None = None,
    ) -> Standing:
        """Move the payment without moving money; its sequence number makes each move's key."""
        payment = call.payment
        written = await self._books.write(
            Change(
                key=f"{payment.id}/{kind}/{payment.seq}",
                kind=kind,
                actor="bursar",
                reason=reason,
                payment_id=payment.id,
                moves=(Move(before=payment.state, after=after),),
                effective_on=today(),
                attempt=attempt,
                case=case,
            )
        )
        if written.held is not None:
            raise await self._gate.held(payment, written.held, at_least=RESEND_AGAIN_AFTER)
        now = await self._conclusions.payment(payment.id)
        if now.seq == payment.seq:  # else it has moved on, and may be where it was again
            check_in_effect(written, payment)
        return standing_of(now)

    async def _ask_later(self, call: Call, report: Report) -> Standing:
        """Take the next rung of the ladder, or hand over to people after the last."""
        ladder = call.terms.policy.ask_again_after
        rung = len(await self._calls.look_ups(call))
        age = await self._calls.age(call.row)
        lag = call.guarantees.absence_after
        waits_for_proof = isinstance(report, NotFound) and lag is not None
        left = lag - age if lag is not None else timedelta()
        is_spent = rung > len(ladder) and age >= call.terms.policy.ask_for
        if is_spent and not (waits_for_proof and left > timedelta()):
            return await self._review(call)
        pause = ladder[min(rung, len(ladder)) - 1]
        raise _again("still unknown", max(pause, left) if waits_for_proof else pause)

    async def _conclude_send(
        self, call: Call, verb: str, report: Accepted | Paid | Rejected
    ) -> Standing:
        """Book what is known of a send; what moves nothing has a case, and is asked about on."""
        standing = await self._conclude(call, verb, report)
        if standing.state is not _S.SUBMITTING:
            return standing
        return await self._unknown(call, "the answer is not this send's, or not this payment's")

    async def _conclude(
        self, call: Call, verb: str, report: Accepted | Paid | Rejected
    ) -> Standing:
        """Book what an answer proves; a no to one send proves nothing of a newer one."""
        speaks_of_one_send = verb == "submit" and isinstance(report, Rejected)
        evidence = Evidence(
            actor=f"partner:{call.partner.name}",
            id=f"{verb}/{call.attempt.key}",
            value_on=report.value_on if isinstance(report, Paid) else None,
            fence=call.row.fence if speaks_of_one_send else None,
        )
        return (await self._conclusions.conclude(call.payment, report, evidence)).standing()
