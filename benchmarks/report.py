"""The report of a run: a table with command, machine and date, and its plots."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import BARS, MEANINGS
from benchmarks.plots import plot
from benchmarks.rounds import Plan, Results
from benchmarks.server import SETTINGS


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    plan: Plan
    results: Results
    figures: dict[str, float]
    server_version: str
    load: float
    """Of the machine before the run, by others."""


def write_report(folder: Path, run: Run) -> None:
    """Write ledger.md and the plots that it shows into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = plot(folder, run.plan, run.results)
    (folder / "ledger.md").write_text("\n".join(_page(run, plots)) + "\n", "utf-8")


def _page(run: Run, plots: dict[str, str]) -> Iterator[str]:
    plan = run.plan
    yield "# The books beside PostgreSQL's own floor"
    yield ""
    yield f"- Command: `{shlex.join(['python', '-m', 'benchmarks.ledger', *sys.argv[1:]])}`"
    yield f"- Machine: {machine()}; load before the run {run.load:.1f}"
    settings = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
    yield f"- PostgreSQL {run.server_version}: {settings}"
    yield f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield (
        f"- {plan.rounds} rounds, each load {plan.seconds:g} s a round, alternating; a ratio is the"
        " median of the rounds' own ratios, a rate the median of the rounds"
    )
    yield (
        "- The floor is sent as one pipeline, one round trip a posting: of the ways to write it the"
        " one that costs PostgreSQL least; one statement after the other would be a lower floor"
    )
    yield ""
    yield "| Figure | Value | Bar | |"
    yield "|---|---|---|---|"
    for name, bar in BARS.items():
        if name not in run.figures:
            continue
        verdict = MEANINGS[name] + ("" if bar.is_met(run.figures[name]) else " (**missed**)")
        yield f"| `{name}` | {run.figures[name]:.2f} | {bar} | {verdict} |"
    for name, figure in run.figures.items():
        if name not in BARS and not name.startswith("per_second_"):
            yield f"| `{name}` | {figure:g} | | |"
    yield ""
    yield "| Load | per second | |"
    yield "|---|---|---|"
    for name in run.results.samples:
        rates = [sample.rate for sample in run.results.samples[name]]
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        yield f"| `{name}` | {run.figures[f'per_second_{name}']:,.0f} | {spread} |"
    for title, file in plots.items():
        yield ""
        yield f"![{title}]({file})"


def machine() -> str:
    """Return what ran it, as far as speed depends on it; no name of it."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), "
        f"{memory:.0f} GiB, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}"
    )
