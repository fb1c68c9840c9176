"""Temporal's dev server: where its binary comes from, and one server with a database file."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import threading
import time
import uuid
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from bursar.names import SEARCH_ATTRIBUTES
from ops import pids
from ops.ports import LOOPBACK, free_port
from ops.temporal_binary import find_temporal

__all__ = ["LocalTemporal", "TemporalFailed", "find_temporal"]

NAMESPACE = "bursar"
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0


class TemporalFailed(Exception):
    """The server could not be started; the message says why and names the log."""


class LocalTemporal:
    """One dev server whose database file outlives it; loopback only.

    Attributes:
        port: Of the gRPC frontend.
        ui_port: Of the web UI; meaningless without one.
    """

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path,
        port: int | None = None,
        ui_port: int | None = None,
        ui: bool = True,
        log: Path | None = None,
        pid_file: Path | None = None,
    ) -> None:
        self.directory = directory
        self.binary = binary
        self.port = free_port(preferred=port)
        self.ui_port = free_port(preferred=ui_port, taken=frozenset({self.port}))
        self.namespace = NAMESPACE
        self.log = log or directory / "temporal.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._pid_file = pid_file
        self._ui = ui
        self._client: Client | None = None

    @property
    def address(self) -> str:
        """Host and port of the gRPC frontend."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Address of the list of workflows in the web UI."""
        return f"http://{LOOPBACK}:{self.ui_port}/namespaces/{self.namespace}/workflows"

    @property
    def client(self) -> Client:
        """The client that `connect` made."""
        if self._client is None:
            raise TemporalFailed("connect() has not been called on this server")
        return self._client

    def unique(self, word: str) -> str:
        """Return a name that nothing else on this server bears."""
        return f"{word}-{uuid.uuid4().hex}"

    async def connect(self) -> Client:
        """Connect a plain client in the running event loop and keep it as `client`."""
        self._client = await Client.connect(self.address, namespace=self.namespace)
        return self._client

    def start(self) -> None:
        """Start the server and return when it answers for the namespace.

        Raises:
            TemporalFailed: It did not start.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = self._spawn()
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            # A stranger on our port would answer as well: our own process has to live too.
            if self.answers() and self.process.poll() is None:
                return
            time.sleep(0.05)
        self.stop()
        raise TemporalFailed(f"Temporal did not start. {self._last_words()}")

    def stop(self) -> None:
        """Stop the server well; what is in the database file stays."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Kill the server with signal 9, as a crash would."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def answers(self) -> bool:
        """Tell whether the server knows the namespace and its search attributes now."""
        answered = threading.Event()

        async def ask() -> None:
            try:
                client = await Client.connect(self.address, namespace=self.namespace)
                query = " OR ".join(f"{name} IS NOT NULL" for name in SEARCH_ATTRIBUTES)
                await client.count_workflows(query)
            except (RPCError, RuntimeError):  # RuntimeError: the port is not open yet
                return
            answered.set()

        asking = threading.Thread(target=lambda: asyncio.run(ask()))  # callers may have a loop
        asking.start()
        asking.join()
        return answered.is_set()

    def _spawn(self) -> subprocess.Popen[bytes]:
        attributes = [f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()]
        arguments = [
            *("server", "start-dev", "--ip", LOOPBACK, "--port", str(self.port)),
            *("--namespace", self.namespace, "--log-level", "error"),
            *("--db-filename", str(self.directory / "temporal.db")),
            *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
            *itertools.chain.from_iterable(("--search-attribute", each) for each in attributes),
            *(("--ui-port", str(self.ui_port)) if self._ui else ("--headless",)),
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own binary, our own arguments
                [str(self.binary), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is for us, who then stop it well
            )
        if self._pid_file is not None:
            pids.remember(self._pid_file, process.pid)
        return process

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"Its log {self.log} ends with: {(lines or ['nothing'])[-1]}"
