"""Run the fault battery: `python -m tests.battery --tier smoke --seed 1`."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from bursar.exit import leave
from ops.program import ROOT
from tests.battery import report
from tests.battery.installation import end_leftovers
from tests.battery.passing import passed
from tests.battery.run import Run
from tests.battery.tiers import TIERS, Tier


def main() -> int:
    """Run a tier, part by part, and return 0 only if every figure that has to be 0 is."""
    options = _options()
    tier = TIERS[options.tier]
    console = Console(stderr=True)
    home = options.home / f"{tier.name}-{options.seed}"
    for done in _reports(home):
        if lacks := report.lacking(json.loads(done.read_text())):
            words = f"{done.parent} was done before {', '.join(sorted(lacks))} was looked at"
            console.print(f"[red]{words}: delete it, and give the same command again[/red]")
            return 1
    first, last = options.part or (1, tier.parts)
    for number in range(1, tier.parts + 1):
        if first <= number <= last:
            _part(home, tier, options.seed, number, console, forget=options.forget)
    parts = [json.loads(file.read_text()) for file in _reports(home)]
    told = report.merged(parts, tier.parts)
    report.save(home, told)
    report.show(told, console)
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if passed(told) else 1


def _reports(home: Path) -> list[Path]:
    """Return the reports of the parts that are done."""
    return sorted(home.glob("part-*/report.json"))


def _part(
    home: Path, tier: Tier, seed: int, number: int, console: Console, *, forget: bool
) -> None:
    """Run one part, unless an earlier call has brought it to its end."""
    folder = home / f"part-{number:03}"
    done = folder / "report.json"
    if done.exists() and tier.parts > 1:
        console.print(f"part {number} of {tier.parts}: done before, {done}")
        return
    if folder.exists():
        end_leftovers(folder)
        shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder)
    share = tier.part()
    first = (number - 1) * share.payments + 1
    run = Run(folder, share, seed * 1_000 + number, lambda text: console.print(text), first=first)
    before = report.commit()
    told = asyncio.run(_run(run))
    if told["commit"] != before:  # its programs were started of both
        told["broken"].append(f"the checkout was changed meanwhile: {before}, {told['commit']}")
    if forget or passed(told):
        run.site.forget()
    report.save(folder, told)


async def _run(run: Run) -> dict[str, Any]:
    task = asyncio.current_task()
    if task is not None:  # told to end, it stops everything that it has started
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return report.figures(run.site, await run.live())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.battery", description=__doc__)
    parser.add_argument("--tier", choices=TIERS, default="smoke")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=_range, help="3, 3/20 or 3-5: these parts only")
    parser.add_argument("--forget", action="store_true", help="keep no server's data in any case")
    parser.add_argument("--home", type=Path, default=ROOT / ".bursar" / "faults")
    return parser.parse_args()


def _range(text: str) -> tuple[int, int]:
    """Read which parts to run: 3, 3/20 (the third of twenty) or 3-5."""
    begin, _, end = text.partition("/")[0].partition("-")
    try:
        return int(begin), int(end or begin)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no part; write 3, 3/20 or 3-5") from None


if __name__ == "__main__":
    leave(main())
