"""Pid files: which process we started, told apart from a stranger who got its number later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

_PROC = Path("/proc")
KILL_AFTER_SECONDS = 15.0


def remember(path: Path, pid: int) -> None:
    """Write down a process that we have just started."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"pid": pid, "began": beginning_of(pid)}))
    new.replace(path)


def beginning_of(pid: int) -> str | None:
    """Return a text that is the same for the same process only; None for one that is not alive."""
    if (_PROC / "self").exists():
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
            boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        except (OSError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # a name may hold spaces and brackets
        return None if fields[0] == "Z" else f"{boot} {fields[19]}"
    shown = subprocess.run(  # noqa: S603  a number we made ourselves
        ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607  ps is where PATH says
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip() or None


def running(path: Path) -> int | None:
    """Return the pid in a file if that very process is still alive."""
    try:
        noted = json.loads(path.read_text())
        pid, began = int(noted["pid"]), noted["began"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if began is not None and beginning_of(pid) == began else None


def end_leftover(path: Path, *, gently: signal.Signals = signal.SIGTERM) -> int | None:
    """End the process of an earlier run, first gently, then by force.

    Returns:
        Its pid, or None if there was nothing to end.
    """
    pid = running(path)
    if pid is not None:
        os.kill(pid, gently)
        deadline = time.monotonic() + KILL_AFTER_SECONDS
        while running(path) is not None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += KILL_AFTER_SECONDS
            time.sleep(0.02)
    path.unlink(missing_ok=True)
    return pid
