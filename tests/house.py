"""A whole house for tests: real bank, gateway and worker processes on real servers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from bursar.client import Bursar
from bursar.errors import PaymentNotFound
from bursar.payments import PaymentState
from bursar.reader import Reader
from bursar.views import PaymentView
from ops.namespaces import make_namespace
from ops.ports import LOOPBACK, free_port
from ops.program import Program
from ops.temporal import LocalTemporal

API_KEY = "house-key"
WEBHOOK_SECRET = "whsec_aG91c2Utc2VjcmV0LW9mLTMyLWJ5dGVzLWxvbmchIQ=="
TOKEN = "house-token-of-ops"
SECOND_TOKEN = "house-token-of-vera"
ROLES = {
    "ops": '["read","operate","admin"]',
    "vera": '["read","operate","admin","approve-l1"]',
}
LAG_SECONDS = 1.5
PATIENCE_SECONDS = 60.0

RULES = """
trust_signal_actors = true
approvals = [
    { number = 1, role = "approve-l1", currency = "GBP", amount_from_minor = 1_000_00 },
    { number = 2, role = "approve-l1", currency = "GBP", amount_from_minor = 5_000_00 },
]
fees = [{ kind = "payout", currency = "EUR", fixed_minor = 20, rate_bps = 10 }]
people = [
    { name = "ana", roles = ["approve-l1", "resolve"] },
    { name = "ben", roles = ["approve-l1", "resolve"] },
    { name = "maker", roles = ["approve-l1", "resolve"] },
]
[delays]
approval_expires_after = 3
partner_call_timeout = 6
submit_for = 20
submit_again_after = 0.2
ask_again_after = [0.2, 0.4, 0.8]
ask_for = 0
resends_max = 2
poll_after = 1
poll_every = 0.4
overdue_after = 20
"""


@dataclass
class House:
    """Addresses and processes of one house, and the questions that tests ask of it."""

    directory: Path
    temporal_address: str
    namespace: str
    books_url: str
    bank_settings: Mapping[str, str] = field(default_factory=dict)
    adapter_settings: Mapping[str, str] = field(default_factory=dict)
    rules: str = RULES

    def __post_init__(self) -> None:
        self.bank_url = f"http://{LOOPBACK}:{free_port()}"
        self.gateway_url = f"http://{LOOPBACK}:{free_port()}"
        self.rules_file = self.directory / "rules.toml"
        self.rules_file.write_text(self.rules)
        tokens = self.directory / "tokens.toml"
        people = {"ops": TOKEN, "vera": SECOND_TOKEN}
        tokens.write_text("\n".join(_token_entry(*person) for person in people.items()))
        self.ours = {
            "BURSAR_DATABASE_URL": self.books_url,
            "BURSAR_TEMPORAL_ADDRESS": self.temporal_address,
            "BURSAR_TEMPORAL_NAMESPACE": self.namespace,
            "BURSAR_PARTNERS": '["simulator"]',
            "BURSAR_RULES_FILE": str(self.rules_file),
            "BURSAR_TOKENS_FILE": str(tokens),
            "BURSAR_GATEWAY_PORT": self.gateway_url.rpartition(":")[2],
            "PARTNER_SIMULATOR_URL": self.bank_url,
            "PARTNER_SIMULATOR_API_KEY": API_KEY,
            "PARTNER_SIMULATOR_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "PARTNER_SIMULATOR_TIMEOUT_SECONDS": "2",
            "PARTNER_SIMULATOR_LOOKUP_LAG_SECONDS": str(LAG_SECONDS),
            **self.adapter_settings,
        }
        self.programs = {
            "bank": self._bank(),
            "gateway": self._program("gateway", ["gateway"], self.ours, self.gateway_url),
            "worker": self.worker_program("worker"),
        }
        self._bank_client = httpx.AsyncClient(
            base_url=self.bank_url,
            headers={"Authorization": f"Bearer {API_KEY}"},
            trust_env=False,
            timeout=20,
        )

    def _bank(self) -> Program:
        settings = {
            "BANK_PORT": self.bank_url.rpartition(":")[2],
            "BANK_DATABASE": str(self.directory / "bank.sqlite"),
            "BANK_API_KEY": API_KEY,
            "BANK_WEBHOOK_URL": f"{self.gateway_url}/v1/partners/simulator/events",
            "BANK_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "BANK_NOT_FOUND_SECONDS": "1",
            "BANK_SLOW_PAID_SECONDS": "3",
            "BANK_DAY_SECONDS": "0.1",
            "BANK_WEBHOOK_LATE_SECONDS": "1.5",
            "BANK_HOLD_SECONDS": "10",
            **self.bank_settings,
        }
        return self._program("bank", ["partners.simulator.bank"], settings, self.bank_url)

    def _program(
        self, name: str, arguments: list[str], settings: Mapping[str, str], url: str
    ) -> Program:
        path = "/health/live" if name == "gateway" else "/health"
        return Program(
            name,
            arguments,
            settings=settings,
            ready=lambda: _says_yes(url + path),
            log=self.directory / f"{name}.log",
            pid_file=self.directory / f"{name}.pid",
        )

    async def swap_worker(self, *queues: str) -> None:
        """Stop the worker and start one that serves only some queues; none named: all."""
        await asyncio.to_thread(self.programs["worker"].stop)
        self.programs["worker"] = self.worker_program("worker", *queues)
        await self.start("worker")

    def worker_program(self, name: str, *queues: str) -> Program:
        """Return a worker process of this house that is not started yet."""
        ready = self.directory / f"{name}.ready"
        return Program(
            name,
            ["workers", *(part for queue in queues for part in ("--queue", queue))],
            settings={**self.ours, "BURSAR_READY_FILE": str(ready)},
            ready=ready,
            log=self.directory / f"{name}.log",
            pid_file=self.directory / f"{name}.pid",
        )

    async def start(self, *which: str) -> None:
        """Start the named programs, or all of them, side by side."""
        chosen = which or tuple(self.programs)
        await asyncio.gather(*(asyncio.to_thread(self.programs[name].start) for name in chosen))

    async def stop(self) -> None:
        """Stop everything, the worker first."""
        for name in ("worker", "gateway", "bank"):
            await asyncio.to_thread(self.programs[name].stop)
        await self._bank_client.aclose()

    def kill(self, name: str) -> None:
        """End one program with signal 9, as a crash would."""
        process = self.programs[name].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    async def bursar(self) -> Bursar:
        """Return a client, as a backend has it."""
        return await Bursar.connect(self.temporal_address, namespace=self.namespace)

    async def ask_bank(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Make a call at the bank, which must succeed."""
        answer = await self._bank_client.request(method, path, json=body)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    async def bookings(self, payment_id: str) -> tuple[int, int]:
        """Return how often, and how much, the bank's own book holds for a payment's attempts."""
        state = await self.ask_bank("GET", "/control/state")
        mine = [
            told for ref, told in state["references"].items() if ref.startswith(f"{payment_id}-")
        ]
        return sum(told["debits"] for told in mine), sum(told["debited_minor"] for told in mine)

    async def fund(self, *accounts: str, amount_minor: int = 1_000_000_00) -> None:
        """Open wallets and let money come in for them; return when it is booked."""
        async with self.reader() as reader:
            await reader.open_accounts([(path, "main") for path in accounts])
            for path in accounts:
                await self.ask_bank(
                    "POST",
                    "/control/credits",
                    {
                        "credit_id": f"fund-{path}",
                        "amount_minor": amount_minor,
                        "currency": path.rpartition("/")[2],
                        "reference": path,
                    },
                )
            for path in accounts:
                await self.until(partial(self._has_money, reader, path))

    async def _has_money(self, reader: Reader, path: str) -> bool:
        found = await reader.accounts(prefix=path)
        return any(account.path == path and account.posted_minor > 0 for account in found.accounts)

    def reader(self, token: str = TOKEN) -> Reader:
        """Return a reader of the gateway, with somebody's token."""
        return Reader(self.gateway_url, token)

    async def view(self, payment_id: str) -> PaymentView:
        """Return everything that is known of a payment."""
        async with self.reader() as reader:
            return await reader.payment(payment_id)

    async def reaches(self, payment_id: str, *states: PaymentState) -> PaymentView:
        """Wait until a payment is in one of some states; fail with its timeline if it never is."""
        view: PaymentView | None = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        view = await self.view(payment_id)
                        if view.payment.state in states:
                            return view
                    except PaymentNotFound:  # its run has not registered it yet
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            lines = [f"{e.at} {e.what} {e.text}" for e in view.timeline] if view else ["unknown"]
            raise AssertionError(f"{payment_id} never was {states}: {lines}") from None

    @staticmethod
    async def until(question: Callable[[], Awaitable[bool]]) -> None:
        """Ask until the answer is yes; fail when it never is."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await question():  # noqa: ASYNC110  what is asked lives in other processes
                await asyncio.sleep(0.05)

    async def shows(self, payment_id: str, what: str) -> PaymentView:
        """Wait until a payment's timeline has an entry of some sort."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    view = await self.view(payment_id)
                    if any(entry.what == what for entry in view.timeline):
                        return view
                except PaymentNotFound:  # its run has not registered it yet
                    pass
                await asyncio.sleep(0.05)

    async def quiet(self) -> None:
        """Wait until the bank has nothing more to do or to tell, and all it told is applied."""

        async def bank_is_idle() -> bool:
            state = await self.ask_bank("GET", "/control/state")
            return not state["steps_pending"] and not state["webhooks"]["queued"]

        async def all_applied() -> bool:
            query = "SELECT count(*) FROM partner_events WHERE applied_at IS NULL"
            return bool(await connection.fetchval(query) == 0)

        await self.until(bank_is_idle)
        connection = await asyncpg.connect(self.books_url)
        try:
            await self.until(all_applied)
        finally:
            await connection.close()

    async def agrees(self) -> None:
        """Assert that the books pass every check, and our nostro equals the bank's balances."""
        async with self.reader() as reader:
            report = await reader.books_check()
            assert not report.breaks, report.breaks
            assert set(report.trial_balance.values()) <= {0}, report.trial_balance
            ours = {
                account.currency: account.posted_minor
                for account in (await reader.accounts(prefix="nostro/simulator/")).accounts
                if account.posted_minor
            }
        told = await self.ask_bank("GET", "/v1/balances")
        theirs = {
            each["currency"]: each["booked_minor"]
            for each in told["balances"]
            if each["booked_minor"]
        }
        assert ours == theirs


def _token_entry(name: str, token: str) -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[tokens]]\nprincipal = "{name}"\nsha256 = "{digest}"\nroles = {ROLES[name]}\n'


def _says_yes(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def open_house(
    directory: Path,
    temporal: LocalTemporal,
    books_url: str,
    *,
    bank: Mapping[str, str] | None = None,
    adapter: Mapping[str, str] | None = None,
    rules: str = RULES,
) -> AsyncIterator[House]:
    """Start a house of its own: namespace, database, bank, gateway and worker."""
    namespace = temporal.unique("house")
    await make_namespace(temporal.client, namespace)
    house = House(
        directory, temporal.address, namespace, books_url, bank or {}, adapter or {}, rules
    )
    try:
        await house.start("bank", "gateway")
        await house.start("worker")
        yield house
    except BaseException:
        for name in house.programs:
            log = directory / f"{name}.log"
            if log.exists():
                sys.stderr.write(f"--- {name}\n{log.read_text(errors='replace')[-3000:]}\n")
        raise
    finally:
        await house.stop()
