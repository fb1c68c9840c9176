"""Figures of the payouts' benchmark, and the bar that each has to clear."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping

from benchmarks.figures import Bar
from benchmarks.payouts.driver import Sample
from benchmarks.payouts.rounds import TWO_WORKERS, Results, parts
from benchmarks.payouts.shapes import EMPTY, USUAL
from benchmarks.payouts.site import PRODUCT

BARS: Mapping[str, Bar] = {
    "ratio_same_shape": Bar(0.8),
    "ratio_same_shape_on_postgres": Bar(0.8),
    "ratio_usual": Bar(1.4),
    "events": Bar(20, at_most=True),
    "writes": Bar(12, at_most=True),
    "actions": Bar(7, at_most=True),
    "worker_cpu_over_same_shape": Bar(1.25, at_most=True),
    "p50_over_same_shape": Bar(2, at_most=True),
    "p99_over_same_shape": Bar(2, at_most=True),
    "memory_growth": Bar(1.15, at_most=True),
    "backlog_rate": Bar(0.9),
    "backlog_busiest": Bar(1.1, at_most=True),
    "backlog_instant_delay": Bar(2, at_most=True),
}

MEANINGS: Mapping[str, str] = {
    "ratio_same_shape": "payouts/s over an empty workflow of the same commands, dev server",
    "ratio_same_shape_on_postgres": "the same on the server on PostgreSQL",
    "ratio_usual": "payouts/s over regular activities doing the same work, on PostgreSQL",
    "events": "events of an asynchronous payout with its deadline timer",
    "writes": "times that the server writes its state",
    "actions": "billable actions of it",
    "worker_cpu_over_same_shape": "the worker's CPU per payout over the empty workflow's",
    "p50_over_same_shape": "median latency at half the top rate over the empty workflow's",
    "p99_over_same_shape": "99th percentile likewise",
    "memory_growth": "the worker's memory after 20,000 payouts over after 1,000",
    "backlog_rate": "rate at which a backlog drains over the rail's limit",
    "backlog_busiest": "its busiest five seconds over the rail's limit",
    "backlog_instant_delay": "a payout beside the draining backlog over one alone",
}

STRANGERS_SHARE_MAX = 0.1
"""Of all cores: what other programs may take of a machine that is there for the benchmark."""

SHARE_OF_CORES = 0.9
"""From this share of all cores on, the machine is what sets the pace."""


def figures(dev: Results | None, on_postgres: Results | None) -> dict[str, float]:
    """Return every figure: a ratio is the median over the rounds of that round's own ratio."""
    found: dict[str, float] = {}
    if dev is not None:
        found |= _on_dev(dev)
    if on_postgres is not None:
        found |= _rates(on_postgres, "_on_postgres")
        found["ratio_usual"] = _over(on_postgres, PRODUCT, USUAL)
        found["ratio_two_workers_on_postgres"] = _over(on_postgres, TWO_WORKERS, PRODUCT)
    return {name: float(f"{figure:.4g}") for name, figure in found.items()}


def _on_dev(dev: Results) -> dict[str, float]:
    product = dev.specimens[PRODUCT]
    return {
        "events": len(product.kinds),
        "writes": max(product.writes, product.server_writes),
        "actions": product.actions,
        **_rates(dev, ""),
        "ratio_usual_dev": _over(dev, PRODUCT, USUAL),
        "ratio_two_workers": _over(dev, TWO_WORKERS, PRODUCT),
        "worker_cpu_over_same_shape": _over(dev, PRODUCT, EMPTY, _worker_ms),
        **_latencies(dev),
        **dev.more,
    }


def missed(found: Mapping[str, float], share: float) -> list[str]:
    """Return the names of the figures that do not clear this share of their bar; some may miss."""
    return [
        name for name, bar in BARS.items() if name in found and not bar.is_met(found[name], share)
    ]


def disturbed(found: Mapping[str, float]) -> str | None:
    """Return a warning where other programs took so much that rates say little; else None."""
    others = max((found[name] for name in found if name.startswith("cores_of_others")), default=0)
    if others <= STRANGERS_SHARE_MAX * (os.cpu_count() or 1):
        return None
    return (
        f"Other programs used up to {others:.1f} of {os.cpu_count()} cores: rates, their ratios and"
        " latencies say little here; CPU per payout and its ratios do"
    )


def bottleneck(results: Results) -> str:
    """Say what sets the pace of payouts, by who used the cores meanwhile."""
    there = os.cpu_count() or 1
    ours, others = (_median(results, PRODUCT, what) for what in (_cores, _of_others))
    split = split_of(results, PRODUCT)
    most = max(split, key=lambda part: split[part])
    used = (
        f"{ours:.1f} of {there} cores used, {split[most] / sum(split.values()):.0%} of that by "
        f"{most}, and {others:.1f} by strangers"
    )
    if ours + others >= SHARE_OF_CORES * there:
        return f"the cores: {used}"
    return f"not the cores ({used}): what is waited for is Temporal's commits, one after the other"


def split_of(results: Results, name: str) -> dict[str, float]:
    """Return the CPU milliseconds per payout of each part in a load, medians over the rounds."""
    samples = [parts(name, sample.cpu_ms) for sample in results.samples[name]]
    return {part: statistics.median(each[part] for each in samples) for part in samples[0]}


def _rates(results: Results, suffix: str) -> dict[str, float]:
    found = {
        f"ratio_same_shape{suffix}": _over(results, PRODUCT, EMPTY),
        # What the rates would be if strangers took as much of the cores from either.
        f"cpu_ratio_same_shape{suffix}": _over(results, EMPTY, PRODUCT, _total_ms),
        f"cpu_ratio_usual{suffix}": _over(results, USUAL, PRODUCT, _total_ms),
    }
    for part, used in split_of(results, PRODUCT).items():
        found[f"{part}_cpu_ms{suffix}"] = used
    found[f"worker_cpu_ms_same_shape{suffix}"] = split_of(results, EMPTY)["worker"]
    for name in results.samples:
        found[f"per_second_{name}{suffix}"] = _median(results, name, _rate)
    for name, timers in results.timers.items():
        found[f"share_with_timer_{name}{suffix}"] = sum(timers) / len(timers)
    seen = [sample for name in results.samples for sample in results.samples[name]]
    found[f"cores_of_others{suffix}"] = max(_of_others("", sample) for sample in seen)
    return found


def _latencies(results: Results) -> dict[str, float]:
    if f"{PRODUCT}_half" not in results.samples:
        return {}
    found: dict[str, float] = {}
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ours, theirs = (
            1000 * results.samples[f"{shape}_half"][0].percentile(share)
            for shape in (PRODUCT, EMPTY)
        )
        found |= {
            f"{name}_ms": ours,
            f"{name}_ms_same_shape": theirs,
            f"{name}_over_same_shape": ours / theirs,
        }
    return found


def _over(
    results: Results, ours: str, theirs: str, what: Callable[[str, Sample], float] | None = None
) -> float:
    what = what or _rate
    pairs = zip(results.samples[ours], results.samples[theirs], strict=True)
    return statistics.median(what(ours, one) / what(theirs, other) for one, other in pairs)


def _median(results: Results, name: str, what: Callable[[str, Sample], float]) -> float:
    return statistics.median(what(name, sample) for sample in results.samples[name])


def _rate(_name: str, sample: Sample) -> float:
    return sample.rate


def _worker_ms(name: str, sample: Sample) -> float:
    return parts(name, sample.cpu_ms)["worker"]


def _total_ms(name: str, sample: Sample) -> float:
    return sum(parts(name, sample.cpu_ms).values())


def _of_others(_name: str, sample: Sample) -> float:
    return max(0.0, sample.busy_cores - _cores(_name, sample))


def _cores(_name: str, sample: Sample) -> float:
    return sum(sample.cpu_ms.values()) * sample.rate / 1000
