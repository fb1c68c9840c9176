"""Temporal servers to measure on: the dev server with a file, and the full one on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from temporalio.client import Client
from temporalio.service import RPCError

from benchmarks.server import server
from ops.namespaces import make_namespace
from ops.ports import LOOPBACK, is_free
from ops.postgres import LocalPostgres
from ops.temporal import NAMESPACE, LocalTemporal, TemporalFailed, find_temporal
from ops.temporal_binary import cache_directory, go_install

DEV, ON_POSTGRES = "dev", "postgres"
SERVER_VERSION = "1.31.2"
GO_MINOR_MIN = 26
HISTORY_SHARDS = 4
PORT_MIN, PORT_MAX = 15_000, 32_767
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
LOGIN = "postgres"
DATABASES = {"temporal": "temporal", "temporal_visibility": "visibility"}
"""Database and the schema that goes into it."""

Say = Callable[[str], None]


class Unbuildable(Exception):
    """The server is not here and cannot be built; the message says why."""


class Engine(Protocol):
    """A Temporal server as the harness needs it."""

    description: str

    @property
    def address(self) -> str:
        """Host and port of the frontend."""

    @property
    def pids(self) -> Mapping[str, int]:
        """The root of each part's processes, by the part's name."""

    async def start(self) -> None:
        """Start it with the payments' namespace."""

    def stop(self) -> None:
        """Stop it."""


class DevServer:
    """The dev server, as `make run` starts it."""

    def __init__(self, directory: Path, say: Say) -> None:
        self.description = "dev server, SQLite file"
        self._server = LocalTemporal(directory, binary=find_temporal(say), ui=False)

    @property
    def address(self) -> str:
        """Host and port of the frontend."""
        return self._server.address

    @property
    def pids(self) -> Mapping[str, int]:
        """The one process."""
        process = self._server.process
        if process is None:
            raise TemporalFailed("the server does not run")
        return {"temporal": process.pid}

    async def start(self) -> None:
        """Start it with the payments' namespace."""
        await asyncio.to_thread(self._server.start)

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()


class PostgresServer:
    """The full server on a PostgreSQL of its own, every commit durable."""

    def __init__(self, directory: Path, postgres: LocalPostgres, say: Say) -> None:
        """Find or build the server.

        Args:
            directory: For its settings and log.
            postgres: Its own database server, which runs.
            say: Told how far a build is.

        Raises:
            Unbuildable: That is not possible here.
        """
        self.description = f"server {SERVER_VERSION} on PostgreSQL, fsync on"
        self._directory = directory
        self._server = _binary("server", f"Temporal server {SERVER_VERSION}", say)
        self._tool = _binary("tools/sql", "its schema tool", say)
        self._postgres = postgres
        self._port, *self._other_ports = _free_ports(1 + len(_OTHER_PORTS))
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port of the frontend."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def pids(self) -> Mapping[str, int]:
        """The server, and its database."""
        if self._process is None or self._postgres.process is None:
            raise TemporalFailed("the server does not run")
        return {"temporal": self._process.pid, "temporal_postgres": self._postgres.process.pid}

    async def start(self) -> None:
        """Start it with the payments' namespace."""
        await asyncio.to_thread(self._make_databases)
        self._process = self._spawn()
        client = await self._connected()
        await make_namespace(client, NAMESPACE)

    def stop(self) -> None:
        """Stop it; its database server is somebody else's."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _make_databases(self) -> None:
        for database, schema in DATABASES.items():
            for step in (
                ("create",),
                ("setup-schema", "-v", "0.0"),
                ("update-schema", "--schema-name", f"postgresql/v12/{schema}"),
            ):
                self._run_tool(database, step)

    def _run_tool(self, database: str, step: tuple[str, ...]) -> None:
        done = subprocess.run(  # noqa: S603  our own binary, our own arguments
            [
                *(str(self._tool), "--plugin", "postgres12", "--ep", LOOPBACK),
                *("-p", str(self._postgres.port), "-u", LOGIN, "--db", database, *step),
            ],
            env={**os.environ, "SQL_PASSWORD": self._postgres.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-400:]
            raise TemporalFailed(f"{step[0]} of database {database} failed: {said}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        config = self._directory / "dynamic.yaml"
        config.write_text(_DYNAMIC_CONFIG)
        environment = {
            "DB": "postgres12",
            "POSTGRES_SEEDS": LOOPBACK,
            "DB_PORT": str(self._postgres.port),
            "POSTGRES_USER": LOGIN,
            "POSTGRES_PWD": self._postgres.password,
            "DBNAME": "temporal",
            "VISIBILITY_DBNAME": "temporal_visibility",
            "NUM_HISTORY_SHARDS": str(HISTORY_SHARDS),
            "SQL_VIS_MAX_CONNS": "10",
            "BIND_ON_IP": LOOPBACK,
            "DYNAMIC_CONFIG_FILE_PATH": str(config),
            "LOG_LEVEL": "error",
            "FRONTEND_GRPC_PORT": str(self._port),
            **dict(zip(_OTHER_PORTS, map(str, self._other_ports), strict=True)),
        }
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  our own binary, our own arguments
                [str(self._server), "--allow-no-auth", "start"],
                env={**os.environ, **environment},
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _connected(self) -> Client:
        """Return a client once the server answers."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while self._process is not None and self._process.poll() is None:
            try:
                client = await Client.connect(self.address)
                await client.service_client.check_health()
            except (RuntimeError, RPCError):
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.1)
            else:
                return client
        lines = self._log.read_text(errors="replace").splitlines() or ["nothing"]
        raise TemporalFailed(f"The server did not start. Its log ends with: {lines[-1][:400]}")


@asynccontextmanager
async def open_engine(kind: str, say: Say) -> AsyncIterator[Engine]:
    """Start a server of a kind, `DEV` or `ON_POSTGRES`; delete all of it at the end.

    Raises:
        Unbuildable: It is not here and cannot be built.
    """
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="bursar-benchmark-", dir="/var/tmp")
        directory = Path(stack.enter_context(folder))
        engine: Engine = (
            DevServer(directory, say)
            if kind == DEV
            else PostgresServer(directory, stack.enter_context(server(None)), say)
        )
        stack.callback(engine.stop)
        await engine.start()
        yield engine


_OTHER_PORTS = (
    "FRONTEND_MEMBERSHIP_PORT",
    "FRONTEND_HTTP_PORT",
    "HISTORY_GRPC_PORT",
    "HISTORY_MEMBERSHIP_PORT",
    "MATCHING_GRPC_PORT",
    "MATCHING_MEMBERSHIP_PORT",
    "WORKER_MEMBERSHIP_PORT",
)

_DYNAMIC_CONFIG = """\
matching.numTaskqueueReadPartitions:
  - value: 1
matching.numTaskqueueWritePartitions:
  - value: 1
"""
"""One node needs no partitions, and a rail's rate is then one rate."""


def _free_ports(number: int) -> list[int]:
    """Return free ports below `PORT_MAX`: the server keeps its own in columns of 16 bits."""
    found: list[int] = []
    while len(found) < number:
        port = random.randrange(PORT_MIN, PORT_MAX)  # noqa: S311  no secret
        if port not in found and is_free(port):
            found.append(port)
    return found


def _binary(command: str, what: str, say: Say) -> Path:
    """Return one of the server's commands: named, cached, or built with Go.

    Raises:
        Unbuildable: It cannot be built here.
    """
    cache = cache_directory(os.environ)
    target = cache / f"temporal-{command.replace('/', '-')}-{SERVER_VERSION}"
    if target.exists():
        return target
    workshop = cache / f"making-{os.getpid()}"
    workshop.mkdir(parents=True, exist_ok=True)
    module = f"go.temporal.io/server/cmd/{command}@v{SERVER_VERSION}"
    try:
        made = go_install(module, what, workshop, os.environ, say, minor_min=GO_MINOR_MIN)
        if isinstance(made, str):
            raise Unbuildable(made)
        made.rename(target)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return target
