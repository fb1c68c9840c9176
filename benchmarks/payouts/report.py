"""The report of a run: a table with command, machine and date, and its plots."""

from __future__ import annotations

import shlex
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.payouts.driver import IN_FLIGHT
from benchmarks.payouts.engines import DEV
from benchmarks.payouts.figures import BARS, MEANINGS, disturbed, split_of
from benchmarks.payouts.rounds import HALF_PAY_SECONDS, PAY_SECONDS, TWO_WORKERS, Plan, Results
from benchmarks.payouts.shapes import EMPTY, USUAL
from benchmarks.payouts.site import ANSWER_SECONDS, PRODUCT
from benchmarks.plots import FLOOR, OURS
from benchmarks.report import machine

LABELS = {
    PRODUCT: "payout",
    EMPTY: "empty workflow, same commands",
    USUAL: "payout the usual way",
    TWO_WORKERS: "payout, two workers",
}
COLOURS = {
    "worker": "#1f5fbf",
    "gateway": "#6ea8e6",
    "postgres": "#2e8b57",
    "temporal": "#c0392b",
    "temporal_postgres": "#e0a090",
    "bank": "#bbbbbb",
    "client": "#777777",
}


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    plan: Plan
    results: Mapping[str, Results]
    """By the kind of Temporal server."""
    figures: dict[str, float]
    bottlenecks: dict[str, str]


def write_report(folder: Path, run: Run) -> None:
    """Write payouts.md and the plots that it shows into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "payouts.md").write_text("\n".join(_page(run, _plot(folder, run))) + "\n", "utf-8")


def _page(run: Run, plots: Mapping[str, str]) -> Iterator[str]:
    plan = run.plan
    yield "# A payout beside what Temporal itself costs"
    yield ""
    yield f"- Command: `{shlex.join(['python', '-m', 'benchmarks.payouts', *sys.argv[1:]])}`"
    yield f"- Machine: {machine()}; everything shares it: client, worker, gateway, bank, databases"
    yield f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield (
        f"- {plan.rounds} rounds, each load {plan.seconds:g} s a round with {IN_FLIGHT} payouts in "
        "flight, alternating; a ratio is the median of the rounds' own ratios"
    )
    yield (
        f"- The bank answers in {1000 * ANSWER_SECONDS:g} ms and pays after {PAY_SECONDS:g} s, or "
        f"{HALF_PAY_SECONDS:g} s where latencies are measured"
    )
    warning = disturbed(run.figures)
    if warning is not None:
        yield f"- **{warning}.**"
    yield from _table(run)
    for results in run.results.values():
        yield from _loads(results)
    for title, file in plots.items():
        yield ""
        yield f"![{title}]({file})"


def _table(run: Run) -> Iterator[str]:
    """Give the table of figures: those with a bar first."""
    yield ""
    yield "| Figure | Value | Bar | |"
    yield "|---|---|---|---|"
    for name, bar in BARS.items():
        if name not in run.figures:
            yield f"| `{name}` | not run | {bar} | {MEANINGS[name]} |"
            continue
        verdict = MEANINGS[name] + ("" if bar.is_met(run.figures[name]) else " (**missed**)")
        yield f"| `{name}` | {run.figures[name]:.2f} | {bar} | {verdict} |"
    for name, figure in run.figures.items():
        if name not in BARS:
            yield f"| `{name}` | {figure:g} | | |"
    for kind, text in run.bottlenecks.items():
        yield f"| `{kind}` | {text} | | |"


def _loads(results: Results) -> Iterator[str]:
    """Give the table of one server's loads."""
    yield ""
    yield f"| Load on the {results.engine} | payouts/s | | CPU ms per payout |"
    yield "|---|---|---|---|"
    for name, samples in results.samples.items():
        rates = [sample.rate for sample in samples]
        spread = f"{min(rates):.1f} to {max(rates):.1f}"
        split = ", ".join(f"{part} {ms:.1f}" for part, ms in split_of(results, name).items())
        yield f"| `{name}` | {statistics.median(rates):.1f} | {spread} | {split} |"


def _plot(folder: Path, run: Run) -> dict[str, str]:
    plots: dict[str, str] = {}
    for kind, results in run.results.items():
        title = f"CPU of one payout on the {results.engine}"
        plots[title] = _draw(folder / f"payouts-cpu-{kind}.svg", title, _cpu, results)
    if DEV in run.results and f"{PRODUCT}_half" in run.results[DEV].samples:
        title = "Latency of a payout at half the top rate"
        plots[title] = _draw(folder / "payouts-latency.svg", title, _latency, run.results[DEV])
    return plots


def _draw(file: Path, title: str, draw: Callable[[Axes, Results], None], results: Results) -> str:
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.grid(alpha=0.3, axis="x")
    draw(axes, results)
    figure.savefig(file, metadata={"Date": None})
    return file.name


def _cpu(axes: Axes, results: Results) -> None:
    names = [name for name in LABELS if name in results.samples]
    splits = {name: split_of(results, name) for name in names}
    left = dict.fromkeys(names, 0.0)
    for part, colour in COLOURS.items():
        widths = [splits[name].get(part, 0.0) for name in names]
        if any(widths):
            label = part.replace("_", "'s ")
            axes.barh(
                [LABELS[name] for name in names],
                widths,
                left=list(left.values()),
                label=label,
                color=colour,
            )
            left = {name: left[name] + splits[name].get(part, 0.0) for name in names}
    axes.invert_yaxis()
    axes.set_xlabel("CPU milliseconds per payout")
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.4, -0.15))


def _latency(axes: Axes, results: Results) -> None:
    for shape, colour in ((PRODUCT, OURS), (EMPTY, FLOOR)):
        times = [1000 * each for each in results.samples[f"{shape}_half"][0].latencies]
        shares = [(place + 1) / len(times) for place in range(len(times))]
        axes.plot(times, shares, label=LABELS[shape], color=colour)
    axes.axvline(
        1000 * (HALF_PAY_SECONDS + ANSWER_SECONDS),
        color="black",
        linestyle=":",
        label="the bank's own part",
    )
    axes.set_xlim(left=0)
    axes.set_xlabel("milliseconds from `pay_out` to settled")
    axes.set_ylabel("share of the payouts")
    axes.legend(frameon=False)
