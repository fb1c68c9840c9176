"""The report: every figure of a run, as JSON for machines and as a table for people."""

from __future__ import annotations

import json
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bursar.payments import PaymentState
from ops.program import ROOT
from tests.battery.case import ZEROS, Case
from tests.battery.evidence import BankLine
from tests.battery.installation import Installation
from tests.battery.orders import MISSING_POINTS, POINTS
from tests.battery.passing import DETECT_SECONDS, missing, passed
from tests.battery.run import Outcome
from tests.battery.tiers import TIERS

APART = frozenset(
    {
        *("per_K", "per_state", "violations", "partner_lies_by_id", "not_built_K"),
        *("not_judged", "examples", "rebuilt"),
    }
)
"""What the table leaves out: it has places of its own, or is long."""

FAULTS = {
    "P1": ("500-without-booking", "reset-before-booking", "timeout-before-booking"),
    "P2": ("500-after-booking",),
    "P3": ("reset-after-booking", "timeout-after-booking", "slow-accept"),
    "P4": ("rejected-but-paid",),
    "P5": ("409-on-the-key", "409-without-booking", "429-seconds", "429-date", "429-absent",
           "throttle-then-ok"),
    "P8": ("not-found-for-a-while",),
    "W4": ("status-rolled-back", "status-rolled-back-for-good"),
    "P13": ("paid-twice", "phantom-debit"),
    "P10": ("failed-but-paid", "paid-but-told-failed"),
    "P11": ("200-empty", "200-html", "200-truncated", "odd-2xx", "202-empty"),
    "P12": ("other-amount-echo", "other-payee-echo", "other-reference-echo"),
    "P16": ("paid-then-returned", "paid-then-returned-less-fee", "partial-return",
            "returned-in-two-parts", "returned-twice", "return-before-paid",
            "webhook-credit-first"),
    "W1": ("webhook-doubled", "webhook-doubled-new-ids", "webhook-late", "webhook-out-of-order"),
    "W2": ("webhook-before-reply",),
    "W3": ("webhook-lost",),
    "W5": ("webhook-wrongly-signed", "webhook-forged"),
}  # fmt: skip
"""Which of the banks' misbehaviours are which fault of the battery."""

FOUND_OUT = frozenset({"contradiction", "paid_twice", "phantom_debit", "excess_return"})
"""Cases that say a bank has moved money otherwise than it had told, or than it may."""


def figures(site: Installation, outcome: Outcome) -> dict[str, Any]:
    """Return every figure of a run."""
    case, director = outcome.case, outcome.director
    told: dict[str, Any] = {
        "tier": site.tier.name,
        "seed": site.seed,
        "commit": commit(),
        "seconds": round(outcome.seconds, 1),
    }
    if case is not None:
        told |= _payments(case) | _clean(case)
        told["in_case_resolved"] = outcome.resolved
        told["cases_closed"] = outcome.closed
        waits = times_to_detect(case)
        told["max_time_to_detect"] = max(waits, default=None)
        told["detected"] = len(waits)
        told["detected_late"] = sum(wait > DETECT_SECONDS for wait in waits)
        told["faults_by_id"], told["partner_lies_by_id"] = _lies(case)
    if director is not None:
        told |= _breaks(director.orders.done(), director.counts, outcome)
        own = _own_faults(director.counts, outcome.dropped)
        told["faults_by_id"] = {**own, **told.get("faults_by_id", {})}
        told |= missing(site.tier, told)
    told["per_state"] = _state_times(outcome.state_times)
    told |= outcome.findings.figures()
    told |= _checked(outcome, told)
    told["rebuild_differences"] = len(outcome.rebuilt)
    told["time_to_drain"] = round(outcome.drain_seconds, 1) if outcome.drain_seconds else None
    told["broken"] = outcome.broken
    told["violations"] = {k: v[:20] for k, v in outcome.findings.by_figure.items() if v}
    told["rebuilt"] = outcome.rebuilt[:20]
    return told


def _checked(outcome: Outcome, told: dict[str, Any]) -> dict[str, Any]:
    """Return the checker's figures; of a figure that both judges have, the worse one counts."""
    checked = outcome.checker
    if checked is None:
        return {"invariants": {}}
    worse = {name: max(told.get(name, 0), n) for name, n in checked["figures"].items()}
    return {
        **worse,
        "checker_version": checked["checker_version"],
        "invariants": checked["invariants"],
        "partner_breach": checked["apart"].get("partner_breach", 0),
        "pii_leak": checked["invariants"].get("INV-30"),
        "not_judged": checked["not_applicable"],
        "examples": checked["examples"],
    }


def _state_times(rows: list[Any]) -> dict[str, dict[str, float]]:
    """Return the median and the 99th percentile of the seconds spent in each state."""
    spent: dict[str, list[float]] = {}
    for row in rows:
        spent.setdefault(row["before"], []).append(row["seconds"])
    return {
        state: {"p50": _quantile(each, 0.5), "p99": _quantile(each, 0.99), "n": len(each)}
        for state, each in sorted(spent.items())
    }


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3)


def _payments(case: Case) -> dict[str, Any]:
    states = Counter(payment["state"] for payment in case.payments.values())
    return {
        "payments_attempted": sum(told.asked for told in case.told.values()),
        "accepted": sum(told.acknowledged for told in case.told.values()),
        **{state.value: states[state.value] for state in PaymentState if states[state.value]},
        "rejected": states["failed"] + states["refused"],
        "in_case": sum(1 for payment_id in case.open_cases if payment_id),
        "cases_by_kind": dict(Counter(each["kind"] for each in case.all_cases)),
    }


def _clean(case: Case) -> dict[str, Any]:
    """Return of each bank how many payouts it did nothing wrong with, and how many were unknown."""
    asked = {each["payment_id"] for each in case.all_cases if each["kind"] == "outcome_unknown"}
    clean = list(case.clean())
    unknown = [payment for payment in clean if payment["id"] in asked]
    return {
        "clean_payouts": dict(Counter(payment["partner"] for payment in clean)),
        "clean_unknown": dict(Counter(payment["partner"] for payment in unknown)),
    }


def times_to_detect(case: Case) -> list[float]:
    """Return for each case of a bank's movement the seconds since the last movement before it."""
    moved = case.lines()
    found = [
        (opened["opened_at"], moved[opened["payment_id"]])
        for opened in case.all_cases
        if opened["kind"] in FOUND_OUT and opened["payment_id"]
    ]
    nobodys: dict[tuple[str, str], list[BankLine]] = defaultdict(list)
    for line in case.nobodys():
        nobodys[line.partner, line.reference].append(line)
    found += [(at, nobodys[partner, reference]) for partner, reference, at in case.strays_found]
    return [
        round((opened_at - max(before)).total_seconds(), 1)
        for opened_at, lines in found
        if (before := [line.booked_at for line in lines if line.booked_at <= opened_at])
    ]


def _lies(case: Case) -> tuple[dict[str, int], dict[str, int]]:
    by_name = Counter(
        name for book in case.banks.values() for names in book.tries.values() for name in names
    )
    by_id = {
        fault: sum(by_name[name] for name in names)
        for fault, names in FAULTS.items()
        if any(by_name[name] for name in names)
    }
    return by_id, dict(sorted(by_name.items()))


def _breaks(done: Counter[Any], counts: Counter[str], outcome: Outcome) -> dict[str, Any]:
    per_k = {point: {"hard": done[point, "hard"], "soft": done[point, "soft"]} for point in POINTS}
    proxy = {name.removeprefix("proxy_"): n for name, n in counts.items() if "proxy_" in name}
    return {
        "hard_kills": sum(n for (_, how), n in done.items() if how == "hard"),
        "soft_kills": sum(n for (_, how), n in done.items() if how == "soft"),
        "per_K": per_k,
        "not_built_K": MISSING_POINTS,
        "orders_missed": len(outcome.missed_orders),
        "db_restarts": counts["db_restarts"],
        "server_restarts": counts["server_restarts"],
        "sigstops": counts["sigstops"],
        "pauses": counts["pauses"],
        "other_kills": {n: c for n, c in counts.items() if n.endswith("_kills")},
        "proxy_faults": proxy,
        "answers_dropped": {link: n for link, n in outcome.dropped.items() if n},
    }


def _own_faults(counts: Counter[str], dropped: dict[str, int]) -> dict[str, int]:
    storms = sum(n for name, n in counts.items() if name.startswith("proxy_"))
    return {
        "D1": counts["db_restarts"],
        "D2": sum(n for link, n in dropped.items() if link.endswith("_db")),
        "T1": counts["server_restarts"],
        "K+": counts["sigstops"],
        "N1": storms,
    }


def commit() -> str:
    """Return which code is tried."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


JUDGED = frozenset({"faults_missed", "detected_late", "clean_payouts", "invariants"})
"""What is judged of a part that came to its end, beside the figures that have to be 0 or rare."""


def lacking(part: dict[str, Any]) -> set[str]:
    """Return what a part does not tell: one of before, by a battery that looked at less."""
    return set() if part["broken"] else set(JUDGED - part.keys())


def merged(parts: list[dict[str, Any]], planned: int) -> dict[str, Any]:
    """Return the figures of a run that was done in parts: counts are added up.

    Args:
        parts: The reports of those that were done.
        planned: How many parts the whole run has.
    """
    whole = dict(parts[0])
    for part in parts[1:]:
        for name, value in part.items():
            whole[name] = _added(whole.get(name), value, name)
    whole["parts"], whole["parts_planned"] = len(parts), planned
    if not whole["broken"]:
        whole |= missing(TIERS[whole["tier"]], whole, (len(parts), planned))
    return whole


_KEPT = frozenset({"seed", "tier", "not_built_K", "not_judged", "parts_planned"})


def _added(mine: Any, other: Any, name: str) -> Any:
    if mine is None or name in _KEPT:
        return other
    if name in ("commit", "checker_version"):  # a run whose parts were of several says so
        return mine if other in mine.split("+") else f"{mine}+{other}"
    if name in ("time_to_drain", "max_time_to_detect"):
        return max(mine, other or 0)
    if name == "per_state":
        return {
            state: max(
                (each.get(state, {"p99": 0}) for each in (mine, other)),
                key=lambda times: times["p99"],
            )
            for state in {**mine, **other}
        }
    if isinstance(mine, dict):
        return {key: _added(mine.get(key), other.get(key, 0), key) for key in {**mine, **other}}
    if isinstance(mine, list):
        return [*mine, *(other or [])]
    return mine + (other or 0) if isinstance(mine, int | float) else other


def save(folder: Path, told: dict[str, Any]) -> None:
    """Write the report beside the run's logs."""
    (folder / "report.json").write_text(json.dumps(told, indent=2) + "\n")


def show(told: dict[str, Any], console: Console) -> None:
    """Print the report for people."""
    title = f"Fault battery: {told['tier']}, seed {told['seed']}"
    if told["parts"] < told["parts_planned"]:
        title += f", {told['parts']} of {told['parts_planned']} parts"
    table = Table(title=title, show_header=False)
    for name, value in told.items():
        if name in APART:
            continue
        bad = name in ZEROS and value
        table.add_row(name, f"[red]{value}[/red]" if bad else f"{value}")
    points = Table("point", "where", "hard", "soft", title="Deaths by crash point")
    for point, counts in told.get("per_K", {}).items():
        points.add_row(point, POINTS[point], str(counts["hard"]), str(counts["soft"]))
    for point, why in MISSING_POINTS.items():
        points.add_row(point, why, "-", "-")
    console.print(table)
    console.print(points)
    for figure, found in {**told.get("violations", {}), **told.get("examples", {})}.items():
        for what in found:
            console.print(f"[red]{figure}[/red] {what}")
    console.print("[green]passed[/green]" if passed(told) else "[red]FAILED[/red]")
