"""Figures: what the rounds come down to, and the bar that each has to clear."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.callers import Sample
from benchmarks.floor import HOT_CLIENTS, RANDOM_CLIENTS
from benchmarks.rounds import SMALL_ENTRIES, Plan, Results

QUICK_SHARE = 0.7
"""A short run on a shared machine fails only where a figure is this far from its bar."""


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach, or may not exceed."""

    bound: float
    at_most: bool = False

    def is_met(self, figure: float, share: float = 1.0) -> bool:
        """Tell whether a figure clears this share of the bar, 0 to 1."""
        return figure <= self.bound / share if self.at_most else figure >= self.bound * share

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


BARS: Mapping[str, Bar] = {
    "ratio_floor_64": Bar(1.2),
    "ratio_floor_512": Bar(1.6),
    "ratio_hot_512": Bar(8),
    "ratio_direct_8": Bar(2),
    "p50_over_commit_1": Bar(3, at_most=True),
    "p99_over_commit_64": Bar(15, at_most=True),
    "ratio_growth": Bar(0.9),
    "ratio_payout_step": Bar(0.5),
    "checks_s_per_minute_payouts": Bar(1, at_most=True),
}

MEANINGS: Mapping[str, str] = {
    "ratio_floor_64": "postings/s of 64 callers over the best floor",
    "ratio_floor_512": "postings/s of 512 callers over the best floor",
    "ratio_hot_512": "the same with one account in every posting, over the best hot floor",
    "ratio_direct_8": "8 gathered callers over 8 that each commit alone, same function",
    "p50_over_commit_1": "latency of a lone caller (p50) over its bare one-row commit (p50)",
    "p99_over_commit_64": "latency at 64 callers (p99) over 64 clients' bare one-row commits (p50)",
    "ratio_growth": "rate with the largest books over the rate with 100,000 entries",
    "ratio_payout_step": "payout steps/s over plain postings/s, 64 callers",
    "checks_s_per_minute_payouts": "seconds to check a minute of 20 payouts/s in the largest books",
}


def figures(plan: Plan, results: Results) -> dict[str, float]:
    """Return every figure: a ratio is the median over the rounds of that round's own ratio."""
    floor = _best(results, [f"floor_{clients}" for clients in RANDOM_CLIENTS])
    hot = _best(results, [f"floor_hot_{clients}" for clients in HOT_CLIENTS])

    def over(ours: str, theirs: str, what: Callable[[Sample], float] = _rate) -> float:
        pairs = zip(results.samples[ours], results.samples[theirs], strict=True)
        return statistics.median(what(one) / _rate(other) for one, other in pairs)

    def commits(callers: int, share: float) -> float:
        ours, bare = (results.samples[f"{name}_{callers}"] for name in ("ours", "bare_commit"))
        return statistics.median(
            one.percentile(share) / other.percentile(0.5)
            for one, other in zip(ours, bare, strict=True)
        )

    found = {
        "ratio_floor_64": over("ours_64", floor),
        "ratio_floor_512": over("ours_512", floor),
        "ratio_hot_512": over("hot_512", hot),
        "ratio_direct_8": over("ours_8", "direct_8"),
        "p50_over_commit_1": commits(1, 0.5),
        "p99_over_commit_64": commits(64, 0.99),
        "ratio_growth": over(f"size_{plan.sizes[-1]}", f"size_{SMALL_ENTRIES}"),
        "ratio_payout_step": over("payouts_64", "ours_64"),
    }
    for name, load in (("", "ours_64"), ("_512", "ours_512"), ("_floor", floor)):
        client = "client" if load == floor else "python"
        found[f"cpu_ms_per_posting{name}_{client}"] = _median(results, load, _client_ms)
        found[f"cpu_ms_per_posting{name}_postgres"] = _median(results, load, _postgres_ms)
    if plan.peer_call is not None:
        found |= _against_peer(results, over)
    found |= {f"per_second_{name}": _median(results, name) for name in results.samples}
    return rounded(found)


def rounded(found: Mapping[str, float]) -> dict[str, float]:
    """Return figures with as many digits as they can be believed."""
    return {name: float(f"{figure:.4g}") for name, figure in found.items()}


def missed(found: Mapping[str, float], share: float) -> list[str]:
    """Return the names of the figures that were taken and do not clear this share of their bar."""
    return [
        name for name, bar in BARS.items() if name in found and not bar.is_met(found[name], share)
    ]


def _against_peer(results: Results, over: Callable[[str, str], float]) -> dict[str, float]:
    peer = _best(results, ["peer_8", "peer_64"])
    hot = _best(results, ["peer_hot_8", "peer_hot_64"])
    return {
        "ratio_peer_64": over("ours_64", peer),
        "ratio_peer_512": over("ours_512", peer),
        "ratio_peer_hot_512": over("hot_512", hot),
    }


def _rate(sample: Sample) -> float:
    return sample.rate


def _client_ms(sample: Sample) -> float:
    return sample.client_ms


def _postgres_ms(sample: Sample) -> float:
    return sample.postgres_ms


def _median(results: Results, name: str, what: Callable[[Sample], float] = _rate) -> float:
    return statistics.median(what(sample) for sample in results.samples[name])


def _best(results: Results, names: list[str]) -> str:
    """Return the load with the highest rate: the floor is taken at its own best."""
    return max(names, key=lambda name: _median(results, name))
