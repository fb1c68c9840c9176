"""One process of ours: started with its own log, ready when it says so, and stopped well."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ops import pids

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
OUR_PREFIXES = ("BURSAR_", "BANK_", "PARTNER_")


class ProgramFailed(Exception):
    """A process ended or was not ready in time; the message names its log."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with exactly these settings and no stray ones of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OUR_PREFIXES)}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


class Program:
    """A Python module that runs until it is stopped."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        settings: Mapping[str, str],
        ready: Callable[[], bool] | Path,
        log: Path,
        pid_file: Path,
        start_seconds_max: float = START_SECONDS_MAX,
    ) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", *arguments]
        self._settings = settings
        self._ready = ready
        """A question to ask it, or a file that it touches."""
        self._log = log
        self._pid_file = pid_file
        self._start_seconds_max = start_seconds_max

    def start(self) -> None:
        """Start the process and return when it is ready.

        Raises:
            ProgramFailed: It ended, or was not ready in time.
        """
        if isinstance(self._ready, Path):
            self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  our own modules
                self._command,
                cwd=ROOT,
                env=environment(self._settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is for us, who then stop it well
            )
        pids.remember(self._pid_file, self.process.pid)
        deadline = time.monotonic() + self._start_seconds_max
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ProgramFailed(self._words(f"ended with status {self.process.returncode}"))
            if self._ready.exists() if isinstance(self._ready, Path) else self._ready():
                return
            time.sleep(0.05)
        self.stop()
        raise ProgramFailed(self._words("was not ready in time"))

    def stop(self) -> None:
        """Ask the process to end, and end it if it does not."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._pid_file.unlink(missing_ok=True)

    def _words(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        last = next((line for line in reversed(lines) if line.strip()), "nothing")
        return f"The {self.name} {what}. Its log {self._log} ends with: {last[:400]}"
