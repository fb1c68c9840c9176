"""The lock: every package with version and hash. `python -m ops.lock [--check]`."""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bursar.exit import leave

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"


def compile_lock(target: Path) -> str | None:
    """Resolve pyproject.toml into a file, keeping the versions that it already names.

    Returns:
        What went wrong, or None.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        return "uv is not installed; run `make install`"
    done = subprocess.run(  # noqa: S603  a pinned tool with our own arguments
        [
            *(uv, "pip", "compile", "pyproject.toml", "--all-extras", "--generate-hashes"),
            *("--universal", "--no-header", "--no-annotate", "--quiet", "-o", str(target)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else done.stderr.strip() or "uv gave no reason"


def check() -> int:
    """Compare the lock with what pyproject.toml asks for; 0 if they agree."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / LOCK.name
        shutil.copy(LOCK, fresh)  # so that only what pyproject.toml changes will differ
        problem = compile_lock(fresh)
        if problem:
            return _say(
                "The lock could not be checked; without a package index this check cannot be "
                f"made. uv says: {problem}",
                status=2,
            )
        before, after = LOCK.read_text().splitlines(), fresh.read_text().splitlines()
    if before == after:
        return _say("requirements.lock agrees with pyproject.toml")
    changed = [
        line
        for line in difflib.unified_diff(before, after, lineterm="", n=0)
        if "==" in line  # the packages; their hashes follow from them
    ]
    shown = "\n  ".join(itertools.islice(changed, 20)) or "only hashes differ"
    return _say(f"requirements.lock is stale; run `make lock`:\n  {shown}", status=1)


def write() -> int:
    """Write the lock anew."""
    problem = compile_lock(LOCK)
    if problem:
        return _say(f"The lock was not written. uv says: {problem}", status=2)
    return _say("requirements.lock is written; install it with `make install`")


def _say(text: str, *, status: int = 0) -> int:
    (sys.stderr if status else sys.stdout).write(text + "\n")
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write requirements.lock, or check it.")
    parser.add_argument("--check", action="store_true", help="only compare; change nothing")
    leave(check() if parser.parse_args().check else write())
