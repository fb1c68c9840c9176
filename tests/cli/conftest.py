"""The command as users run it, and a small gateway for it to read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bursar.cli.main import status_of
from tests.cli.small_gateway import SmallGateway, serving

BURSAR = Path(sys.executable).with_name("bursar")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output; fails if there is anything else."""
        return json.loads(self.out)


class Cli:
    """Runs the installed command in a directory of its own, with nothing of ours around it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        kept = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"}
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}

    def __call__(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Ended:
        """Run the command as a process of its own."""
        ended = subprocess.run(
            [BURSAR, *arguments],
            cwd=self.directory,
            env={**self.environment, **(env or {})},
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def here(self, *arguments: str) -> Ended:
        """Run the same command line inside the test: for long rows of what needs no service."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.directory), redirect_stdout(out), redirect_stderr(err):
            code = status_of(list(arguments))
        return Ended(int(code), out.getvalue(), err.getvalue())

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file where the command runs, and return its name."""
        raw = content.encode() if isinstance(content, str) else content
        (self.directory / name).write_bytes(raw)
        return name

    def connect(self, **settings: str) -> None:
        """Write the connection file, as a running local stack does."""
        folder = self.directory / ".bursar"
        folder.mkdir(exist_ok=True)
        (folder / "connection.json").write_text(json.dumps(settings))


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The installed command, in an empty directory."""
    return Cli(tmp_path)


@pytest.fixture
def gateway() -> Iterator[SmallGateway]:
    """A small gateway on a real port."""
    with serving(SmallGateway()) as gateway:
        yield gateway


@pytest.fixture
def connected(cli: Cli, gateway: SmallGateway) -> Cli:
    """The installed command in a directory whose connection file leads to the small gateway."""
    cli.connect(gateway_url=gateway.url, token=gateway.token, temporal_address="127.0.0.1:1")
    return cli
