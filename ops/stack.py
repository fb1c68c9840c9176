"""The local stack: PostgreSQL, Temporal, the simulated bank, the gateway and a worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx

from ops import pids
from ops.home import Home
from ops.ports import LOOPBACK
from ops.postgres import LocalPostgres, packaged_bin
from ops.program import ROOT, Program, environment
from ops.supervisor import Supervisor
from ops.temporal import NAMESPACE, LocalTemporal, find_temporal
from ops.unprivileged import reachable_binaries, reachable_place, service_user

DATABASE = "bursar"
PARTNER = "simulator"
RULES = ROOT / "examples" / "local" / "rules.toml"
BANK_SLOW_SECONDS = "3"
"""Long enough to watch a slow answer, short enough not to wait for it."""

Say = Callable[[str], None]


class StackFailed(Exception):
    """The stack did not come up; the message says what to look at."""


@dataclass(frozen=True)
class Addresses:
    """Where everything is while the stack is up."""

    gateway_url: str
    bank_url: str
    temporal_address: str
    ui_url: str
    auditor_url: str
    """The books, for reading only."""


class Stack:
    """Everything that `make run` starts, with its data in one folder."""

    def __init__(self, home: Home, say: Say) -> None:
        self.home = home
        self.supervisor = Supervisor(say)
        self._say = say
        self._ports: dict[str, int] = {}

    def start(self) -> Addresses:
        """Start all, on the data that is there; the caller holds the home's lock.

        Raises:
            StackFailed, PostgresFailed, TemporalFailed, ProgramFailed, TemporalNotFound:
                Something did not come up; the message is for people.
        """
        binary = find_temporal(self._say)
        self._end_leftovers()
        self._ports = self.home.choose_ports()
        self.home.write_tokens_file()
        postgres = self._postgres()
        temporal = self._temporal(binary)
        bank = self._bank()  # what it has to tell waits until there is a gateway
        took = self.supervisor.start({"postgres": postgres, "temporal": temporal, "bank": bank})
        self._tell("PostgreSQL", "postgres", took, note=f"data in {postgres.directory}")
        self._tell("Temporal", "temporal", took, note=f"web page {temporal.ui_url}")
        self._tell("Simulated bank", "bank", took)
        self._migrate(postgres)
        took = self.supervisor.start(
            {"gateway": self._gateway(postgres), "worker": self._worker(postgres)}
        )
        self._tell("Gateway", "gateway", took)
        self._tell("Worker", "worker", took)
        self.supervisor.watch()
        return self._addresses(postgres, temporal)

    def stop(self) -> None:
        """Stop everything that was started."""
        self.supervisor.stop()
        self.home.connection.unlink(missing_ok=True)

    def _tell(self, what: str, name: str, took: dict[str, float], *, note: str = "") -> None:
        port = f"{LOOPBACK}:{self._ports[name]}" if name in self._ports else "ready"
        self._say(f"{what:<15} {port:<16} {took[name]:4.1f} s  {note}".rstrip())

    def _end_leftovers(self) -> None:
        for name in ("worker", "gateway", "bank", "temporal", "postgres"):
            gently = signal.SIGINT if name == "postgres" else signal.SIGTERM
            pid = pids.end_leftover(self._pid_file(name), gently=gently)
            if pid is not None:
                self._say(f"Ended the {name} of a run that was killed (process {pid})")

    def _pid_file(self, name: str) -> Path:
        return self.home.pids / f"{name}.json"

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"

    def _postgres(self) -> LocalPostgres:
        user = service_user() if os.geteuid() == 0 else None
        wanted = self.home.directory / "postgres"
        directory = reachable_place(user, wanted)
        if directory != wanted and user is not None:
            self._say(f"{user.name}, who runs PostgreSQL for root, cannot reach {wanted.parent}")
        server = LocalPostgres(
            directory,
            bin_dir=reachable_binaries(user, packaged_bin()),
            port=self._ports["postgres"],
            log=self._log("postgres"),
            pid_file=self._pid_file("postgres"),
        )
        if not (server.data / "PG_VERSION").exists():
            self._say("Making a new PostgreSQL database …")
        return server

    def _temporal(self, binary: Path) -> LocalTemporal:
        return LocalTemporal(
            self.home.directory / "temporal",
            binary=binary,
            port=self._ports["temporal"],
            ui_port=self._ports["ui"],
            log=self._log("temporal"),
            pid_file=self._pid_file("temporal"),
        )

    def _migrate(self, postgres: LocalPostgres) -> None:
        asyncio.run(_ensure_database(postgres.admin_url))
        admin_url = postgres.url(DATABASE, user="postgres", password=postgres.password)
        folder = self.home.secrets_for(
            "migrate",
            {
                "bursar_database_admin_url": admin_url,
                "bursar_worker_password": self.home.secret("password_worker"),
                "bursar_gateway_password": self.home.secret("password_gateway"),
                "bursar_auditor_password": self.home.secret("password_auditor"),
            },
        )
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "ledger.migrate"],
            cwd=ROOT,
            env=environment({"BURSAR_SECRETS_DIR": str(folder)}),
            capture_output=True,
            text=True,
            check=False,
        )
        self._log("migrate").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise StackFailed(f"The books were not migrated ({self._log('migrate')}): {reason}")
        self._say(f"{'Books':<15} {'migrated':<16} {time.monotonic() - begun:4.1f} s")

    def _bank(self) -> Program:
        folder = self.home.secrets_for(
            "bank",
            {
                "bank_api_key": self.home.secret("bank_api_key"),
                "bank_webhook_secret": self.home.webhook_secret(),
            },
        )
        events = f"http://{LOOPBACK}:{self._ports['gateway']}/v1/partners/simulator/events"
        return self._program(
            "bank",
            ["partners.simulator.bank"],
            {
                "BURSAR_SECRETS_DIR": str(folder),
                "BANK_HOST": LOOPBACK,
                "BANK_PORT": str(self._ports["bank"]),
                "BANK_DATABASE": str(self.home.directory / "bank.sqlite"),
                "BANK_WEBHOOK_URL": events,
                "BANK_SLOW_SECONDS": BANK_SLOW_SECONDS,
            },
            lambda: _says_yes(f"http://{LOOPBACK}:{self._ports['bank']}/health"),
        )

    def _gateway(self, postgres: LocalPostgres) -> Program:
        settings = {
            **self._of_our_side("gateway", postgres),
            "BURSAR_GATEWAY_HOST": LOOPBACK,
            "BURSAR_GATEWAY_PORT": str(self._ports["gateway"]),
            "BURSAR_TOKENS_FILE": str(self.home.tokens_file),
        }
        url = f"http://{LOOPBACK}:{self._ports['gateway']}/health/ready"
        return self._program("gateway", ["gateway"], settings, lambda: _says_yes(url))

    def _worker(self, postgres: LocalPostgres) -> Program:
        ready_file = self.home.ready / "worker"
        settings = {
            **self._of_our_side("worker", postgres),
            "BURSAR_RULES_FILE": str(RULES),
            "BURSAR_READY_FILE": str(ready_file),
        }
        return self._program("worker", ["workers"], settings, ready_file)

    def _of_our_side(self, name: str, postgres: LocalPostgres) -> dict[str, str]:
        """Return what gateway and worker both need; secrets go into files."""
        password = self.home.secret(f"password_{name}")
        login = f"bursar_{name}"
        folder = self.home.secrets_for(
            name,
            {
                "bursar_database_url": postgres.url(DATABASE, user=login, password=password),
                "partner_simulator_api_key": self.home.secret("bank_api_key"),
                "partner_simulator_webhook_secret": self.home.webhook_secret(),
            },
        )
        return {
            "BURSAR_SECRETS_DIR": str(folder),
            "BURSAR_TEMPORAL_ADDRESS": f"{LOOPBACK}:{self._ports['temporal']}",
            "BURSAR_TEMPORAL_NAMESPACE": NAMESPACE,
            "BURSAR_PARTNERS": '["simulator"]',
            "BURSAR_ENVIRONMENT": "test",
            "PARTNER_SIMULATOR_URL": f"http://{LOOPBACK}:{self._ports['bank']}",
        }

    def _program(
        self,
        name: str,
        arguments: list[str],
        settings: dict[str, str],
        ready: Callable[[], bool] | Path,
    ) -> Program:
        return Program(
            name,
            arguments,
            settings=settings,
            ready=ready,
            log=self._log(name),
            pid_file=self._pid_file(name),
        )

    def _addresses(self, postgres: LocalPostgres, temporal: LocalTemporal) -> Addresses:
        password = self.home.secret("password_auditor")
        addresses = Addresses(
            gateway_url=f"http://{LOOPBACK}:{self._ports['gateway']}",
            bank_url=f"http://{LOOPBACK}:{self._ports['bank']}",
            temporal_address=temporal.address,
            ui_url=temporal.ui_url,
            auditor_url=postgres.url(DATABASE, user="bursar_auditor", password=password),
        )
        self.home.write_connection(
            {
                "temporal_address": addresses.temporal_address,
                "temporal_namespace": NAMESPACE,
                "gateway_url": addresses.gateway_url,
                "token": self.home.token("ops"),
                "ui_url": addresses.ui_url,
            }
        )
        return addresses


async def _ensure_database(admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        query = "SELECT true FROM pg_database WHERE datname = $1"
        if not await connection.fetchval(query, DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()


def _says_yes(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


CALLS_FOR_PEOPLE = 'NeedsOps = true AND ExecutionStatus = "Running"'
"""Temporal's list of payments that need a person now. Without its second half it also names runs
that have ended, whose attributes nobody can change when their case is closed. A payment that has
ended may have an open case all the same: those are in the list of cases only."""


def ui_filter(ui_url: str, query: str) -> str:
    """Return the address of Temporal's web page with a list filter filled in."""
    return f"{ui_url}?query={quote(query)}"
