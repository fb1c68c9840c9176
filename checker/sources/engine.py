"""Temporal: which payments have a run that goes on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from checker.rows import Runs
from checker.sources.books import CannotCheck

CALL_SECONDS = timedelta(seconds=20)

_PAYMENT_RUN = re.compile(r"(?:payout/(po_\w+)|transfer/(tr_\w+))")


async def read_runs(address: str, namespace: str, unfinished: Iterable[str]) -> Runs:
    """Read which payments' workflows run.

    The index may be behind, so what it does not agree on with the books is asked for by name.

    Args:
        address: host:port of Temporal's frontend.
        namespace: Where the payments run.
        unfinished: Payments that the books say are not final.

    Raises:
        CannotCheck: Nobody answers there.
    """
    try:
        client = await Client.connect(address, namespace=namespace)
        running: dict[str, datetime] = {}
        ids: list[str] = []
        async for run in client.list_workflows():
            ids.append(run.id)
            payment_id = _payment_of(run.id)
            if payment_id and run.status is WorkflowExecutionStatus.RUNNING:
                running[payment_id] = run.start_time
        for payment_id in running.keys() ^ set(unfinished):
            since = await _running_since(client, payment_id)
            running.pop(payment_id, None)
            if since is not None:
                running[payment_id] = since
    except (RPCError, RuntimeError, OSError) as error:
        raise CannotCheck(f"Temporal does not answer ({error}); see --temporal") from error
    return Runs(running=running, workflow_ids=ids)


def _payment_of(workflow_id: str) -> str | None:
    found = _PAYMENT_RUN.fullmatch(workflow_id)
    return found.group(1) or found.group(2) if found else None


async def _running_since(client: Client, payment_id: str) -> datetime | None:
    kind = "payout" if payment_id.startswith("po_") else "transfer"
    try:
        run = await client.get_workflow_handle(f"{kind}/{payment_id}").describe(
            rpc_timeout=CALL_SECONDS
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return run.start_time if run.status is WorkflowExecutionStatus.RUNNING else None
