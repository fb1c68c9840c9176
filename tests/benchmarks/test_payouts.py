"""The payouts' benchmark: what it counts, compares and lets pass."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from benchmarks.payouts.driver import Sample
from benchmarks.payouts.figures import (
    BARS,
    MEANINGS,
    bottleneck,
    disturbed,
    figures,
    missed,
    split_of,
)
from benchmarks.payouts.once import drain
from benchmarks.payouts.rounds import TWO_WORKERS, Results
from benchmarks.payouts.shapes import EMPTY, USUAL
from benchmarks.payouts.site import PRODUCT
from benchmarks.payouts.specimen import ShapesDiffer, Specimen, check_same_shape
from benchmarks.server import tree_cpu_seconds
from ops.histories import actions_in, writes_in

HISTORIES = Path(__file__).parents[1] / "workflows" / "histories"
KINDS = ("WORKFLOW_EXECUTION_STARTED", "TIMER_STARTED", "WORKFLOW_EXECUTION_COMPLETED")


@pytest.mark.parametrize(
    ("name", "events", "writes"),
    [
        ("payout_settled", 20, 10),
        ("payout_told_before_the_reply", 18, 10),
        ("payout_native_cancel_during_submit", 23, 13),
    ],
)
def test_writes_counted_in_a_history_are_those_that_the_server_tells(
    name: str, events: int, writes: int
) -> None:
    """The server's own counts, `state_transition_count`, of such runs."""
    history = WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text()).events
    assert len(history) == events
    assert writes_in(history) == writes


def test_every_try_of_an_activity_is_two_writes_and_an_action() -> None:
    text = (HISTORIES / "payout_settled.json").read_text()
    once = WorkflowHistory.from_json("once", text).events
    again = WorkflowHistory.from_json("again", text).events
    (started,) = [e for e in again if e.HasField("activity_task_started_event_attributes")]
    started.activity_task_started_event_attributes.attempt = 4
    assert writes_in(again) == writes_in(once) + 6
    assert actions_in(again) == actions_in(once) + 3


def test_a_payout_costs_what_the_budget_allows() -> None:
    text = (HISTORIES / "payout_settled.json").read_text()
    history = WorkflowHistory.from_json("settled", text).events
    assert BARS["events"].is_met(len(history))
    assert BARS["writes"].is_met(writes_in(history))
    assert BARS["actions"].is_met(actions_in(history))


def test_runs_of_other_events_are_not_compared() -> None:
    product = _specimen(KINDS)
    check_same_shape(product, _specimen(KINDS))
    with pytest.raises(ShapesDiffer, match="event 2 is TIMER_STARTED"):
        check_same_shape(product, _specimen((KINDS[0], KINDS[2])))
    with pytest.raises(ShapesDiffer, match="event 4 is nothing"):
        check_same_shape(product, _specimen((*KINDS, "TIMER_FIRED")))


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """So that a machine that is slow for one round says nothing."""
    dev = _results({PRODUCT: [80, 8, 90], EMPTY: [100, 10, 90], USUAL: [50, 5, 45]})
    found = figures(dev, None)
    assert found["ratio_same_shape"] == pytest.approx(0.8)
    assert found["ratio_usual_dev"] == pytest.approx(1.6)


def test_cpu_is_compared_too_since_strangers_slow_rates_down() -> None:
    """A round in which strangers took half of the cores halves a rate, and no CPU per payout."""
    dev = _results({PRODUCT: [40], EMPTY: [100], USUAL: [50]}, cpu_ms=12.5)
    found = figures(dev, None)
    assert found["cpu_ratio_same_shape"] == pytest.approx(0.8)
    assert found["cpu_ratio_usual"] == pytest.approx(0.8)


def test_a_run_among_strangers_says_so() -> None:
    dev = _results({PRODUCT: [40], EMPTY: [100], USUAL: [50]})
    assert disturbed(figures(dev, None)) is None
    dev.samples[EMPTY] = [replace(dev.samples[EMPTY][0], busy_cores=1.0 + (os.cpu_count() or 1))]
    warning = disturbed(figures(dev, None))
    assert warning is not None
    assert "Other programs" in warning


def test_the_usual_way_is_judged_on_the_server_that_is_like_production() -> None:
    dev = _results({PRODUCT: [100], EMPTY: [100], USUAL: [10]})
    on_postgres = _results({PRODUCT: [100], EMPTY: [100], USUAL: [80]})
    assert "ratio_usual" not in figures(dev, None)
    assert figures(dev, on_postgres)["ratio_usual"] == pytest.approx(1.25)
    assert missed(figures(dev, on_postgres), 1.0) == ["ratio_usual"]
    assert missed(figures(dev, on_postgres), 0.7) == []


def test_only_what_was_measured_can_miss_its_bar() -> None:
    assert missed({}, 1.0) == []
    assert missed({"memory_growth": 1.2, "ratio_same_shape": 0.79}, 1.0) == [
        "ratio_same_shape",
        "memory_growth",
    ]
    assert set(BARS) == set(MEANINGS)


def test_workers_that_wait_for_another_loads_end_are_not_counted() -> None:
    cpu = {PRODUCT: 5.0, "second_worker": 2.0, EMPTY: 4.0, USUAL: 3.0, "temporal": 20.0}
    results = Results("a server")
    for name in (PRODUCT, TWO_WORKERS, EMPTY, USUAL, f"{EMPTY}_half"):
        results.samples[name] = [Sample(1.0, (1.0,), cpu)]
    assert split_of(results, PRODUCT)["worker"] == 7.0  # both, where two work
    assert split_of(results, TWO_WORKERS)["worker"] == 7.0
    assert split_of(results, EMPTY) == {"worker": 4.0, "temporal": 20.0}
    assert split_of(results, f"{EMPTY}_half")["worker"] == 4.0
    assert split_of(results, USUAL)["worker"] == 3.0


def test_the_bottleneck_is_the_machine_only_where_its_cores_are_used_up() -> None:
    cores = os.cpu_count() or 1
    results = _results({PRODUCT: [10.0]}, cpu_ms=50 * cores)
    assert bottleneck(results).startswith("not the cores")
    (sample,) = results.samples[PRODUCT]
    results.samples[PRODUCT] = [replace(sample, busy_cores=0.95 * cores)]  # strangers have the rest
    assert bottleneck(results).startswith("the cores")


def test_a_backlog_that_drains_evenly_is_at_its_limit() -> None:
    found = drain(_moments([number / 20 for number in range(2_000)]), limit=20)
    assert found["backlog_rate"] == pytest.approx(1, abs=0.01)
    assert found["backlog_busiest"] == pytest.approx(1, abs=0.02)
    assert found["backlog_seconds"] == pytest.approx(99.95)


def test_a_backlog_that_bursts_is_seen_to() -> None:
    """Its mean is as allowed, and one moment is not."""
    even = [number / 20 for number in range(2_000)]
    burst = [*even[:1_000], *(50.0 for _ in range(100)), *(second + 5 for second in even[1_000:])]
    found = drain(_moments(burst), limit=20)
    assert found["backlog_rate"] == pytest.approx(1, abs=0.02)
    assert not BARS["backlog_busiest"].is_met(found["backlog_busiest"])


def test_cpu_of_a_server_is_that_of_all_its_processes() -> None:
    with _busy_for(0.3) as pid:
        (seconds,) = tree_cpu_seconds([pid])
        assert seconds >= 0.28  # in ticks of a hundredth
        mine, theirs = tree_cpu_seconds([os.getpid(), pid])
        assert theirs >= 0.28
        assert mine >= theirs  # it is our child


@contextmanager
def _busy_for(cpu_seconds: float) -> Iterator[int]:
    """Give a process that has used some CPU and is still there."""
    code = (
        "import time\n"
        f"while time.process_time() < {cpu_seconds}: pass\n"
        "print('done', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"done\n"
        yield process.pid
        process.stdin.close()


def _specimen(kinds: tuple[str, ...]) -> Specimen:
    return Specimen(kinds=kinds, writes=10, actions=7, server_writes=10)


def _results(rates: dict[str, list[float]], cpu_ms: float = 10.0) -> Results:
    """Return what rounds with these rates have shown."""
    results = Results("a server", specimens={PRODUCT: _specimen(KINDS)})
    cpu = {PRODUCT: cpu_ms, EMPTY: 0.0, USUAL: 0.0}
    for name, seen in rates.items():
        of_it = cpu if name == PRODUCT else {PRODUCT: 0.0, EMPTY: 10.0, USUAL: 10.0}
        results.samples[name] = [Sample(rate, (1.0,), of_it) for rate in seen]
    results.samples[TWO_WORKERS] = results.samples[PRODUCT]
    return results


def _moments(seconds: list[float]) -> list[datetime]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [start + timedelta(seconds=second) for second in seconds]
