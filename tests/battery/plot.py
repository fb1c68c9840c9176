"""Draw a run: `python -m tests.battery.plot .bursar/faults/pr-1 docs/reliability/pr-1.svg`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tests.battery.passing import passed

MARKS = {
    "db_restart": ("PostgreSQL killed", "tab:red"),
    "server_restart": ("Temporal killed", "tab:purple"),
    "freeze": ("process frozen", "tab:cyan"),
    "bank_kill": ("bank killed", "tab:brown"),
    "started again": ("process died, started again", "tab:orange"),
    "storm": ("line cut, slow, clogged or deaf", "0.75"),
}


def main() -> None:
    """Draw one part of a run into an SVG file."""
    parser = argparse.ArgumentParser(prog="python -m tests.battery.plot", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("file", type=Path, help="the SVG file to write")
    parser.add_argument("--part", type=int, default=1)
    options = parser.parse_args()
    lines = (options.run / f"part-{options.part:03}" / "chronicle.jsonl").read_text().splitlines()
    told = json.loads((options.run / f"part-{options.part:03}" / "report.json").read_text())
    draw([json.loads(line) for line in lines], told, options.file)


def draw(chronicle: list[dict[str, Any]], told: dict[str, Any], file: Path) -> None:
    """Draw payments on their way and what went wrong meanwhile."""
    mpl.rcParams["svg.hashsalt"] = "bursar"  # the same run gives the same file
    figure, (payments, deaths) = plt.subplots(
        2, 1, figsize=(11, 6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    samples = [line for line in chronicle if line["what"] == "sample"]
    at = [line["at"] for line in samples]
    counts = [line["detail"] for line in samples]
    payments.plot(at, [each["started"] for each in counts], label="started", color="tab:blue")
    payments.plot(at, [each["ended"] for each in counts], label="ended", color="tab:green")
    payments.plot(
        at, [each["started"] - each["ended"] for each in counts], label="on their way", color="k"
    )
    deaths.plot(at, [each["deaths"] for each in counts], color="tab:red")
    deaths.set_ylabel("deaths on order")
    deaths.set_xlabel("seconds")
    payments.set_ylabel("payments")
    _marks(payments, chronicle)
    _phases((payments, deaths), chronicle)
    zero = "every zero-figure is 0" if passed(told) else "FAILED"
    payments.set_title(
        f"{told['tier']}, seed {told['seed']}, commit {told['commit']}: "
        f"{told['payments_attempted']} payments, {told['hard_kills']} hard and "
        f"{told['soft_kills']} soft kills; {zero}",
        fontsize=10,
        pad=22,
    )
    payments.legend(fontsize=8, loc="upper left")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _marks(axes: Axes, chronicle: list[dict[str, Any]]) -> None:
    named: set[str] = set()
    for line in chronicle:
        if line["what"] in MARKS:
            label, color = MARKS[line["what"]]
            axes.axvline(
                line["at"], color=color, linewidth=0.8, label="" if label in named else label
            )
            named.add(label)


def _phases(both: tuple[Axes, Axes], chronicle: list[dict[str, Any]]) -> None:
    phases = [line for line in chronicle if line["what"] == "phase"]
    for number, phase in enumerate(phases):
        end = phases[number + 1]["at"] if number + 1 < len(phases) else chronicle[-1]["at"]
        for axes in both:
            axes.axvspan(phase["at"], end, alpha=0.05, color="k" if number % 2 else "w")
        both[0].annotate(
            phase["detail"],
            (phase["at"], 1.01 + 0.04 * (number % 2)),
            xycoords=("data", "axes fraction"),
            fontsize=7,
        )


if __name__ == "__main__":
    main()
