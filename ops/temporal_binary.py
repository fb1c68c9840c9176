"""Temporal's binary: named, on PATH, cached, downloaded by the SDK, or built with Go."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

CLI_VERSION = "1.5.1"
MODULE = f"github.com/temporalio/cli/cmd/temporal@v{CLI_VERSION}"
GO_MINOR_MIN = 25
DOWNLOAD_SILENCE_SECONDS_MAX = 10.0
DOWNLOAD_SECONDS_MAX = 180.0
BUILD_SECONDS_MAX = 1800.0
REPORT_EVERY_SECONDS = 5.0

Say = Callable[[str], None]
Way = Callable[[Path, dict[str, str], Say], Path | str]
"""Makes a binary in a folder, and returns it or the reason why there is none."""


class TemporalNotFound(Exception):
    """No way led to a binary; the message lists what was tried and what the user can do."""


def find_temporal(
    say: Say = lambda _: None,
    *,
    environment: Mapping[str, str] | None = None,
    download_silence_seconds_max: float = DOWNLOAD_SILENCE_SECONDS_MAX,
) -> Path:
    """Return a working `temporal` binary, fetching or building it if need be.

    Args:
        say: Told in plain sentences what is done, and how far it is.
        environment: Taken instead of the process's own.
        download_silence_seconds_max: A download of which nothing arrives for so long is given up.

    Raises:
        TemporalNotFound: No way led to a binary.
    """
    env = dict(os.environ if environment is None else environment)
    named = env.get("BURSAR_TEMPORAL_CLI")
    if named:
        return _named(Path(named))
    cache = cache_directory(env)
    ready = _on_path(env) or _cached(cache)
    if ready:
        return ready
    with _only_one(cache / "temporal.lock", say):
        download = partial(_download, silence_seconds_max=download_silence_seconds_max)
        return _cached(cache) or _fetched(cache, (download, _build), env, say)


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return where binaries are kept between runs and checkouts."""
    root = environment.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "bursar" / "bin"


def works(binary: Path) -> bool:
    """Tell whether a file is a `temporal` binary that runs here."""
    try:
        answer = subprocess.run(  # noqa: S603  the user's or our own binary
            [str(binary), "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.startswith("temporal version")


def _named(path: Path) -> Path:
    if works(path):
        return path
    raise TemporalNotFound(
        f"BURSAR_TEMPORAL_CLI names {path}, which is not a working `temporal` binary. "
        "Correct it, or unset it to have one found or built"
    )


def _on_path(env: Mapping[str, str]) -> Path | None:
    found = shutil.which("temporal", path=env.get("PATH"))
    return Path(found) if found and works(Path(found)) else None


def _cached(cache: Path) -> Path | None:
    for name in (f"temporal-{CLI_VERSION}", "temporal"):
        if works(cache / name):
            return cache / name
    return None


@contextlib.contextmanager
def _only_one(lock: Path, say: Say) -> Iterator[None]:
    """Let one process fetch or build; the others wait and then find it in the cache."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is getting Temporal's binary; waiting for it …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetched(cache: Path, ways: tuple[Way, ...], env: dict[str, str], say: Say) -> Path:
    target = cache / f"temporal-{CLI_VERSION}"
    reasons = ["BURSAR_TEMPORAL_CLI is not set", "`temporal` is not on PATH", f"none in {cache}"]
    for way in ways:
        workshop = cache / f"making-{os.getpid()}"
        workshop.mkdir(exist_ok=True)
        try:
            made = way(workshop, env, say)
            if isinstance(made, Path) and works(made):
                made.chmod(0o755)
                made.rename(target)
                return target
            reasons.append(made if isinstance(made, str) else f"{made.name} does not run here")
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    raise TemporalNotFound(
        "There is no Temporal binary, and none could be made:\n"
        + "".join(f"  - {reason}\n" for reason in reasons)
        + "What you can do: install Go 1.25 or newer and run this again; or get the `temporal`\n"
        "command line tool (https://docs.temporal.io/cli) and put it on PATH, or name it in\n"
        "BURSAR_TEMPORAL_CLI."
    )


_DOWNLOAD = """
import asyncio, sys
from temporalio.testing import WorkflowEnvironment
async def main():
    async with await WorkflowEnvironment.start_local(download_dest_dir=sys.argv[1]):
        pass
asyncio.run(main())
"""


def _download(
    workshop: Path, env: dict[str, str], say: Say, *, silence_seconds_max: float
) -> Path | str:
    """Let the SDK download its binary; give up soon where nothing arrives."""
    say("Looking for a download of Temporal's dev server …")
    loader = subprocess.Popen(  # noqa: S603  our own interpreter and script
        [sys.executable, "-c", _DOWNLOAD, str(workshop)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
    )
    begun = grown_at = said_at = time.monotonic()
    size = 0
    while loader.poll() is None:
        now, size_now = time.monotonic(), _bytes_in(workshop)
        if size_now > size:
            size, grown_at = size_now, now
        if now - grown_at > silence_seconds_max or now - begun > DOWNLOAD_SECONDS_MAX:
            loader.kill()
            loader.wait()
            return "the SDK's download did not get anywhere (no network?)"
        if size and now - said_at > REPORT_EVERY_SECONDS:
            say(f"  {size / 1e6:.0f} MB so far")
            said_at = now
        time.sleep(0.1)
    files = [each for each in workshop.iterdir() if each.is_file() and os.access(each, os.X_OK)]
    return files[0] if files else "the SDK's download failed (no network?)"


def _bytes_in(folder: Path) -> int:
    total = 0
    for each in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # renamed between listing and looking
            total += each.stat().st_size
    return total


def _build(workshop: Path, env: dict[str, str], say: Say) -> Path | str:
    """Build the pinned version with Go."""
    return go_install(MODULE, f"Temporal {CLI_VERSION}", workshop, env, say)


def _go(env: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the user's Go and its version, such as "go1.26.4"; None: there is none."""
    go = shutil.which("go", path=env.get("PATH"))
    if go is None:
        return None, ""
    asked = subprocess.run(  # noqa: S603  the user's Go
        [go, "env", "GOVERSION"], capture_output=True, text=True, env=dict(env), check=False
    )
    return go, asked.stdout.strip()


def go_install(
    module: str,
    what: str,
    workshop: Path,
    env: Mapping[str, str],
    say: Say,
    *,
    minor_min: int = GO_MINOR_MIN,
) -> Path | str:
    """Build a command into a folder with the user's Go; return it, or the reason why not.

    Args:
        module: The command's package and version, as `go install` takes it.
        what: What people call it.
        workshop: Where it is made; the log of the build stays beside it.
        env: The environment of the build.
        say: Told how far it is.
        minor_min: The oldest Go 1.x that builds it.
    """
    go, version = _go(env)
    if go is None:
        return "Go is not on PATH, so it cannot be built"
    minor = re.match(r"go1\.(\d+)", version)
    if minor is None or int(minor[1]) < minor_min:
        return f"Go on PATH is {version or 'unknown'}; building needs Go 1.{minor_min} or newer"
    say(f"Building {what} with {version} (once; about 3 minutes on 2 cores) …")
    failure = _install(go, module, workshop, env, say)
    if failure is not None:
        return f"the Go build failed: {failure}"
    return workshop / module.partition("@")[0].rpartition("/")[2]


def _install(go: str, module: str, workshop: Path, env: Mapping[str, str], say: Say) -> str | None:
    """Run `go install` and return the last lines that it wrote where it failed."""
    log = workshop / "build.log"
    with log.open("wb") as output:
        builder = subprocess.Popen(  # noqa: S603  the user's Go
            [go, "install", "-v", module],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=workshop,
            env={**env, "GOBIN": str(workshop), "GOTOOLCHAIN": "local"},
        )
    try:
        _watch_build(builder, log, say)
    finally:
        if builder.poll() is None:
            builder.kill()
            builder.wait()
    if builder.returncode == 0:
        return None
    return " / ".join(
        [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-3:]
    )


def _watch_build(builder: subprocess.Popen[bytes], log: Path, say: Say) -> None:
    begun = said_at = time.monotonic()
    while builder.poll() is None and time.monotonic() - begun < BUILD_SECONDS_MAX:
        if time.monotonic() - said_at > REPORT_EVERY_SECONDS:
            said_at = time.monotonic()
            lines = log.read_text(errors="replace").splitlines() or ["starting"]
            say(f"  {said_at - begun:3.0f} s, {len(lines)} packages, now {lines[-1][:60]}")
        time.sleep(0.2)
