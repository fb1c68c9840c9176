"""Decisions: what people ask for, judged against the books, the rules and each other."""

from __future__ import annotations

from datetime import UTC, datetime

from activities.conclusions import Conclusions, Evidence, standing_of, today
from activities.payout_legs import released
from activities.rules import Rules
from activities.terms import Acted, Terms, Wish
from bursar.actions import Action, Answer, Approve, Cancel, Deny, Outcome, Resolve, Verdict
from bursar.ids import person_of
from bursar.payments import CANCELLABLE, FINAL, PaymentState
from bursar.reports import Accepted, Paid, Rejected, RejectionCode
from ledger.books import ApprovalRow, Books, Payment
from ledger.changes import Change, Move
from ledger.resolutions import changes_nothing, decision_of, due_since, newest_words

DECIDERS_MIN = 2
"""How many different people have to agree on what became of a payment."""

_DONE = {PaymentState.CANCELLED: Verdict.CANCELLED, PaymentState.DENIED: Verdict.DENIED}
"""States that are just what one kind of action wants; asking twice is no mistake."""

_ENDS = {
    Outcome.ACCEPTED: {PaymentState.SUBMITTED, PaymentState.SETTLED, PaymentState.RETURNED},
    Outcome.PAID: {PaymentState.SETTLED, PaymentState.RETURNED},
    Outcome.NEVER_MOVED: {PaymentState.FAILED},
}
"""Where a payment is once it was decided so."""

_NOT_BY_APPROVAL = {
    *(PaymentState.RECEIVED, PaymentState.AWAITING_APPROVAL, PaymentState.REFUSED),
    *(PaymentState.DENIED, PaymentState.EXPIRED, PaymentState.CANCELLED),
}
"""States in which an approval has not done what it is for."""

_GOES_ON = frozenset({PaymentState.SCHEDULED, PaymentState.RESERVED})
"""States that lead to the claim, and so to a question, by themselves; only one has a hold."""

_ACCEPTED_ALREADY = "it is accepted already: say paid or never_moved, or close its case"


class Decisions:
    """Judges actions; the state in the books decides, and never the order of messages."""

    def __init__(self, books: Books, rules: Rules, conclusions: Conclusions) -> None:
        self._books = books
        self._rules = rules
        self._conclusions = conclusions

    async def act(self, wish: Wish) -> Acted:
        """Do what a person asks for, if it may be done; record it in any case."""
        payment = await self._conclusions.payment(wish.payment_id)
        action = wish.action
        if _done_already(payment.state, action):
            return _acted(payment, _DONE[payment.state], f"it is {payment.state} already")
        if await self._counted_already(payment, action):
            verdict = Verdict.RESOLVED if isinstance(action, Resolve) else Verdict.APPROVED
            return _acted(payment, verdict, f"it is {payment.state} by now")
        if payment.state in FINAL:
            return await self._refuse(
                payment, wish, Verdict.ALREADY_FINAL, f"it is {payment.state} already"
            )
        if isinstance(action, Cancel):
            return await self._cancel(payment, wish, action)
        if isinstance(action, Resolve):
            return await self._resolve(payment, wish, action)
        return await self._approve_or_deny(payment, wish, action)

    async def _counted_already(self, payment: Payment, action: Action) -> bool:
        """Tell whether this very word has done its work, and only the answer to it was lost."""
        if isinstance(action, Resolve):
            if payment.state not in _ENDS[action.outcome]:
                return False
            newest = newest_words(await self._books.approvals(payment.id))
            decision = decision_of(action.outcome)
            same = {who for who, word in newest.items() if word.decision == decision}
            return person_of(action.by) in same and len(same) >= DECIDERS_MIN
        if not isinstance(action, Approve) or payment.state in _NOT_BY_APPROVAL:
            return False
        if Terms.model_validate(payment.terms).approvals is None:
            return False
        words = await self._books.approvals(payment.id)
        own = any((word.principal, word.decision) == (action.by, "approve") for word in words)
        return own and await self.is_approved(payment)

    async def _approve_or_deny(self, payment: Payment, wish: Wish, action: Approve | Deny) -> Acted:
        terms = Terms.model_validate(payment.terms)
        need = terms.approvals
        if need is None or not await self._takes_words(payment, action):
            return await self._refuse(
                payment, wish, Verdict.NOT_WAITING, "it does not wait for an approval"
            )
        if terms.approve_by is not None and datetime.now(UTC) > terms.approve_by:
            return await self._refuse(
                payment,
                wish,
                Verdict.NOT_WAITING,
                f"its time for approval ended {terms.approve_by}",
            )
        objection = await self._objection(payment, wish, action, need.role)
        if objection:
            return await self._refuse(payment, wish, Verdict.NOT_ALLOWED, objection)
        await self._record(
            payment, wish, action.by, action.verb, need.role, action.reason, need.version
        )
        if isinstance(action, Deny):
            return await self._deny(payment, wish, action)
        given = await self._books.approvals_given(payment.id)
        verdict = Verdict.RECORDED if given < need.number else Verdict.APPROVED
        return _acted(payment, verdict, f"{given} of {need.number} approvals")

    async def _takes_words(self, payment: Payment, action: Approve | Deny) -> bool:
        """Tell whether a word can change anything.

        A payment that has gone on, and lacks approvals since one of them counts no more, takes
        another one; who would deny it cancels it.
        """
        if payment.state is PaymentState.AWAITING_APPROVAL:
            return True
        held_back = payment.state in CANCELLABLE and not await self.is_approved(payment)
        return held_back and isinstance(action, Approve)

    async def is_approved(self, payment: Payment) -> bool:
        """Tell whether enough people have approved the payment, or nobody needs to."""
        need = Terms.model_validate(payment.terms).approvals
        if need is None:
            return True
        return await self._books.approvals_given(payment.id) >= need.number

    async def _objection(
        self, payment: Payment, wish: Wish, action: Approve | Deny, role: str
    ) -> str | None:
        """Return why this person's word cannot count, or None."""
        if person_of(action.by) == person_of(payment.created_by):
            return "whoever created a payment cannot decide on it"
        if isinstance(action, Approve) and action.content_hash not in (None, payment.content_hash):
            return "the approval is for other content than the payment has"
        words = await self._books.approvals(payment.id)
        own = [(word.channel, word.decision) for word in words if word.principal == action.by]
        if ("gateway", action.verb) in own:
            return None  # the gateway knows who it was, and has recorded this very word
        if not self._rules.trust_signal_actors:
            return "a name in a message is not believed here; decide through the gateway"
        if await self._books.is_disabled(action.by):
            return f"{action.by} is disabled"
        if role not in self._rules.roles_of(action.by):
            return f"{action.by} does not have the role {role}"
        return None

    async def _deny(self, payment: Payment, wish: Wish, action: Deny) -> Acted:
        change = Change(
            key=f"{payment.id}/denied",
            kind="deny",
            actor=action.by,
            reason=action.reason,
            payment_id=payment.id,
            moves=(Move(before=payment.state, after=PaymentState.DENIED),),
            effective_on=today(),
        )
        return await self._written(payment, change, Verdict.DENIED, wish)

    async def _cancel(self, payment: Payment, wish: Wish, action: Cancel) -> Acted:
        if payment.state not in CANCELLABLE:
            detail = "it is past its commit point; the wish is recorded"
        elif payment.state in _GOES_ON and await self._books.may_have_left(payment.id):
            detail = "it may be at its partner, who is asked first; the wish is recorded"
        else:
            change = cancellation(payment, action.by, action.reason)
            return await self._written(payment, change, Verdict.CANCELLED, wish)
        guarantees = Terms.model_validate(payment.terms).guarantees
        ask = guarantees is not None and guarantees.cancels_pending
        refused = await self._refuse(payment, wish, Verdict.TOO_LATE, detail)
        return refused.model_copy(update={"ask_partner": ask})

    async def _written(
        self, payment: Payment, change: Change, verdict: Verdict, wish: Wish
    ) -> Acted:
        """Write a decision; if the payment has moved in the meantime, judge it once more."""
        written = await self._books.write(change)
        if written.stale:
            return await self.act(wish)
        state = written.state or payment.state
        standing = standing_of(payment).model_copy(update={"state": state})
        return Acted(answer=Answer(verdict=verdict), standing=standing)

    async def _resolve(self, payment: Payment, wish: Wish, action: Resolve) -> Acted:
        """Conclude with what two people say who have looked; one alone is recorded and waits."""
        since = due_since(payment, await self._books.open_cases(payment.id))
        if since is None or changes_nothing(payment, action.outcome):
            why = "it does not wait for a decision" if since is None else _ACCEPTED_ALREADY
            return await self._refuse(payment, wish, Verdict.NOT_WAITING, why)
        people = await self._who_agrees(payment, wish, action, since)
        if not people:
            return await self._refuse(
                payment, wish, Verdict.NOT_ALLOWED, f"{action.by} may not decide this payment"
            )
        if len(people) < DECIDERS_MIN:
            return _acted(payment, Verdict.RECORDED, "a second person has to say the same")
        words: dict[Outcome, Accepted | Paid | Rejected] = {
            Outcome.ACCEPTED: Accepted(partner_ref=action.partner_ref or ""),
            Outcome.PAID: Paid(partner_ref=action.partner_ref or ""),
            Outcome.NEVER_MOVED: Rejected(code=RejectionCode.OTHER),
        }
        evidence = Evidence(
            actor=" with ".join(sorted(people)),
            id=f"resolution/{payment.id}",
            reason=action.evidence,
            closes_cases=True,
        )
        concluded = await self._conclusions.conclude(payment, words[action.outcome], evidence)
        answer = Answer(verdict=Verdict.RESOLVED)
        if concluded.payment.state not in _ENDS[action.outcome]:  # something else came first
            final = concluded.payment.state in FINAL
            verdict = Verdict.ALREADY_FINAL if final else Verdict.NOT_WAITING
            answer = Answer(verdict=verdict, detail=f"it is {concluded.payment.state} already")
        return Acted(answer=answer, standing=concluded.standing())

    async def _who_agrees(
        self, payment: Payment, wish: Wish, action: Resolve, since: datetime
    ) -> set[str]:
        """Return the people who stand for this outcome now, never the payment's creator.

        Of each person the newest word counts, and of nobody who is disabled. The gateway has
        recorded its people already; names in a message are where they are believed.
        """
        decision = decision_of(action.outcome)
        believed = self._rules.trust_signal_actors
        for name in sorted({action.by, action.confirmed_by or action.by}) if believed else ():
            if "resolve" in self._rules.roles_of(name):
                await self._record(
                    payment, wish, name, decision, "resolve", action.evidence, since=since
                )
        said = [
            word
            for word in await self._books.approvals(payment.id)
            if believed or word.channel == "gateway"
        ]
        agreed = {
            person: word.principal
            for person, word in newest_words(said, since).items()
            if word.decision == decision and not await self._books.is_disabled(word.principal)
        }
        agreed.pop(person_of(payment.created_by), None)
        return set(agreed.values()) if person_of(action.by) in agreed else set()

    async def _record(
        self,
        payment: Payment,
        wish: Wish,
        name: str,
        decision: str,
        role: str,
        reason: str | None,
        rule_version: str = "",
        since: datetime | None = None,
    ) -> None:
        """Keep a person's word on the payment's content, once; see `Books.add_approval`."""
        await self._books.add_approval(
            ApprovalRow(
                payment_id=payment.id,
                principal=name,
                decision=decision,
                role=role,
                content_hash=payment.content_hash,
                rule_version=rule_version,
                reason=reason,
                channel=wish.channel,
                at=await self._books.now(),
            ),
            since,
        )

    async def _refuse(self, payment: Payment, wish: Wish, verdict: Verdict, detail: str) -> Acted:
        """Record a wish that changes nothing, and say why."""
        action = wish.action
        await self._books.add_note(
            payment.id,
            key=f"{payment.id}/{action.verb}/{action.by}/{verdict}/{payment.state}",
            actor=action.by,
            kind=f"{action.verb}_{verdict}",
            detail=f"{detail} (by {wish.channel})",
        )
        return _acted(payment, verdict, detail)


def cancellation(payment: Payment, by: str, reason: str | None) -> Change:
    """Return the change that cancels a payment which is not claimed, and gives its hold back."""
    held = payment.state is PaymentState.RESERVED
    return Change(
        key=f"{payment.id}/cancel/{payment.state}",
        kind="void" if held else "cancel",
        actor=by,
        reason=reason,
        payment_id=payment.id,
        moves=(Move(before=payment.state, after=PaymentState.CANCELLED),),
        legs=released(payment) if held else (),
        effective_on=today(),
    )


def _acted(payment: Payment, verdict: Verdict, detail: str) -> Acted:
    return Acted(
        answer=Answer(verdict=verdict, detail=detail),
        standing=standing_of(payment),
    )


def _done_already(state: PaymentState, action: Approve | Deny | Cancel | Resolve) -> bool:
    """Tell whether a payment has ended just as the action wants it to."""
    return (state is PaymentState.CANCELLED and isinstance(action, Cancel)) or (
        state is PaymentState.DENIED and isinstance(action, Deny)
    )
