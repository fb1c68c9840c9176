"""Plots of a run of the books' benchmark, as SVG."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.floor import HOT_CLIENTS, RANDOM_CLIENTS
from benchmarks.rounds import SMALL_ENTRIES, Plan, Results

OURS, FLOOR, HOT = "#1f5fbf", "#999999", "#c0392b"

mpl.use("svg")
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bursar", "font.size": 10})


def plot(folder: Path, plan: Plan, results: Results) -> dict[str, str]:
    """Draw every plot into a folder; return file names by title."""
    drawn = {
        "Postings per second by callers": ("ledger-rate.svg", _rate),
        "Postings per second by size of the books": ("ledger-size.svg", _size),
        "Latency of a posting": ("ledger-latency.svg", _latency),
    }
    for title, (file, draw) in drawn.items():
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        axes.grid(alpha=0.3)
        draw(axes, plan, results)
        axes.legend(frameon=False)
        figure.savefig(folder / file, metadata={"Date": None})
    return {title: file for title, (file, _) in drawn.items()}


def _line(axes: Axes, results: Results, points: dict[int, str], label: str, colour: str) -> None:
    """Draw the medians with bars from the lowest to the highest round."""
    rates = {x: [sample.rate for sample in results.samples[name]] for x, name in points.items()}
    middle = {x: statistics.median(each) for x, each in rates.items()}
    spread = (
        [middle[x] - min(each) for x, each in rates.items()],
        [max(each) - middle[x] for x, each in rates.items()],
    )
    axes.errorbar(
        list(rates), list(middle.values()), spread, label=label, color=colour, marker="o", capsize=3
    )


def _rate(axes: Axes, _: Plan, results: Results) -> None:
    ours = {callers: f"ours_{callers}" for callers in (1, 8, 64, 512)}
    _line(axes, results, ours, "Bursar, any two wallets", OURS)
    _line(axes, results, {512: "hot_512"}, "Bursar, one wallet in every posting", HOT)
    floor = {clients: f"floor_{clients}" for clients in RANDOM_CLIENTS}
    _line(axes, results, floor, "floor, any two accounts", FLOOR)
    hot = {clients: f"floor_hot_{clients}" for clients in HOT_CLIENTS}
    _line(axes, results, hot, "floor, one account in every posting", "#e0a090")
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 8, 16, 64, 512], ["1", "8", "16", "64", "512"])
    axes.set_xlabel("callers at once")
    axes.set_ylabel("postings per second")
    axes.set_ylim(bottom=0)


def _size(axes: Axes, plan: Plan, results: Results) -> None:
    sizes = (SMALL_ENTRIES, *plan.sizes)
    points = {size: f"size_{size}" for size in sizes}
    _line(axes, results, points, "64 callers", OURS)
    axes.set_xscale("log")
    axes.set_xlabel("entries in the books")
    axes.set_ylabel("postings per second")
    axes.set_ylim(bottom=0)


def _latency(axes: Axes, _: Plan, results: Results) -> None:
    for name, label, colour in (
        ("ours_1", "a lone caller", FLOOR),
        ("ours_64", "64 callers", OURS),
        ("ours_512", "512 callers", HOT),
    ):
        times = sorted(1000 * t for sample in results.samples[name] for t in sample.latencies)
        shares = [step / 1000 for step in range(1000)]
        axes.plot(
            [times[int(share * len(times))] for share in shares], shares, label=label, color=colour
        )
    for callers, line in ((1, ":"), (64, "--")):
        alone = results.samples[f"bare_commit_{callers}"]
        bare = 1000 * statistics.median(one.percentile(0.5) for one in alone)
        label = f"median of {callers} at once, a bare commit each"
        axes.axvline(bare, color="black", linestyle=line, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from call to answer")
    axes.set_ylabel("share of the postings")
