"""Rehearsals with the simulated bank: its own process, in each of its modes."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AnyHttpUrl, SecretStr
from standardwebhooks.webhooks import Webhook

from partners.port import Attempt, Partner
from partners.rehearsal import Moved
from partners.simulator.adapter import Simulator
from partners.simulator.settings import Mode, Settings
from partners.transport import Below, Reply, Transport

VARIANTS = tuple(mode.value for mode in Mode)

SECRET = "whsec_cmVoZWFyc2FsLXNlY3JldC1vZi0zMi1ieXRlcy4uLi4="  # noqa: S105  of no real bank
OTHER_SECRET = "whsec_YW5vdGhlci1zZWNyZXQtb2YtMzItYnl0ZXMtbG9uZy4="  # noqa: S105  likewise

START_SECONDS_MAX = 90.0  # a second or two alone; here, others may be busy
QUIET_SECONDS_MAX = 90.0
POLL_SECONDS = 0.05


@dataclass
class SimulatorRehearsal:
    """A simulated bank that runs, and adapters for it."""

    settings: Settings
    control: Transport
    submit_statuses = frozenset({201, 422, 429})

    def partner(self, below: Below | None = None) -> Partner:
        """Return an adapter of this bank."""
        return Simulator(self.settings, below)

    async def fund(self, currency: str, amount_minor: int) -> None:
        """Book an incoming credit."""
        credit = {
            "credit_id": f"c-{secrets.token_hex(8)}",
            "amount_minor": amount_minor,
            "currency": currency,
            "reference": f"wallet/rehearsal/{currency}",
        }
        await self.ask("POST", "/control/credits", credit)

    async def moved(self, attempt: Attempt) -> Moved:
        """Return what the bank booked for an attempt."""
        async with asyncio.timeout(QUIET_SECONDS_MAX):
            while True:
                state = await self.state(attempt.key)
                if not state["steps_pending"]:
                    break
                await asyncio.sleep(POLL_SECONDS)
        told = state["references"].get(attempt.key, {"debits": 0, "debited_minor": 0})
        return Moved(times=told["debits"], minor=told["debited_minor"])

    def event(
        self, *, signed_at: datetime | None = None, authentic: bool = True
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return an incoming credit as the bank announces it."""
        return signed(credit_body(), signed_at, SECRET if authentic else OTHER_SECRET)

    async def state(self, reference: str) -> dict[str, Any]:
        """Return the judge's view of one reference."""
        return await self.ask("GET", f"/control/state?reference={reference}")

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Make a call at the bank's control, which must succeed."""
        raw = None if body is None else json.dumps(body).encode()
        answer = await self.control.send(method, path, body=raw)
        if not isinstance(answer, Reply) or answer.status >= 300:
            raise RuntimeError(f"the bank did not take {method} {path}: {answer}")
        told: dict[str, Any] = json.loads(answer.body)
        return told


def credit_body(event_id: str = "evt_1") -> bytes:
    """Return the body of an event that announces a credit."""
    data = {
        "credit_id": "c-1",
        "reference": "wallet/acme/EUR",
        "amount_minor": 100_000,
        "currency": "EUR",
        "booked_at": "2026-01-31T10:00:00.000000Z",
        "value_on": "2026-01-31",
        "line_id": "bl_000000000001",
    }
    event = {"id": event_id, "type": "credit.received", "timestamp": "2026-01-31T10:00:00Z"}
    return json.dumps({**event, "data": data}).encode()


def signed(
    body: bytes, at: datetime | None = None, secret: str = SECRET, event_id: str = "evt_1"
) -> tuple[bytes, dict[str, str]]:
    """Return a body with the headers that make it the bank's."""
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign(event_id, at, body.decode())
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    return body, headers


@asynccontextmanager
async def open_rehearsal(variant: str, directory: Path) -> AsyncIterator[SimulatorRehearsal]:
    """Run the bank in one of its modes; its book and its log are in the directory."""
    settings = Settings(
        url=AnyHttpUrl(f"http://127.0.0.1:{_free_port()}"),
        api_key=SecretStr("rehearsal-key"),
        webhook_secret=SecretStr(SECRET),
        mode=Mode(variant),
        timeout_seconds=3,
        lookup_lag_seconds=5,
    )
    control = Transport(str(settings.url), bearer=settings.api_key, timeout_seconds=5)
    with (directory / "bank.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "partners.simulator.bank",
            env={**os.environ, **_bank_environment(settings, directory)},
            stdout=log,
            stderr=log,
        )
    try:
        await _wait_until_healthy(control, process, directory / "bank.log")
        yield SimulatorRehearsal(settings, control)
    finally:
        await control.aclose()
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _bank_environment(settings: Settings, directory: Path) -> dict[str, str]:
    return {
        "BANK_API_KEY": settings.api_key.get_secret_value(),
        "BANK_DATABASE": str(directory / "bank.sqlite"),
        "BANK_HOST": "127.0.0.1",
        "BANK_PORT": str(settings.url.port),
        "BANK_MODE": settings.mode.value,
        "BANK_PAY_SECONDS": "0.05",
    }


async def _wait_until_healthy(
    control: Transport, process: asyncio.subprocess.Process, log: Path
) -> None:
    async with asyncio.timeout(START_SECONDS_MAX):
        while True:
            answer = await control.send("GET", "/health")
            if isinstance(answer, Reply) and answer.status == 200:
                return
            if process.returncode is not None:
                raise RuntimeError(f"the bank ended at once; see {log}")
            await asyncio.sleep(POLL_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
