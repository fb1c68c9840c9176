"""The site: every process that a payout passes through, on this machine, and its CPU time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx
from temporalio.client import Client

from benchmarks.payouts import books
from benchmarks.payouts.engines import Engine
from benchmarks.payouts.shapes import EMPTY, USUAL
from benchmarks.payouts.worker import BELL_VARIABLE
from benchmarks.server import tree_cpu_seconds
from bursar import names, temporal
from bursar.reader import Reader
from ops.ports import LOOPBACK, free_port
from ops.postgres import LocalPostgres
from ops.program import Program
from ops.temporal import NAMESPACE

PRODUCT = "product"
PARTNER = "simulator"
ANSWER_SECONDS = 0.005
"""What the bank takes for an answer."""
RATE_PER_SECOND = 1_000.0
"""What the rail allows: more than two cores can do, so that it sets no pace."""
QUIET_SECONDS_MAX = 120.0
START_SECONDS_MAX = 180.0

_RULES = """
fees = [{ kind = "payout", currency = "EUR", fixed_minor = 20, rate_bps = 10 }]
"""
_API_KEY = "bench-key"
_WEBHOOK_SECRET = "whsec_YmVuY2gtc2VjcmV0LW9mLTMyLWJ5dGVzLWxvbmchIQ=="  # noqa: S105  made up
_TOKEN = secrets.token_hex(16)


class NotQuiet(RuntimeError):
    """The processes did not come to rest in time, so that a figure would count what was before."""


class Site:
    """One set of processes on one Temporal server; the books are funded."""

    def __init__(
        self,
        directory: Path,
        postgres: LocalPostgres,
        database_url: str,
        engine: Engine,
        bell: int,
        *,
        rate_per_second: float = RATE_PER_SECOND,
    ) -> None:
        """Prepare the processes; none is started yet.

        Args:
            directory: For logs, settings and the bank's file.
            postgres: The books' server.
            database_url: The books, as a worker reaches them.
            engine: A Temporal server that runs.
            bell: The UDP port on which the client listens for runs that want their signal.
            rate_per_second: What the rail allows.
        """
        self.engine = engine
        self.database_url = database_url
        self.bank_url = f"http://{LOOPBACK}:{free_port()}"
        self.gateway_url = f"http://{LOOPBACK}:{free_port()}"
        self._directory = directory
        self._postgres = postgres
        self._ours = self._settings(database_url, bell, rate_per_second)
        self.programs = {
            "bank": self._bank(),
            "gateway": self._program("gateway", ["gateway"], self._ours, self.gateway_url),
            **{shape: self.worker(shape) for shape in (PRODUCT, EMPTY, USUAL)},
        }
        self._bank_http = httpx.AsyncClient(
            base_url=self.bank_url,
            headers={"Authorization": f"Bearer {_API_KEY}"},
            trust_env=False,
            timeout=30,
        )

    async def start(self) -> None:
        """Start everything, and have money at the bank."""
        await self._start("bank", "gateway")
        await self._start(PRODUCT, EMPTY, USUAL)
        await self._bank_call("/control/credits", books.CREDIT)
        await self.quiet()

    async def stop(self) -> None:
        """Stop everything, the workers first."""
        for name in reversed(self.programs):
            await asyncio.to_thread(self.programs[name].stop)
        await self._bank_http.aclose()

    async def client(self) -> Client:
        """Return a new connection to Temporal, as a backend has it."""
        return await temporal.connect(self.engine.address, NAMESPACE)

    def reader(self) -> Reader:
        """Return a reader of the gateway that may also act."""
        return Reader(self.gateway_url, _TOKEN)

    async def settle_after(self, seconds: float) -> None:
        """Have the bank book a payout so long after it was taken."""
        await self._bank_call("/control/settings", {"pay_seconds": seconds})

    async def quiet(self) -> None:
        """Wait until the bank has done and told everything, and all it told is applied.

        Raises:
            NotQuiet: It was not in time.
        """
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        while time.monotonic() < deadline:
            answer = await self._bank_http.get("/control/state", params={"reference": "none"})
            state = answer.raise_for_status().json()
            if not state["steps_pending"] and not state["webhooks"]["queued"]:
                return
            await asyncio.sleep(0.1)
        raise NotQuiet("the bank still has something to do or to tell; its log says what")

    def worker(self, shape: str, name: str | None = None) -> Program:
        """Return a worker process of a shape that is not started yet."""
        name = name or shape
        ready = self._directory / f"{name}.ready"
        module = ["workers"] if shape == PRODUCT else ["benchmarks.payouts.worker", shape]
        return Program(
            name,
            module,
            settings={**self._ours, "BURSAR_READY_FILE": str(ready)},
            ready=ready,
            log=self._directory / f"{name}.log",
            pid_file=self._directory / f"{name}.pid",
            start_seconds_max=START_SECONDS_MAX,
        )

    def pid(self, name: str) -> int:
        """Return the process id of a program that runs."""
        process = self.programs[name].process
        if process is None:
            raise RuntimeError(f"{name} does not run")
        return process.pid

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU that each part has used so far: programs, servers, and this process."""
        if self._postgres.process is None:
            raise RuntimeError("the books' server does not run")
        roots = {
            **{name: self.pid(name) for name in self.programs},
            "postgres": self._postgres.process.pid,
            **self.engine.pids,
        }
        return {
            "client": time.process_time(),
            **dict(zip(roots, tree_cpu_seconds(list(roots.values())), strict=True)),
        }

    def _settings(self, database_url: str, bell: int, rate: float) -> dict[str, str]:
        rules, tokens = self._directory / "rules.toml", self._directory / "tokens.toml"
        rules.write_text(_RULES)
        digest = hashlib.sha256(_TOKEN.encode()).hexdigest()
        tokens.write_text(
            f'[[tokens]]\nprincipal = "bench"\nsha256 = "{digest}"\n'
            'roles = ["read", "operate", "admin"]\n'
        )
        return {
            "BURSAR_DATABASE_URL": database_url,
            "BURSAR_TEMPORAL_ADDRESS": self.engine.address,
            "BURSAR_TEMPORAL_NAMESPACE": NAMESPACE,
            "BURSAR_PARTNERS": json.dumps([PARTNER]),
            "BURSAR_RULES_FILE": str(rules),
            "BURSAR_TOKENS_FILE": str(tokens),
            "BURSAR_GATEWAY_PORT": self.gateway_url.rpartition(":")[2],
            "PARTNER_SIMULATOR_URL": self.bank_url,
            "PARTNER_SIMULATOR_API_KEY": _API_KEY,
            "PARTNER_SIMULATOR_WEBHOOK_SECRET": _WEBHOOK_SECRET,
            "PARTNER_SIMULATOR_RATE_PER_SECOND": str(rate),
            BELL_VARIABLE: str(bell),
        }

    def _bank(self) -> Program:
        settings = {
            "BANK_PORT": self.bank_url.rpartition(":")[2],
            "BANK_DATABASE": str(self._directory / "bank.sqlite"),
            "BANK_API_KEY": _API_KEY,
            "BANK_WEBHOOK_URL": f"{self.gateway_url}/v1/partners/{PARTNER}/events",
            "BANK_WEBHOOK_SECRET": _WEBHOOK_SECRET,
            "BANK_ANSWER_SECONDS": str(ANSWER_SECONDS),
        }
        return self._program("bank", ["partners.simulator.bank"], settings, self.bank_url)

    def _program(
        self, name: str, arguments: list[str], settings: Mapping[str, str], url: str
    ) -> Program:
        path = "/health/ready" if name == "gateway" else "/health"
        return Program(
            name,
            arguments,
            settings=settings,
            ready=partial(_says_yes, url + path),
            log=self._directory / f"{name}.log",
            pid_file=self._directory / f"{name}.pid",
            start_seconds_max=START_SECONDS_MAX,
        )

    async def _start(self, *which: str) -> None:
        await asyncio.gather(*(asyncio.to_thread(self.programs[name].start) for name in which))

    async def _bank_call(self, path: str, body: Mapping[str, object]) -> None:
        answer = await self._bank_http.post(path, json=body)
        answer.raise_for_status()


def _says_yes(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def run_id(payment_id: str) -> str:
    """Return the id of a payment's run, whatever its shape."""
    return names.workflow_id(payment_id)
