"""Workflows that only record what reaches them, in place of the real ones."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

from bursar.actions import Answer, Verdict
from bursar.names import (
    APPROVE,
    CANCEL,
    DENY,
    DEPOSIT_WORKFLOW,
    LATE_EVENT_WORKFLOW,
    PARTNER_EVENT,
    PAYOUT_WORKFLOW,
    RESOLVE,
    RETURN_WORKFLOW,
)

END = "end"
ANSWER_WITH = "answer_with"


@workflow.defn(name=PAYOUT_WORKFLOW, sandboxed=False)
class RecordingPayout:
    """Answers each action with the verdict it was told; notes who acted and which rows came."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._actions: list[dict[str, Any]] = []
        self._verdict = Verdict.RECORDED
        self._ended = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self._ended)
        return "ended"

    @workflow.signal(name=PARTNER_EVENT)
    def on_event(self, *received: Any) -> None:
        self._rows.append(received[0]["row_id"])

    @workflow.signal(name=END)
    def on_end(self) -> None:
        self._ended = True

    @workflow.signal(name=ANSWER_WITH)
    def on_answer_with(self, verdict: str) -> None:
        self._verdict = Verdict(verdict)

    @workflow.update(name=APPROVE)
    async def on_approve(self, action: dict[str, Any]) -> Answer:
        return self._noted(action)

    @workflow.update(name=DENY)
    async def on_deny(self, action: dict[str, Any]) -> Answer:
        return self._noted(action)

    @workflow.update(name=CANCEL)
    async def on_cancel(self, action: dict[str, Any]) -> Answer:
        return self._noted(action)

    @workflow.update(name=RESOLVE)
    async def on_resolve(self, action: dict[str, Any]) -> Answer:
        return self._noted(action)

    @workflow.query
    def rows(self) -> list[int]:
        return self._rows

    @workflow.query
    def actions(self) -> list[dict[str, Any]]:
        return self._actions

    def _noted(self, action: dict[str, Any]) -> Answer:
        self._actions.append(action)
        return Answer(verdict=self._verdict, detail=f"call {len(self._actions)}")


@workflow.defn(name=DEPOSIT_WORKFLOW, sandboxed=False)
class RecordingDeposit:
    """Ends with what it was given."""

    @workflow.run
    async def run(self, given: dict[str, int]) -> int:
        return given["row_id"]


@workflow.defn(name=RETURN_WORKFLOW, sandboxed=False)
class RecordingReturn:
    """Ends with what it was given."""

    @workflow.run
    async def run(self, given: dict[str, int]) -> int:
        return given["row_id"]


@workflow.defn(name=LATE_EVENT_WORKFLOW, sandboxed=False)
class RecordingLateEvent:
    """Ends with what it was given."""

    @workflow.run
    async def run(self, given: dict[str, int]) -> int:
        return given["row_id"]


WORKFLOWS = [RecordingPayout, RecordingDeposit, RecordingReturn, RecordingLateEvent]
