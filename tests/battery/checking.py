"""The checker, asked from outside: a program of its own that shares no code with the platform."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from ops.program import ROOT
from ops.temporal import NAMESPACE
from tests.battery.installation import Installation
from tests.battery.plan import PARTNERS

HOME = "BATTERY_CHECKER_HOME"
"""Names the folder that holds the package `checker`, where it is not this checkout."""


class CheckerFailed(Exception):
    """The checker could not judge; the message is what it said."""


def home() -> Path:
    """Return the folder that holds the checker.

    Raises:
        CheckerFailed: There is none.
    """
    folder = Path(os.environ.get(HOME, ROOT))
    if not (folder / "checker" / "__main__.py").exists():
        raise CheckerFailed(f"{folder} holds no checker; {HOME} may name another folder")
    return folder


TRIES_MAX = 3


async def ask(site: Installation) -> dict[str, Any]:
    """Let the checker judge an installation at rest; return its report.

    Raises:
        CheckerFailed: It could not read everything, each time that it was asked.
    """
    folder = home()
    for tries_left in reversed(range(TRIES_MAX)):
        try:
            return await _ask(site, folder)
        except CheckerFailed:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


async def _ask(site: Installation, folder: Path) -> dict[str, Any]:
    arguments = ["--books-url", site.reader_url, "--grace-seconds", "0", "--json"]
    for partner in PARTNERS:
        arguments += ["--bank", f"{partner}={site.bank_file(partner)}"]
    arguments += ["--client-log", str(site.folder / "client.jsonl")]
    arguments += ["--rules", str(site.folder / "rules.toml")]
    arguments += ["--temporal", site.temporal.address, "--namespace", NAMESPACE]
    asked = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "checker", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, words = await asked.communicate()
    if asked.returncode not in (0, 1):
        raise CheckerFailed(words.decode()[-2_000:])
    told: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return told


def worse(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Return two judgements in one: of each count the higher, and what it is about."""
    if before is None:
        return now
    for counts in ("figures", "invariants", "apart"):
        for name, count in before[counts].items():
            if count > now[counts].get(name, 0):
                now[counts][name] = count
                now["examples"][name] = before["examples"].get(name, [])
    return now
