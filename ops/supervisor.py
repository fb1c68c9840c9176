"""The supervisor: starts services in order, starts again what dies, and stops all of them."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ops.postgres import PostgresFailed
from ops.program import ProgramFailed
from ops.temporal import TemporalFailed

LOOK_EVERY_SECONDS = 0.2
RESTARTS_IN_A_ROW_MAX = 5
QUIET_SECONDS = 60.0

StartFailed = (PostgresFailed, TemporalFailed, ProgramFailed, OSError)


class Service(Protocol):
    """Something that runs as a process of ours."""

    process: subprocess.Popen[bytes] | None

    def start(self) -> None:
        """Start and return when it is ready."""

    def stop(self) -> None:
        """Stop and return when it has ended."""


class Supervisor:
    """Holds services by name, in the order in which they were started."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.failure: str | None = None
        """Why the supervisor has given up on a service; None while all is well."""
        self._say = say
        self._services: dict[str, Service] = {}
        self._deaths: dict[str, list[float]] = {}
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, services: dict[str, Service]) -> dict[str, float]:
        """Start services side by side; return how many seconds each took.

        Raises:
            PostgresFailed, TemporalFailed, ProgramFailed: One did not start.
        """
        self._services |= services

        def timed(service: Service) -> float:
            begun = time.monotonic()
            service.start()
            return time.monotonic() - begun

        with ThreadPoolExecutor(len(services)) as pool:
            started = {name: pool.submit(timed, each) for name, each in services.items()}
        return {name: each.result() for name, each in started.items()}

    def watch(self) -> None:
        """From now on start again whatever dies."""
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Stop everything, the last started first."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        for service in reversed(self._services.values()):
            service.stop()

    def _watch(self) -> None:
        while self.failure is None and not self._stopping.wait(LOOK_EVERY_SECONDS):
            for name, service in self._services.items():
                process = service.process
                if process is None or process.poll() is not None:
                    self._start_again(name, service)

    def _start_again(self, name: str, service: Service) -> None:
        now = time.monotonic()
        deaths = [at for at in self._deaths.get(name, []) if now - at < QUIET_SECONDS]
        self._deaths[name] = [*deaths, now]
        if len(deaths) >= RESTARTS_IN_A_ROW_MAX:
            self.failure = f"The {name} keeps ending; see its log"
            return
        status = service.process.returncode if service.process else None
        how = f"by signal {-status}" if status is not None and status < 0 else f"status {status}"
        self._say(f"The {name} has ended ({how}); starting it again")
        service.stop()
        try:
            service.start()
        except StartFailed as error:
            self._say(str(error))
