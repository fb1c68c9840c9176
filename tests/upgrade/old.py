"""The old release: the code of an earlier commit, unpacked beside ours, and processes that run it.

`old_release` names the commit whose runs and schema every later release has to take over. Move it
on when no installation of it can be left; never to a commit that is not in every clone's history.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from ops.program import ROOT, Program, environment
from tests.house import House

COMMIT = (Path(__file__).parent / "old_release").read_text().strip()


class OldRelease:
    """The old code in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings(self) -> dict[str, str]:
        """What makes a Python process import this folder's code instead of ours."""
        return {"PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1"}

    def run(self, *arguments: str, settings: dict[str, str] | None = None) -> str:
        """Run a command of the old code; return what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment({**(settings or {}), **self.settings}),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def worker(self, house: House, name: str = "worker") -> Program:
        """Return an old worker of a house that is not started yet."""
        ready = house.directory / f"{name}.ready"
        return Program(
            name,
            ["workers"],
            settings={**house.ours, **self.settings, "BURSAR_READY_FILE": str(ready)},
            ready=ready,
            log=house.directory / f"{name}.log",
            pid_file=house.directory / f"{name}.pid",
        )

    def gateway(self, house: House) -> Program:
        """Return an old gateway of a house that is not started yet."""
        return a_gateway(house, self.settings)


def a_gateway(house: House, settings: Mapping[str, str] | None = None) -> Program:
    """Return a gateway of a house that is not started yet; ours, but for what settings say."""
    return Program(
        "gateway",
        ["gateway"],
        settings={**house.ours, **(settings or {})},
        ready=lambda: _lives(house.gateway_url),
        log=house.directory / "gateway.log",
        pid_file=house.directory / "gateway.pid",
    )


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def unpack(folder: Path) -> OldRelease:
    """Unpack the old release; skip the test where the history does not reach back to it."""
    git = ["git", "-C", str(ROOT)]
    try:
        archive = subprocess.run([*git, "archive", COMMIT], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip(f"the old release {COMMIT[:12]} is not in this history: fetch all of it")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    release = OldRelease(folder)
    found = release.run("-c", "import workers, bursar; print(workers.__file__, bursar.__file__)")
    assert found.count(str(folder)) == 2, f"not the old code: {found}"
    return release
