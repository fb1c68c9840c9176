"""Payout: money from an account of ours to somebody outside, once."""

import asyncio
from typing import Any

from temporalio import workflow

from activities.events import EventActivities
from activities.options import PartnerOptions, books, partner
from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.terms import NotOpened, Opened, Opening, Question
from bursar import names
from bursar.payments import PaymentResult, PaymentState
from workflows.desk import Desk
from workflows.received import only

_S = PaymentState


@workflow.defn(name=names.PAYOUT_WORKFLOW)
class Payout(Desk):
    """Move one payout from our books to a partner, once.

    Workflow id: payout/<payment id>, never reused. It has no time-outs, no retries and never
    continues as new; its waits are the payment's own policy. Commit point: the claim in Postgres,
    which `submit` commits before the first byte leaves; a cancel wins before it and is a recorded
    wish after it. Started again for a payment that exists, it goes on where the register says.
    """

    @workflow.run
    async def run(self, *received: Any) -> PaymentResult:
        """Hold the money, hand it over, and book what the partner finally says."""

        async def opening() -> Opened | NotOpened:
            return await workflow.execute_local_activity_method(
                PaymentActivities.open_payout,
                Opening(payment_id=self._id, request=only(received)),
                **books("Register, check and hold"),
            )

        return await self._live(opening, self._step)

    async def _step(self, state: PaymentState) -> None:
        """Take the one step that the state asks for."""
        if self._behind:
            await self._wait_until(None, "the books have lost what this run has seen")
            return
        match state:
            case _S.AWAITING_APPROVAL:
                await self._await_approval()
            case _S.SCHEDULED:
                await self._await_date()
            case _S.RESERVED | _S.SUBMITTING:
                await self._submit()
            case _S.OUTCOME_UNKNOWN:
                await self._ask()
            case _S.SUBMITTED:
                await self._await_last_word()
            case _S.IN_REVIEW:
                await self._wait_until(None, "a person decides")
            case _:
                raise RuntimeError(f"a payout has no step in state {state}")

    async def _submit(self) -> None:
        """Hand the payout over, unless Temporal was told to cancel at this very moment."""
        if workflow.cancellation_reason() is not None and self._native_cancels == 0:
            await asyncio.sleep(0)  # lets the cancellation reach the desk before the hand-over
            return
        call = workflow.start_activity_method(
            RailActivities.submit, self._id, **self._options("Submit")
        )
        await self._attend(call, frozenset({_S.RESERVED, _S.SUBMITTING}), with_news=False)

    async def _ask(self) -> None:
        """Ask about an unknown outcome until it is known, or people have to find out."""
        await self._take_news()  # the partner may have told already, and woken nobody
        if self._now().state is not _S.OUTCOME_UNKNOWN:
            return
        call = workflow.start_activity_method(
            RailActivities.ask,
            Question(payment_id=self._id, cancel_wished=self._cancel_wished),
            **self._options("Ask what happened"),
        )
        await self._attend(call, frozenset({_S.OUTCOME_UNKNOWN}))

    async def _await_last_word(self) -> None:
        """Wait for the partner's event; ask when none comes, and go on asking."""
        if self._cancel_wished:
            self._cancel_wished = False
            await self._ask_to_cancel()
        else:
            policy = self._terms.policy
            pause = policy.overdue_after if self._now().overdue else policy.poll_after
            patience = workflow.now() + pause
            if await self._wait_until(patience, "no word from the partner yet"):
                await self._poll()

    async def _poll(self) -> None:
        call = workflow.start_activity_method(
            RailActivities.poll, self._id, **self._options("Ask whether it is paid")
        )
        await self._attend(call, frozenset({_S.SUBMITTED}))

    async def _ask_to_cancel(self) -> None:
        call = workflow.start_activity_method(
            RailActivities.ask_to_cancel, self._id, **self._options("Ask to cancel")
        )
        await self._attend(call, frozenset({_S.SUBMITTED}))

    async def _take_news(self) -> None:
        """Take account of the events that are stored."""
        self._news = False
        self._stand(
            await workflow.execute_local_activity_method(
                EventActivities.apply_events, self._id, **books("Apply the partner's events")
            )
        )

    def _options(self, what: str) -> PartnerOptions:
        """Return the options of a call to this payout's partner."""
        name = self._terms.partner
        if name is None:
            raise RuntimeError("the payout has no partner")
        return partner(name, self._terms.policy, f"{what}: {name}")
