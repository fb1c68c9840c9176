"""An installation for faults: every part a process of its own, and every line through the proxy."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from ledger.migrate import ensure_login, upgrade
from ops import pids
from ops.ports import LOOPBACK, free_port
from ops.postgres import LocalPostgres, packaged_bin
from ops.program import Program, ProgramFailed
from ops.temporal import NAMESPACE, LocalTemporal, find_temporal
from ops.unprivileged import reachable_binaries, reachable_place, service_user
from tests.battery.plan import MODES, PARTNERS
from tests.battery.profile import (
    API_KEY,
    BANK,
    FEWER_UNKNOWNS,
    LAG_SECONDS,
    MIX,
    MORE_LIES,
    PASSWORD,
    RULES,
    WEBHOOK_SECRET,
    tokens,
)
from tests.battery.proxy import Weatherman
from tests.battery.starting import started
from tests.battery.tiers import Tier

START_SECONDS_MAX = 300.0
"""A worker that is given up too early on a slow machine never comes up at all."""
START_TRIES = 2


def end_leftovers(folder: Path) -> None:
    """End the processes of a run that was itself killed."""
    for file in sorted(folder.glob("*.pid")):
        pid = pids.running(file)
        if pid is not None:
            os.kill(pid, signal.SIGCONT)  # a frozen one would hear nothing else
        pids.end_leftover(
            file, gently=signal.SIGQUIT if file.stem == "postgres" else signal.SIGTERM
        )


class Installation:
    """PostgreSQL, Temporal, four banks, gateways, workers, the proxy and a backend."""

    def __init__(self, folder: Path, tier: Tier, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.tier = tier
        self.seed = seed
        self._ports: dict[str, int] = self._choose_ports()
        user = service_user() if os.geteuid() == 0 else None
        self.postgres = LocalPostgres(
            reachable_place(user, folder / "postgres"),
            bin_dir=reachable_binaries(user, packaged_bin()),
            port=self._ports["postgres"],
            log=folder / "postgres.log",
            pid_file=folder / "postgres.pid",
        )
        self.temporal = LocalTemporal(
            folder / "temporal",
            binary=find_temporal(),
            port=self._ports["temporal"],
            ui=False,
            log=folder / "temporal.log",
            pid_file=folder / "temporal.pid",
        )
        self.weather = Weatherman(self._ports["proxy"])
        self.programs = self._programs()
        self.down: set[str] = set(self.programs)
        """What is down on purpose, and not for the supervisor to start."""

    @property
    def workers(self) -> list[str]:
        return [f"worker_{n}" for n in range(1, self.tier.workers + 1)]

    @property
    def gateways(self) -> list[str]:
        return [f"gateway_{n}" for n in range(1, self.tier.gateways + 1)]

    @property
    def banks(self) -> list[str]:
        return [f"bank_{partner}" for partner in PARTNERS]

    @property
    def ours(self) -> list[str]:
        """Names of the programs that are Bursar's own."""
        return [*self.gateways, *self.workers]

    @property
    def links(self) -> list[str]:
        """Names of all lines through the proxy."""
        return list(self._links())

    @property
    def reader_url(self) -> str:
        """The books for reading, past the proxy."""
        return self.postgres.url("books", user="battery_reader", password=PASSWORD)

    @property
    def gateway_urls(self) -> list[str]:
        return [f"http://{LOOPBACK}:{self._ports[name]}" for name in self.gateways]

    def bank_url(self, partner: str) -> str:
        """Return a bank's own address, past the proxy."""
        return f"http://{LOOPBACK}:{self._ports[f'bank_{partner}']}"

    def bank_file(self, partner: str) -> Path:
        """Return the file of a bank's own book."""
        return self.folder / f"bank_{partner}.sqlite"

    # Starting

    async def start(self) -> None:
        """Start everything but the backend, on the data that is there."""
        await asyncio.gather(
            asyncio.to_thread(started, self.postgres.start),
            asyncio.to_thread(started, self.temporal.start),
            self.up("proxy", *self.banks),
        )
        await self._migrate()
        await self.up(*self.ours)

    async def up(self, *names: str) -> None:
        """Start programs side by side.

        Raises:
            ProgramFailed: One did not come up, and not on a slow machine's later tries either.
        """
        await asyncio.gather(*(self._up(name) for name in names))

    async def _up(self, name: str) -> None:
        for left in reversed(range(START_TRIES)):
            try:
                await asyncio.to_thread(self.programs[name].start)
                break
            except ProgramFailed:
                if not left:
                    raise
        self.down.discard(name)

    async def kill_all(self) -> None:
        """End every process at once, as a power cut would."""
        for name in [*self.programs]:
            await self.kill(name)
        await asyncio.gather(
            asyncio.to_thread(self.postgres.kill), asyncio.to_thread(self.temporal.kill)
        )

    async def kill(self, name: str) -> None:
        """End one program with signal 9."""
        program = self.programs[name]
        self.down.add(name)
        process, program.process = program.process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a program; False if it does not run."""
        process = self.programs[name].process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    async def stop(self) -> None:
        """Stop everything, whatever state it is in."""
        names = [name for name in self.programs if name != "proxy"]
        for name in names:
            self.down.add(name)
            self.signal(name, signal.SIGCONT)
        await asyncio.gather(*(asyncio.to_thread(self.programs[name].stop) for name in names))
        await asyncio.to_thread(self.programs["proxy"].stop)
        await asyncio.to_thread(self.temporal.stop)
        await asyncio.to_thread(self.postgres.stop, "immediate")

    def forget(self) -> None:
        """Delete the data of the servers; logs, books of the banks and reports stay."""
        shutil.rmtree(self.postgres.directory, ignore_errors=True)
        (self.folder / "postgres").unlink(missing_ok=True)
        shutil.rmtree(self.temporal.directory, ignore_errors=True)

    def dead(self) -> list[str]:
        """Return programs that ended by themselves, or by an order to die, or never came up."""
        return [
            name
            for name, program in self.programs.items()
            if name not in self.down
            and (program.process is None or program.process.poll() is not None)
        ]

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Ask the database itself, past the proxy and all of our own code."""
        connection = await asyncpg.connect(self.reader_url, timeout=5, command_timeout=60)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def _migrate(self) -> None:
        connection = await asyncpg.connect(self.postgres.admin_url)
        try:
            if not await connection.fetchval(
                "SELECT true FROM pg_database WHERE datname = 'books'"
            ):
                await connection.execute("CREATE DATABASE books")
        finally:
            await connection.close()
        url = self.postgres.url("books", user="postgres", password=self.postgres.password)
        await upgrade(url)
        await ensure_login(url, "battery_writer", PASSWORD, "bursar_writer")
        await ensure_login(url, "battery_reader", PASSWORD, "bursar_reader")

    # What there is

    def _choose_ports(self) -> dict[str, int]:
        """Return the ports of this installation: chosen once, kept for every restart."""
        file = self.folder / "ports.json"
        if file.exists():
            kept: dict[str, int] = json.loads(file.read_text())
            return kept
        names = ["postgres", "temporal", "proxy", *self.banks, *self.gateways]
        names += [f"link_{name}" for name in _link_names(self.gateways)]
        ports: dict[str, int] = {}
        for name in names:
            ports[name] = free_port(taken=frozenset(ports.values()))
        file.write_text(json.dumps(ports))
        return ports

    def _links(self) -> dict[str, tuple[int, str]]:
        """Return each line's own port, and where it leads."""
        targets = {
            "worker_db": "postgres",
            "gateway_db": "postgres",
            "worker_temporal": "temporal",
            "gateway_temporal": "temporal",
            "client_temporal": "temporal",
            **{f"to_{partner}": f"bank_{partner}" for partner in PARTNERS},
            **{
                f"from_{partner}": self.gateways[n % len(self.gateways)]
                for n, partner in enumerate(PARTNERS)
            },
        }
        return {
            name: (self._ports[f"link_{name}"], f"{LOOPBACK}:{self._ports[target]}")
            for name, target in targets.items()
        }

    def _over(self, link: str) -> str:
        return f"{LOOPBACK}:{self._ports[f'link_{link}']}"

    def _programs(self) -> dict[str, Program]:
        (self.folder / "rules.toml").write_text(RULES)
        (self.folder / "tokens.toml").write_text(tokens())
        proxy_port = self._ports["proxy"]
        settings = {
            "BATTERY_LINKS": json.dumps(self._links()),
            "BATTERY_PROXY_PORT": str(proxy_port),
        }
        programs = {
            "proxy": self._program(
                "proxy", "tests.battery.proxy", settings, ready_at=(proxy_port, None)
            )
        }
        for partner in PARTNERS:
            programs[f"bank_{partner}"] = self._bank(partner)
        for name in self.gateways:
            programs[name] = self._gateway(name)
        for name in self.workers:
            programs[name] = self._program(
                name, "tests.battery.worker", self._settings_of_ours("worker")
            )
        programs["client"] = self._program(
            "client", "tests.battery.client", {"BATTERY_CLIENT": str(self.folder / "client.json")}
        )
        return programs

    def _bank(self, partner: str) -> Program:
        port = self._ports[f"bank_{partner}"]
        share = 1.0 if partner == "keyed" else FEWER_UNKNOWNS
        if self.tier.is_for_power:
            share = MORE_LIES
        settings = {
            **BANK,
            "BANK_PORT": str(port),
            "BANK_DATABASE": str(self.bank_file(partner)),
            "BANK_WEBHOOK_URL": f"http://{self._over(f'from_{partner}')}/v1/partners/{partner}/events",
            "BANK_MODE": MODES[partner],
            "BANK_SEED": str(self.seed),
            "BANK_MIX": json.dumps({name: chance * share for name, chance in MIX.items()}),
        }
        return self._program(
            f"bank_{partner}", "partners.simulator.bank", settings, ready_at=(port, "/health")
        )

    def _gateway(self, name: str) -> Program:
        settings = {
            **self._settings_of_ours("gateway"),
            "BURSAR_GATEWAY_PORT": str(self._ports[name]),
            "BURSAR_TOKENS_FILE": str(self.folder / "tokens.toml"),
        }
        return self._program(
            name, "tests.battery.gateway", settings, ready_at=(self._ports[name], "/health/live")
        )

    def _settings_of_ours(self, role: str) -> dict[str, str]:
        database = self._over(f"{role}_db")
        settings = {
            "BURSAR_DATABASE_URL": f"postgresql://battery_writer:{PASSWORD}@{database}/books",
            "BURSAR_TEMPORAL_ADDRESS": self._over(f"{role}_temporal"),
            "BURSAR_TEMPORAL_NAMESPACE": NAMESPACE,
            "BURSAR_PARTNERS": json.dumps(list(PARTNERS)),
            "BURSAR_RULES_FILE": str(self.folder / "rules.toml"),
        }
        for partner in PARTNERS:
            prefix = f"PARTNER_{partner.upper()}_"
            settings |= {
                f"{prefix}RAIL": "simulator",
                f"{prefix}URL": f"http://{self._over(f'to_{partner}')}",
                f"{prefix}API_KEY": API_KEY,
                f"{prefix}WEBHOOK_SECRET": WEBHOOK_SECRET,
                f"{prefix}MODE": MODES[partner],
                f"{prefix}TIMEOUT_SECONDS": "2",
                f"{prefix}LOOKUP_LAG_SECONDS": str(LAG_SECONDS),
            }
        return settings

    def _program(
        self,
        name: str,
        module: str,
        settings: dict[str, str],
        *,
        ready_at: tuple[int, str | None] | None = None,
    ) -> Program:
        ready_file = self.folder / f"{name}.ready"
        if name.startswith("worker"):
            settings = {**settings, "BURSAR_READY_FILE": str(ready_file)}
        return Program(
            name,
            [module],
            settings={**settings, "BATTERY_ORDERS": str(self.folder / "orders")},
            ready=ready_file if ready_at is None else (lambda: _answers(*ready_at)),
            log=self.folder / f"{name}.log",
            pid_file=self.folder / f"{name}.pid",
            start_seconds_max=START_SECONDS_MAX,
        )

    def write_client_settings(self, *, first: int) -> None:
        """Tell the backend what to do, for its next start."""
        settings = {
            "seed": self.seed,
            "first": first,
            "payments": self.tier.payments,
            "contradictions": self.tier.contradictions,
            "at_once": self.tier.at_once,
            "folder": str(self.folder),
            "temporal": self._over("client_temporal"),
            "namespace": NAMESPACE,
            "gateways": self.gateway_urls,
        }
        (self.folder / "client.json").write_text(json.dumps(settings))


def _link_names(gateways: list[str]) -> list[str]:
    return [
        *("worker_db", "gateway_db", "worker_temporal", "gateway_temporal", "client_temporal"),
        *(f"{way}_{partner}" for way in ("to", "from") for partner in PARTNERS),
    ]


def _answers(port: int, path: str | None) -> bool:
    if path is None:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, port)) == 0
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}{path}", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
