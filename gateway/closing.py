"""Closing: what people decide on a case, and the posting that takes its money out of suspense."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import Depends

from bursar.errors import CaseNotFound, ContentConflict
from bursar.ids import person_of
from bursar.payments import PaymentState
from bursar.views import CaseAnswer
from gateway.engine import Engine, EngineRefused, EngineSilent
from gateway.problems import Refused
from gateway.resources import Resources, resources_of
from gateway.tokens import Principal
from ledger import postings
from ledger.accounts import loss_account
from ledger.books import Books
from ledger.changes import Change
from ledger.evidence import GIVEN_UP, CaseFile

DECIDERS_MIN = 2
"""How many different people have to agree on where a case's money goes."""

NOWHERE = "none"

EVENT_SET_ASIDE = "event_set_aside"
"""Cases that stay open for as long as their event does not go on."""

_TARGET = re.compile(r"(wallet|loss)/[a-z0-9-]+/[A-Z]{3}")
"""Where money may go. Never to a nostro: that moves only by what a partner did."""

_log = structlog.get_logger("gateway.closing")


class Closing:
    """Cases are closed by people only; by two of them where money leaves suspense."""

    def __init__(self, resources: Resources) -> None:
        self._books: Books = resources.books
        self._engine: Engine = resources.engine

    async def assign(self, case_id: int, owner: str, by: Principal) -> CaseAnswer:
        """Give an open case to somebody."""
        case = await self._open_case(case_id)
        if not await self._books.assign_case(case.id, owner, by.name):
            raise _closed(case.id)
        return CaseAnswer(id=case.id, verdict="assigned", detail=f"it is {owner}'s now")

    async def resolve(
        self, case_id: int, by: Principal, to: str | None, evidence: str
    ) -> CaseAnswer:
        """Take a person's word on a case; once enough people say the same, it is closed.

        Raises:
            CaseNotFound: There is no such case.
            Refused: 403, 409 or 422 when this word cannot count; nothing has moved.
        """
        case = await self._open_case(case_id)
        if case.created_by is not None and person_of(by.name) == person_of(case.created_by):
            detail = "Whoever created a payment cannot decide on its case."
            raise Refused(403, detail, code="not_allowed")
        await self._check_is_no_review(case)
        await self._check_target(case, to)
        people = await self._books.add_case_word(case.id, by.name, to or NOWHERE, evidence)
        if to is None:
            return await self._close(case, to, people, evidence, posting=None)
        enough, posting = len(people) >= DECIDERS_MIN, None
        if enough and to == GIVEN_UP:
            enough = await self._give_up(case, people, evidence)
        elif enough:
            posting = await self._move(case, to, people, evidence)
            enough = posting is not None
        if not enough:
            detail = "A second person has to say the same: the same case, the same `to`."
            return CaseAnswer(id=case.id, verdict="recorded", detail=detail)
        return await self._close(case, to, people, evidence, posting)

    async def _give_up(self, case: CaseFile, people: list[str], evidence: str) -> bool:
        """Set a case's event aside for good; False where too few people say so by then."""
        done = await self._books.give_up_event(case.id, " with ".join(people), evidence)
        if done == "gone":
            detail = "Its event does not wait on this case any more: leave `to` out."
            raise Refused(409, detail, code="not_waiting")
        return done == "given_up"

    async def _close(
        self, case: CaseFile, to: str | None, people: list[str], evidence: str, posting: str | None
    ) -> CaseAnswer:
        """Close a case by what people say, whose money has been moved by `posting`, if it had any.

        Raises:
            Refused: 409, its event is still set aside.
        """
        try:
            closed = await self._books.close_case(
                case.id,
                by=" with ".join(people),
                decision=to or NOWHERE,
                resolution=evidence if to is None else f"to {to}: {evidence}",
                posting=posting,
            )
        except ValueError as error:  # somebody was disabled just now, or has taken it back
            _log.warning("a case was not closed", case_id=case.id, error=str(error))
            detail = "Too few people say so any more; the case stays open. Somebody else has to"
            detail += " say the same" + (", and its money stays where it went." if posting else ".")
            return CaseAnswer(id=case.id, verdict="recorded", detail=detail)
        if not closed and await self._waits_for_its_event(case):
            detail = "Its event is still set aside: mend the cause, bring it back with"
            detail += " bursar events redrive, then close the case. What nothing can ever apply is"
            detail += f" given up by two people: `to` {GIVEN_UP}."
            raise Refused(409, detail, code=EVENT_SET_ASIDE)
        _log.info("a case was closed", case_id=case.id, people=len(people), moved=posting)
        await self._look_again(case)
        return CaseAnswer(id=case.id, verdict="resolved", detail=posting or "nothing moved")

    async def _open_case(self, case_id: int) -> CaseFile:
        case = await self._books.case(case_id)
        if case is None:
            raise CaseNotFound(case_id)
        if case.closed_at is not None:
            raise _closed(case_id)
        return case

    async def _waits_for_its_event(self, case: CaseFile) -> bool:
        """Tell whether a case has stayed open because its event is still set aside."""
        now = await self._books.case(case.id) if case.kind == EVENT_SET_ASIDE else None
        return now is not None and now.closed_at is None

    async def _check_is_no_review(self, case: CaseFile) -> None:
        """Refuse to close a case without the payment's own decision where that is still due."""
        if case.kind != "outcome_unknown" or case.payment_id is None:
            return
        payment = await self._books.payment(case.payment_id)
        if payment is not None and payment.state is PaymentState.IN_REVIEW:
            detail = f"Decide the payment: bursar resolve {case.payment_id}; that closes the case."
            raise Refused(409, detail, code="payment_in_review")

    async def _check_target(self, case: CaseFile, to: str | None) -> None:
        if to == GIVEN_UP and case.kind == EVENT_SET_ASIDE:
            return
        if case.account is None:
            if to is not None:
                raise _no_target("This case has moved no money to suspense: leave `to` out.")
            return
        if to is None:
            raise _no_target(f"Its money waits on {case.account}: say in `to` where it goes.")
        if not _TARGET.fullmatch(to) or not to.endswith(f"/{case.currency}"):
            raise _no_target(f"Name a wallet, or loss/<reason>/{case.currency}.")
        if to.startswith("wallet/") and not await self._is_usable(to, case):
            raise _no_target("There is no such account for this case.")

    async def _is_usable(self, path: str, case: CaseFile) -> bool:
        account = await self._books.account(path)
        if account is None or account.closed:
            return False
        payment = await self._books.payment(case.payment_id) if case.payment_id else None
        return payment is None or account.tenant == payment.tenant

    async def _move(self, case: CaseFile, to: str, people: list[str], evidence: str) -> str | None:
        """Book the way out of suspense, once; one that was refused may be tried again.

        The books count the people once more in that commit: None where too few say so by then.
        """
        tries = await self._books.case_postings(case.id)
        booked = next((key for key, done in tries if done), None)
        if to.startswith("loss/"):
            await self._books.open_accounts([loss_account(to)])
        change = _change(case, booked or f"case/{case.id}/{len(tries) + 1}", to, people, evidence)
        try:
            written = await self._books.write(change)
        except ContentConflict as error:
            detail = "Its money has gone to another account already; look at the case again."
            raise Refused(409, detail, code="already_moved") from error
        if written.refusal:
            detail = (
                f"The books refuse it: {written.refusal}. Nothing moved, and it can be retried."
            )
            raise Refused(409, detail, code=written.refusal)
        return None if written.stale else change.key

    async def _look_again(self, case: CaseFile) -> None:
        """Have the payment's run take its mark off; without an answer its next step does."""
        if case.payment_id is None:
            return
        try:
            await self._engine.look_again(case.payment_id)
        except (EngineSilent, EngineRefused) as error:
            _log.warning("a run was not told of a closed case", error=str(error))


async def closing_of(resources: Annotated[Resources, Depends(resources_of)]) -> Closing:
    """Give what acts on cases, for one request."""
    return Closing(resources)


def _change(case: CaseFile, key: str, to: str, people: list[str], evidence: str) -> Change:
    if case.account is None or case.currency is None:
        raise ValueError(f"case {case.id} has no money in suspense")
    kind = "case_assign" if case.delta > 0 else "case_adjust"
    return Change(
        key=key,
        kind="case_writeoff" if to.startswith("loss/") else kind,
        actor=" with ".join(people),
        reason=evidence,
        payment_id=case.payment_id,
        legs=postings.out_of_suspense(case.account, to, case.currency, delta=case.delta),
        effective_on=datetime.now(UTC).date(),
        evidence_id=f"case/{case.id}",
    )


def _closed(case_id: int) -> Refused:
    return Refused(409, f"Case {case_id} is closed already; nothing changed.", code="case_closed")


def _no_target(why: str) -> Refused:
    return Refused(422, why, code="invalid_request", field="to")
