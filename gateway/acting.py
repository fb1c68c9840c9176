"""Acting: a person's word is recorded under the name of the token, then the workflow is told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import structlog
from fastapi import Depends

from bursar.actions import Answer, Approve, Deny, Resolve, Verdict
from bursar.errors import PaymentNotFound
from bursar.ids import person_of
from bursar.payments import CANCELLABLE, FINAL, PaymentState
from gateway.engine import Action, EngineRefused, EngineSilent, NotRunning, update_id
from gateway.problems import Refused
from gateway.resources import Resources, resources_of
from gateway.tokens import OPERATE, Principal
from ledger.books import ApprovalRow, Payment
from ledger.resolutions import changes_nothing, decision_of, due_since

CHANNEL = "gateway"

STATES_THAT_TAKE_WORDS = frozenset({PaymentState.RECEIVED, PaymentState.AWAITING_APPROVAL})

_REFUSALS = {
    Verdict.NOT_ALLOWED: 403,
    Verdict.TOO_LATE: 409,
    Verdict.NOT_WAITING: 409,
    Verdict.ALREADY_FINAL: 409,
}
_MAY_CHANGE = frozenset({Verdict.NOT_ALLOWED, Verdict.NOT_WAITING, Verdict.TOO_LATE})
"""Answers that may be another once the payment has moved on."""

_log = structlog.get_logger("gateway.acting")


class Acting:
    """What approve, deny, cancel and resolve have in common."""

    def __init__(self, resources: Resources) -> None:
        self._books = resources.books
        self._engine = resources.engine

    async def payment(self, payment_id: str, content_hash: str | None = None) -> Payment:
        """Return the payment that somebody wants to act on, as it stands.

        Raises:
            PaymentNotFound: The register does not have it.
            Refused: 409 when a content hash is given, and it is not the payment's.
        """
        payment = await self._books.payment(payment_id)
        if payment is None:
            raise PaymentNotFound(payment_id)
        if content_hash not in (None, payment.content_hash):
            detail = "The payment's content is not the one that was looked at; nothing was done."
            raise Refused(409, detail, code="content_changed", field="content_hash")
        return payment

    async def record_word(self, by: Principal, payment: Payment, action: Approve | Deny) -> None:
        """Keep a person's word, once, while the payment may still need it.

        Raises:
            Refused: 403 when this person's word cannot count.
        """
        if not await self._takes_words(payment, action):
            return  # the workflow says why not, or repeats the answer that it gave before
        if person_of(by.name) == person_of(payment.created_by):
            raise _not_allowed("whoever created a payment cannot decide on it")
        need = payment.terms.get("approvals") or {}
        role = need.get("role") or by.approval_roles[-1]
        if role not in by.roles:
            raise _not_allowed(f"this payment needs the word of somebody with the role {role}")
        await self._record(by, payment, action.verb, role, action.reason)

    async def _takes_words(self, payment: Payment, action: Approve | Deny) -> bool:
        """Tell whether a payment may need a word: waiting, or held back for want of approvals."""
        if payment.state in STATES_THAT_TAKE_WORDS:
            return True
        need = payment.terms.get("approvals")
        if not need or payment.state not in CANCELLABLE or isinstance(action, Deny):
            return False
        return await self._books.approvals_given(payment.id) < int(need["number"])

    async def record_decision(self, by: Principal, payment: Payment, action: Resolve) -> None:
        """Keep what a person says became of a payment, if that is asked; two have to say the same.

        Raises:
            Refused: 403 when this person's word cannot count.
        """
        since = due_since(payment, await self._books.open_cases(payment.id))
        if since is None or changes_nothing(payment, action.outcome):
            return  # the workflow says why not
        if person_of(by.name) == person_of(payment.created_by):
            raise _not_allowed("whoever created a payment cannot decide what became of it")
        decision = decision_of(action.outcome)
        await self._record(by, payment, decision, OPERATE, action.evidence, since)

    async def _record(
        self,
        by: Principal,
        payment: Payment,
        decision: str,
        role: str,
        reason: str | None,
        due_since: datetime | None = None,
    ) -> None:
        need = payment.terms.get("approvals") or {}
        row = ApprovalRow(
            payment_id=payment.id,
            principal=by.name,
            decision=decision,
            role=role,
            content_hash=payment.content_hash,
            rule_version=need.get("version") or "",
            reason=reason,
            channel=CHANNEL,
            at=await self._books.now(),
        )
        new = await self._books.add_approval(row, due_since)
        _log.info("a word was recorded", payment_id=payment.id, decision=decision, new=new)

    async def act(self, payment: Payment, action: Action) -> Answer:
        """Have the payment's workflow do it and return its answer.

        Raises:
            Refused: 403 or 409 when it did not apply; 503 when there was no answer.
        """
        try:
            answer = await self._ask(payment, action)
        except EngineSilent as error:
            raise Refused(503, _silence(action)) from error
        except EngineRefused as error:
            detail = f"The workflow did not accept this. {_recorded(action)}"
            raise Refused(409, detail, code="action_refused") from error
        except NotRunning as error:
            raise await self._ended(payment.id, action) from error
        _log.info("acted", payment_id=payment.id, verb=action.verb, verdict=answer.verdict)
        if answer.verdict in _REFUSALS:
            detail = answer.detail or f"The answer is {answer.verdict}."
            raise Refused(_REFUSALS[answer.verdict], detail, code=answer.verdict)
        return answer

    async def _ask(self, payment: Payment, action: Action) -> Answer:
        """Return the answer to the same wish before, unless the payment has moved since."""
        first = update_id(action)
        known = await self._engine.answer_of(payment.id, first)
        if known is None:
            return await self._engine.act(payment.id, action, first)
        if known.verdict not in _MAY_CHANGE:
            return known
        situation = f"{payment.state} since {payment.updated_at.isoformat()}"
        return await self._engine.act(payment.id, action, update_id(action, situation))

    async def _ended(self, payment_id: str, action: Action) -> Refused:
        payment = await self.payment(payment_id)
        if payment.state in FINAL:
            detail = f"It is {payment.state} already; nothing changed."
            return Refused(409, detail, code=Verdict.ALREADY_FINAL)
        detail = f"It is {payment.state}, and no workflow runs for it: call operations. "
        detail += _recorded(action)
        return Refused(409, detail, code="not_running")


async def acting_of(resources: Annotated[Resources, Depends(resources_of)]) -> Acting:
    """Give what acts on payments, for one request."""
    return Acting(resources)


def _not_allowed(why: str) -> Refused:
    return Refused(403, f"{why[0].upper()}{why[1:]}.", code=Verdict.NOT_ALLOWED)


def _recorded(action: Action) -> str:
    """Say what stands in the register when the workflow has not acted."""
    if isinstance(action, Approve | Deny | Resolve):
        return "Your word is recorded, and counts once the payment takes its next step."
    return "Nothing changed."


def _silence(action: Action) -> str:
    if isinstance(action, Approve | Deny | Resolve):
        return "Your word is recorded; Temporal did not answer. Repeat the call, it is safe."
    return "Temporal did not answer, so what this did is unknown. Repeat the call, it is safe."
