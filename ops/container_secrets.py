"""Secrets of docker-compose.yml, made once: `python -m ops.container_secrets`."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import secrets
import sys
from pathlib import Path

from bursar.exit import leave
from ops.home import PEOPLE

DIRECTORY = Path(".bursar") / "containers"
BOOKS = "postgres:5432/bursar"
"""Where the books are for the other containers."""


def make(directory: Path) -> tuple[str, ...]:
    """Make every secret that is not there yet, and return the names of those that were made.

    The folder is closed to everybody else. The files are not: containers see them with the mode
    that they have here, and run as a user who does not exist on this machine.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    made: list[str] = []

    def once(name: str, value: str) -> str:
        file = directory / name
        if not file.exists():
            file.write_text(value)
            file.chmod(0o644)
            made.append(name)
        return file.read_text()

    once("temporal_password", secrets.token_hex(20))
    once("auditor_password", secrets.token_hex(20))
    once("bank_api_key", secrets.token_hex(20))
    once("bank_webhook_secret", "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    admin = once("postgres_password", secrets.token_hex(20))
    once("admin_database_url", f"postgresql://postgres:{admin}@{BOOKS}")
    for process in ("worker", "gateway"):
        password = once(f"{process}_password", secrets.token_hex(20))
        once(f"{process}_database_url", f"postgresql://bursar_{process}:{password}@{BOOKS}")
    tokens = {person: once(f"token_{person}", secrets.token_hex(20)) for person in PEOPLE}
    once("tokens.toml", _tokens_file(tokens))
    return tuple(made)


def _tokens_file(tokens: dict[str, str]) -> str:
    return "\n".join(
        f'[[tokens]]\nprincipal = "{person}"\n'
        f'sha256 = "{hashlib.sha256(tokens[person].encode()).hexdigest()}"\n'
        f"roles = {json.dumps(roles)}\n"
        for person, roles in PEOPLE.items()
    )


def main() -> int:
    """Make what is missing and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m ops.container_secrets", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help=f"default: {DIRECTORY}")
    directory: Path = parser.parse_args().directory
    made = make(directory)
    sys.stdout.write(f"{directory}: {len(made)} made, the rest was there. Keep it out of git.\n")
    return 0


if __name__ == "__main__":
    leave(main())
