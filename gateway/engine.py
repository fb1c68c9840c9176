"""The engine: every call from the gateway to Temporal, and what its errors mean for us."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from bursar import names
from bursar.actions import Answer, Approve, Cancel, Deny, Resolve

CALL_SECONDS_MAX = 3.0
ANSWER_SECONDS_MAX = 6.0
"""How long a person's action waits for the workflow's answer."""

Action = Approve | Deny | Cancel | Resolve

_T = TypeVar("_T")
_NOT_OUR_FAULT = frozenset(
    {
        RPCStatusCode.ABORTED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.FAILED_PRECONDITION,  # the run was just taking a step: ask again
        RPCStatusCode.INTERNAL,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.UNKNOWN,
    }
)
"""Statuses that say nothing against the call itself: it may be made again as it is."""


class EngineSilent(Exception):
    """Temporal gave no answer: what the call did is unknown, and a repeat is safe."""


class EngineRefused(Exception):
    """Temporal, or the workflow, definitely refused the call; the same call will not do better."""


class NotRunning(Exception):
    """No workflow of that id is running: it has ended, or it was never started."""


class Engine:
    """Temporal as the gateway needs it; connects at the first call that finds it up."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, workflow: str, workflow_id: str, row_id: int, summary: str) -> None:
        """Start the workflow that judges one stored event; one that still runs is fine.

        One that has ended has not booked the event, or it would not be offered again: it was
        terminated, or the books were restored. Its step is keyed, so it may be repeated.

        Raises:
            EngineSilent: Repeat the call.
            EngineRefused: Temporal does not take this start.
        """
        start = self._client.start_workflow(
            workflow,
            {"row_id": row_id},
            id=workflow_id,
            task_queue=names.PAYMENTS_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=summary[:200],
        )
        try:
            await _answered(start, CALL_SECONDS_MAX)
        except WorkflowAlreadyStartedError:
            return
        except NotRunning as error:  # the namespace is not there
            raise EngineRefused(str(error)) from error

    async def signal_event(self, payment_id: str, row_id: int) -> None:
        """Tell a payment's workflow of a stored event.

        Raises:
            NotRunning: The payment's workflow has ended or is not known.
            EngineSilent: Repeat the call; a workflow takes notice of a row once.
            EngineRefused: Temporal does not take this signal.
        """
        handle = self._client.get_workflow_handle(names.workflow_id(payment_id))
        signal = handle.signal(names.PARTNER_EVENT, {"row_id": row_id})
        await _answered(signal, CALL_SECONDS_MAX)

    async def look_again(self, payment_id: str) -> None:
        """Have a payment's workflow, where one runs, look at what stands in the books.

        Raises:
            EngineSilent: Repeat the call.
            EngineRefused: Temporal does not take this signal.
        """
        handle = self._client.get_workflow_handle(names.workflow_id(payment_id))
        try:
            await _answered(handle.signal(names.PARTNER_EVENT, {}), CALL_SECONDS_MAX)
        except NotRunning:
            return

    async def answer_of(self, payment_id: str, update_id: str) -> Answer | None:
        """Return the answer that a payment's workflow gave to an action before, or None.

        Raises:
            EngineSilent: Repeat the call.
            EngineRefused: The action was tried before, and the workflow did not accept it.
        """
        handle = self._client.get_workflow_handle(names.workflow_id(payment_id))
        known = handle.get_update_handle(update_id, result_type=Answer)
        try:
            return await _answered(known.result(), CALL_SECONDS_MAX)
        except NotRunning:  # neither a workflow nor an update of that id
            return None

    async def act(self, payment_id: str, action: Action, update_id: str) -> Answer:
        """Do what a person wants to a payment and return the workflow's answer.

        The same update id gives the stored answer again, also after the workflow has ended.

        Raises:
            NotRunning: The payment's workflow has ended or is not known, and has no such answer.
            EngineSilent: No answer in time: what the call did is unknown; repeat it.
            EngineRefused: The workflow did not accept the action; nothing changed.
        """
        handle = self._client.get_workflow_handle(names.workflow_id(payment_id))
        update = handle.execute_update(action.verb, action, id=update_id, result_type=Answer)
        return await _answered(update, ANSWER_SECONDS_MAX)

    async def answers(self) -> bool:
        """Tell whether Temporal answers at all."""
        try:
            return await _answered(self._client.service_client.check_health(), CALL_SECONDS_MAX)
        except (EngineSilent, EngineRefused, NotRunning):
            return False


async def _answered(call: Awaitable[_T], seconds_max: float) -> _T:
    """Await a call to Temporal and sort what goes wrong by what may be done next."""
    try:
        async with asyncio.timeout(seconds_max):
            return await call
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise EngineSilent("no answer in time") from error
    except RuntimeError as error:  # what the SDK raises when the first connection fails
        raise EngineSilent("no connection") from error
    except WorkflowUpdateFailedError as error:
        raise EngineRefused("the workflow did not accept it") from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotRunning("no such workflow is running") from error
        if error.status in _NOT_OUR_FAULT:
            raise EngineSilent(f"status {error.status.name}") from error
        raise EngineRefused(f"status {error.status.name}") from error


def update_id(action: Action, again: str = "") -> str:
    """Return the id under which an action is done once: who, what, and in which situation.

    The reason is left out: the same person's same wish in other words is the same wish.

    Args:
        action: The action with its actor; all of it but the reason is part of the id.
        again: Sets a later wish apart from an earlier one that did not apply then.
    """
    content: dict[str, Any] = action.model_dump(mode="json", exclude={"reason"})
    text = json.dumps([content, again], sort_keys=True)
    return f"{action.verb}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
