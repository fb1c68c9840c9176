"""The bank at work: its file, its settings of the moment, and the two loops that act on time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from partners.simulator.bank.alarm import Alarm
from partners.simulator.bank.lifecycle import perform_due
from partners.simulator.bank.logs import log
from partners.simulator.bank.payouts import Desk
from partners.simulator.bank.sender import Sender
from partners.simulator.bank.settings import BankSettings, Tuning
from partners.simulator.bank.store import Store, Tx
from partners.simulator.bank.wire import Json

T = TypeVar("T")


class Bank:
    """Everything that lives while the process does; what must survive it is in the store."""

    def __init__(self, settings: BankSettings, store: Store, tuning: Tuning) -> None:
        self.settings = settings
        self.tuning = tuning
        self.broken = False
        """Whether a loop broke down."""
        self._store = store
        self._steps = Alarm()
        self._sender: Sender | None = None
        if settings.webhook_url is not None and settings.webhook_secret is not None:
            secret = settings.webhook_secret.get_secret_value()
            self._sender = Sender(store, settings.webhook_url, secret, lambda: self.tuning)

    def desk(self) -> Desk:
        """Return the desk that takes a payout now."""
        return Desk(self.settings, self.tuning, time.time())

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Run a job that changes nothing."""
        return await self._store.run(job)

    async def write(self, job: Callable[[Tx], T]) -> T:
        """Run a job that may leave steps or webhooks behind, and wake the loops."""
        result = await self._store.run(job)
        self._wake()
        return result

    async def tune(self, change: Json) -> Tuning:
        """Change some control settings: durable first, then in force.

        Raises:
            ValidationError: The settings would not be usable; nothing has changed.
        """
        self.tuning = await self._store.run(lambda tx: _tuned(tx, self.settings, change))
        self._wake()
        return self.tuning

    async def wait_for_webhooks(self, payout: int, seconds: float) -> None:
        """Wait until a payout's webhooks were taken, at most so many seconds."""
        if self._sender is not None:
            await self._sender.wait_for_payout(payout, seconds)

    async def perform_steps(self) -> None:
        """Do each step when it is due, for ever."""
        while True:
            done, next_due = await self._store.run(
                lambda tx: perform_due(tx, time.time(), self.tuning)
            )
            if done and self._sender is not None:
                self._sender.alarm.ring()
            await self._steps.wait(None if next_due is None else max(0.0, next_due - time.time()))

    async def send_webhooks(self) -> None:
        """Deliver webhooks for ever, where there is somewhere to send them."""
        if self._sender is not None:
            await self._sender.run()

    def loop_ended(self, loop: asyncio.Task[None]) -> None:
        """Stop the process where a loop broke down: a bank must not seem to work."""
        if not loop.cancelled() and (failure := loop.exception()) is not None:
            log("a loop broke down, the bank stops", loop=loop.get_name(), failure=repr(failure))
            self.broken = True
            signal.raise_signal(signal.SIGTERM)

    def _wake(self) -> None:
        self._steps.ring()
        if self._sender is not None:
            self._sender.alarm.ring()


@contextlib.asynccontextmanager
async def open_bank(settings: BankSettings) -> AsyncIterator[Bank]:
    """Open the file and start the loops; a loop that breaks ends the process, never in silence."""
    store = Store(settings.database)
    try:
        tuning = await store.run(lambda tx: _tuned(tx, settings, {}))
        bank = Bank(settings, store, tuning)
        loops = [
            asyncio.create_task(bank.perform_steps(), name="steps"),
            asyncio.create_task(bank.send_webhooks(), name="webhooks"),
        ]
        for loop in loops:
            loop.add_done_callback(bank.loop_ended)
        try:
            yield bank
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
    finally:
        store.close()


def _tuned(tx: Tx, settings: BankSettings, change: Json) -> Tuning:
    """Return the settings of this start, under what was ever changed by control and kept."""
    row = tx.execute("SELECT body FROM control").fetchone()
    kept = {**(json.loads(row["body"]) if row else {}), **change}
    tuning = Tuning.model_validate({**settings.tuning().model_dump(), **kept})
    tx.execute(
        "INSERT INTO control VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        (json.dumps(kept),),
    )
    return tuning
