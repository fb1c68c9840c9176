"""The sender: brings each queued webhook to the customer, again and again until it is taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from partners.simulator.bank.alarm import Alarm
from partners.simulator.bank.events import event_name
from partners.simulator.bank.logs import log
from partners.simulator.bank.settings import Tuning
from partners.simulator.bank.store import Store, Tx

_AT_ONCE = 32
_ANSWER_SECONDS_MAX = 10.0
_WRONG_SECRET = b"this is not the customer's secret"


class Sender:
    """Delivers what the file holds in the state `queued`; it remembers nothing itself.

    Killed between a delivery and its mark, it delivers again: at least once, never lost.
    """

    def __init__(self, store: Store, url: str, secret: str, tuning: Callable[[], Tuning]) -> None:
        self._store = store
        self._url = url
        self._signer = Webhook(secret)
        self._forger = Webhook(_WRONG_SECRET)
        self._tuning = tuning
        self._flying: dict[int, asyncio.Task[None]] = {}
        self._progress = asyncio.Condition()
        self.alarm = Alarm()

    async def run(self) -> None:
        """Deliver for ever."""
        limits = httpx.Limits(max_connections=_AT_ONCE)
        async with httpx.AsyncClient(
            timeout=_ANSWER_SECONDS_MAX, limits=limits, trust_env=False
        ) as http:
            try:
                while True:
                    await self.alarm.wait(await self._start_due(http))
            finally:
                for task in self._flying.values():
                    task.cancel()
                await asyncio.gather(*self._flying.values(), return_exceptions=True)

    async def wait_for_payout(self, payout: int, seconds: float) -> None:
        """Wait until every webhook of a payout was taken, at most so many seconds."""
        deadline = time.monotonic() + seconds
        async with self._progress:
            while await self._store.run(lambda tx: _queued(tx, payout)):
                try:
                    left = deadline - time.monotonic()
                    await asyncio.wait_for(self._progress.wait(), left)
                except TimeoutError:
                    return

    async def _start_due(self, http: httpx.AsyncClient) -> float | None:
        """Start what is due; return how long to sleep, None until the alarm."""
        if self._tuning().webhooks_paused or len(self._flying) >= _AT_ONCE:
            return None  # the alarm rings when that changes
        flying = set(self._flying)
        rows = await self._store.run(lambda tx: _next(tx, len(flying) + _AT_ONCE))
        now = time.time()
        for row in rows:
            if row["id"] in flying:
                continue
            if row["due_at"] > now:
                return float(row["due_at"] - now)
            if len(self._flying) >= _AT_ONCE:
                return None
            task = asyncio.create_task(self._deliver(http, row))
            self._flying[row["id"]] = task
            task.add_done_callback(partial(self._landed, row["id"]))
        return None

    def _landed(self, delivery: int, task: asyncio.Task[None]) -> None:
        del self._flying[delivery]
        if not task.cancelled() and (failure := task.exception()) is not None:
            log("webhook broke down", delivery=delivery, failure=repr(failure))
        self.alarm.ring()

    async def _deliver(self, http: httpx.AsyncClient, row: Any) -> None:
        signer = self._forger if row["tries"] < row["wrong_signatures"] else self._signer
        event = event_name(row["event"])
        sent_at = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": event,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": signer.sign(event, sent_at, row["body"]),
        }
        try:
            reply = await http.post(self._url, content=row["body"].encode(), headers=headers)
            answer = str(reply.status_code)
            taken = reply.is_success
        except httpx.HTTPError as error:
            answer, taken = type(error).__name__, False
        tuning, now = self._tuning(), time.time()
        state = await self._store.run(lambda tx: _mark(tx, now, tuning, row, taken))
        log("webhook sent", id=event, type=row["type"], answer=answer, state=state)
        async with self._progress:
            self._progress.notify_all()


def _next(tx: Tx, limit: int) -> list[Any]:
    return tx.execute(
        "SELECT d.*, e.body, e.type FROM deliveries d JOIN events e ON e.id = d.event"
        " WHERE d.state = 'queued' ORDER BY d.due_at, d.id LIMIT ?",
        (limit,),
    ).fetchall()


def _queued(tx: Tx, payout: int) -> bool:
    row = tx.execute(
        "SELECT 1 FROM deliveries d JOIN events e ON e.id = d.event"
        " WHERE e.payout = ? AND d.state = 'queued'",
        (payout,),
    ).fetchone()
    return row is not None


def _mark(tx: Tx, now: float, tuning: Tuning, row: Any, taken: bool) -> str:
    """Write down what became of a try: delivered, given up, or queued for the next one."""
    tries = row["tries"] + 1
    wait = min(
        tuning.webhook_retry_seconds * 2 ** min(row["tries"], 30),
        tuning.webhook_retry_seconds_max,
    )
    if taken:
        state = "delivered"
    elif row["tries_max"] is not None and tries >= row["tries_max"]:
        state = "given_up"
    else:
        state = "queued"
    tx.execute(
        "UPDATE deliveries SET state = ?, tries = ?, due_at = ? WHERE id = ?",
        (state, tries, now + wait, row["id"]),
    )
    return state
