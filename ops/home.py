"""The local stack's folder `.bursar/`: data, logs, ports, secrets, and one lock for all of it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ops.ports import free_port

PREFERRED_PORTS = {
    "temporal": 7233,
    "ui": 8233,
    "gateway": 8080,
    "bank": 8765,
    "postgres": 54320,
}

PEOPLE: dict[str, tuple[str, ...]] = {
    "ana": ("read", "approve-l1"),
    "ben": ("read", "operate", "approve-l1", "approve-l2"),
    "ops": ("read", "operate", "admin"),
}
"""Who holds a token of the local gateway, and with which roles."""


class StackRunning(Exception):
    """Another run holds the folder; the message says which process it is."""


class Home:
    """Where things are in one folder; everything secret is readable by its owner only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.logs = self.directory / "logs"
        self.pids = self.directory / "pids"
        self.ready = self.directory / "ready"
        self.secrets = self.directory / "secrets"
        self.connection = self.directory / "connection.json"
        self.summary = self.directory / "summary.json"
        self.tokens_file = self.secrets / "tokens.toml"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if need be, and hold it against every other run.

        Raises:
            StackRunning: Somebody else holds it.
        """
        for folder in (self.directory, self.logs, self.pids, self.ready, self.secrets):
            folder.mkdir(exist_ok=True)
        self.directory.chmod(0o755)  # under root, the database's own user has to pass through
        self.secrets.chmod(0o700)
        with (self.directory / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise StackRunning(
                    f"A local stack already runs here, as process {holder}. Use it as it is, or "
                    f"stop it first: Ctrl-C in its terminal, or `kill {holder}`"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def choose_ports(self) -> dict[str, int]:
        """Return a free port for each part: last time's if it is free, else the usual, else any."""
        file = self.directory / "ports.json"
        known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        chosen: dict[str, int] = {}
        for name, usual in PREFERRED_PORTS.items():
            taken = frozenset(chosen.values())
            chosen[name] = free_port(preferred=known.get(name, usual), taken=taken)
        file.write_text(json.dumps(chosen, indent=2) + "\n")
        return chosen

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(20)) -> str:
        """Return a secret that is made once and then stays."""
        file = self.secrets / name
        if not file.exists():
            _write_secret(file, make())
        return file.read_text()

    def webhook_secret(self) -> str:
        """Return the secret that the bank signs with, in the form of Standard Webhooks."""
        return self.secret(
            "webhook_secret",
            lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        )

    def secrets_for(self, service: str, values: Mapping[str, str]) -> Path:
        """Write what one service may know into a folder of its own and return the folder."""
        folder = self.secrets / service
        folder.mkdir(exist_ok=True, mode=0o700)
        for name, value in values.items():
            _write_secret(folder / name, value)
        return folder

    def token(self, person: str) -> str:
        """Return a person's token for the local gateway."""
        return self.secret(f"token_{person}")

    def write_tokens_file(self) -> None:
        """Write the gateway's file of tokens: hashes only."""
        blocks = []
        for person, roles in PEOPLE.items():
            digest = hashlib.sha256(self.token(person).encode()).hexdigest()
            blocks.append(
                f'[[tokens]]\nprincipal = "{person}"\nsha256 = "{digest}"\n'
                f"roles = {json.dumps(roles)}\n"
            )
        _write_secret(self.tokens_file, "\n".join(blocks))

    def write_connection(self, content: Mapping[str, str]) -> None:
        """Tell command-line tools in this working directory where everything is."""
        _write_secret(self.connection, json.dumps(content, indent=2) + "\n")


def _write_secret(file: Path, value: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(value)
    new.replace(file)
