"""The battery's power: deliberate bugs, one at a time, each of which a small run has to catch.

`python -m tests.battery.power` tries every patch in `mutants/`; `--only NAME` tries one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.program import ROOT
from tests.battery.case import RARE, ZEROS, is_rare
from tests.battery.checking import HOME as CHECKER_HOME
from tests.battery.passing import passed

PATCHES = Path(__file__).parent / "mutants"
SECONDS_MAX = 900.0


class DoesNotApply(Exception):
    """The product's code has moved on under a patch: it has to be made anew."""


@dataclass(frozen=True)
class Mutant:
    """One deliberate bug."""

    name: str
    says: str
    """What is wrong with it, and which invariant is to catch it: the patch's first line."""
    patch: Path


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    caught_by: tuple[str, ...]
    """The figures that were not 0; empty: it has survived."""
    payments: int | None
    """How many payments had been started when it was caught."""
    seconds: float
    error: str | None = None

    @property
    def is_caught(self) -> bool:
        """Whether a figure tells of it; that the run broke down counts where that is promised."""
        return any(name != "broken" or name in self.mutant.says for name in self.caught_by)


def mutants() -> list[Mutant]:
    """Return every deliberate bug, by name."""
    found = sorted(PATCHES.glob("*.patch"))
    return [Mutant(file.stem, file.read_text().partition("\n")[0], file) for file in found]


def copy_of_checkout(folder: Path) -> None:
    """Copy what git knows, or would take, of this checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def apply(mutant: Mutant, folder: Path, *, only_check: bool = False) -> None:
    """Put a bug into a copy of the checkout.

    Raises:
        DoesNotApply: The code is not what the patch was made for.
    """
    check = ["--check"] if only_check else []
    done = subprocess.run(
        ["git", "apply", "-C1", "--recount", *check, str(mutant.patch)],
        cwd=folder,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DoesNotApply(f"{mutant.patch.name} no longer applies: {done.stderr.strip()[:300]}")


def try_out(mutant: Mutant, seed: int) -> Verdict:
    """Run the small tier on a copy with the bug in it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bursar-mutant-") as place:
        checkout, home = Path(place) / "checkout", Path(place) / "runs"
        copy_of_checkout(checkout)
        try:
            apply(mutant, checkout)
        except DoesNotApply as error:
            return Verdict(mutant, (), None, 0.0, str(error))
        told = _run(checkout, home, seed)
    seconds = time.monotonic() - began
    if told is None:
        return Verdict(mutant, (), None, seconds, "the run did not come to a report")
    figures = [name for name in ZEROS if told.get(name)]
    figures += [name for name, count in told["invariants"].items() if count]
    payments = told.get("payments_attempted", 0)  # none where the run broke down
    figures += [name for name in RARE if not is_rare(name, told.get(name, 0), payments)]
    figures += ["rebuild"] if told["rebuild_differences"] else []
    figures += ["broken"] if told["broken"] else []
    return Verdict(mutant, tuple(figures), told.get("payments_attempted"), seconds)


def _run(checkout: Path, home: Path, seed: int) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "tests.battery", "--tier", "power", "--forget"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    environment.setdefault(CHECKER_HOME, str(ROOT))  # the checker's own code has no bug in it
    with subprocess.Popen(
        [*command, "--seed", str(seed), "--home", str(home)],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            running.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            running.terminate()
    file = home / f"power-{seed}" / "report.json"
    told: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return told


def main() -> int:
    """Try the mutants, and return 0 only if every one of them was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.battery.power", description=__doc__)
    parser.add_argument("--only", action="append", help="a mutant's name; may be given again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="how many to try at the same time")
    parser.add_argument(
        "--no-control", action="store_true", help="believe that a run without a bug passes"
    )
    options = parser.parse_args()
    chosen = [m for m in mutants() if not options.only or m.name in options.only]
    console = Console(stderr=True)
    if not options.no_control and not _is_sound(options.seed, console):
        return 1
    verdicts = _try_all(chosen, options.seed, options.jobs, console)
    _show(verdicts, console)
    caught = sum(verdict.is_caught for verdict in verdicts)
    sys.stdout.write(json.dumps({"caught": caught, "total": len(verdicts)}) + "\n")
    return 0 if caught == len(verdicts) else 1


def _try_all(chosen: Sequence[Mutant], seed: int, jobs: int, console: Console) -> list[Verdict]:
    """Try mutants, so many at a time, and say of each at once what became of it."""

    def one(mutant: Mutant) -> Verdict:
        verdict = try_out(mutant, seed)
        console.print(f"{verdict.seconds:6.0f} s  {mutant.name}: {_words(verdict)}")
        return verdict

    with ThreadPoolExecutor(jobs) as several:
        return list(several.map(one, chosen))


def _is_sound(seed: int, console: Console) -> bool:
    """Tell whether a run without any bug passes: else nothing that is caught proves anything."""
    with tempfile.TemporaryDirectory(prefix="bursar-mutant-") as place:
        told = _run(ROOT, Path(place), seed)
    sound = told is not None and passed(told)
    why = "did not come to a report" if told is None else json.dumps(told["violations"])
    console.print("control: passes without a bug" if sound else f"[red]control: {why}[/red]")
    return sound


def _words(verdict: Verdict) -> str:
    if verdict.error:
        return f"[red]not tried: {verdict.error}[/red]"
    if not verdict.is_caught:
        return f"[red]SURVIVED[/red] {', '.join(verdict.caught_by)}"
    return f"caught after {verdict.payments} payments by {', '.join(verdict.caught_by[:5])}"


def _show(verdicts: list[Verdict], console: Console) -> None:
    table = Table("mutant", "what is wrong, and what has to catch it", "caught by", "payments")
    for verdict in verdicts:
        by = verdict.error or ", ".join(verdict.caught_by[:4])
        by = by if verdict.is_caught or verdict.error else f"SURVIVED {by}"
        table.add_row(verdict.mutant.name, verdict.mutant.says, by, str(verdict.payments))
    console.print(table)
    caught = sum(verdict.is_caught for verdict in verdicts)
    console.print(f"{caught} of {len(verdicts)} deliberate bugs were caught")


if __name__ == "__main__":
    raise SystemExit(main())
