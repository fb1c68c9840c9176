"""What the person at the terminal sees of the summary: tables, a verdict, and where to look."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bursar.cli.output import amount, cell, state_cell, table
from bursar.payments import PaymentState
from ops.stack import CALLS_FOR_PEOPLE, Addresses, ui_filter
from ops.summary import Summary

SHOWN_MAX = 20
BURSAR = os.path.relpath(Path(sys.executable).parent / "bursar")
"""The command as it can be typed in this directory."""


def show_summary(console: Console, summary: Summary, acts: Mapping[str, str]) -> None:
    """Print the whole summary."""
    _show_states(console, summary)
    _show_sums(console, summary)
    _show_people(console, acts)
    _show_cases(console, summary)
    _show_speed(console, summary)
    _show_books(console, summary)
    _show_verdict(console, summary)


def _print(console: Console, shown: Table) -> None:
    console.print()  # a table's title follows the last line of the one before otherwise
    console.print(shown)


def _show_states(console: Console, summary: Summary) -> None:
    kinds = ("payout", "transfer")
    counts: dict[PaymentState, dict[str, int]] = {}
    for _, state, kind, payments, _ in summary.sums:
        row = counts.setdefault(state, dict.fromkeys(kinds, 0))
        row[kind] += payments
    shown = table("state", ("payouts", "right"), ("transfers", "right"), title="Payments by state")
    for state in PaymentState:
        if state in counts:
            shown.add_row(state_cell(state), *(str(counts[state][kind]) for kind in kinds))
    _print(console, shown)


def _show_sums(console: Console, summary: Summary) -> None:
    present = {state for _, state, _, _, _ in summary.sums}
    states = [state for state in PaymentState if state in present]
    columns = [(state.value, "right") for state in states]
    shown = table("currency", *columns, title="Sums by currency and state")
    for currency, sums in summary.sums_by_currency.items():
        cells = [amount(sums[s.value], currency) if s.value in sums else "" for s in states]
        shown.add_row(currency, *cells)
    _print(console, shown)


def _show_people(console: Console, acts: Mapping[str, str]) -> None:
    shown = table("payment", "act", "by", "answer", title="What people did")
    for key, answer in acts.items():
        payment, verb, by = key.split(" ")
        shown.add_row(payment, verb, by, answer)
    _print(console, shown)


def _show_cases(console: Console, summary: Summary) -> None:
    if not summary.cases:
        return
    shown = table("payment", "case", ("what", "fold"), title="Open cases, for a person to look at")
    for payment, kind, detail in summary.cases[:SHOWN_MAX]:
        shown.add_row(cell(payment or "none"), cell(kind), cell(detail))
    _print(console, shown)


def _show_speed(console: Console, summary: Summary) -> None:
    latency, events = summary.latency_ms, summary.events_max
    shown = table("measure", ("value", "right"), title="Speed and cost")
    shown.add_row("median, from sending to the end", _or_none(latency["p50"], "ms"))
    shown.add_row("99 of 100 payments within", _or_none(latency["p99"], "ms"))
    shown.add_row("payouts ended per second", _or_none(summary.payouts_per_second, ""))
    shown.add_row("longest history of a payout", _or_none(events["payout"], "events"))
    shown.add_row("longest history of a transfer", _or_none(events["transfer"], "events"))
    shown.add_row("all in all", f"{summary.seconds_total:.1f} s")
    _print(console, shown)


def _or_none(value: float | None, unit: str) -> str:
    return "none yet" if value is None else f"{value:,} {unit}".strip()


def _show_books(console: Console, summary: Summary) -> None:
    shown = table(
        "currency",
        ("trial balance", "right"),
        ("lines, ours", "right"),
        ("lines, bank", "right"),
        ("balance, ours", "right"),
        ("balance, bank", "right"),
        "",
        title="Our books against the bank's own book",
    )
    for tie in summary.comparison.ties:
        shown.add_row(
            tie.currency,
            str(summary.books.trial_balance.get(tie.currency, 0)),
            str(tie.lines_ours),
            str(tie.lines_bank),
            amount(tie.balance_ours, tie.currency),
            amount(tie.balance_bank, tie.currency),
            Text("agree", "green") if tie.agrees else Text(f"{tie.differences} differ", "red"),
        )
    _print(console, shown)
    for each in summary.comparison.differences[:SHOWN_MAX]:
        money = f"{amount(each.amount_minor, each.currency)} {each.currency}"
        console.print(cell(f"  only in {each.side}: {each.subject} {money}", "red"))
    for broken in summary.books.breaks[:SHOWN_MAX]:
        console.print(cell(f"  {broken.check}: {broken.where}: {broken.detail}", "red"))
    for payment, state in list(summary.unfinished.items())[:SHOWN_MAX]:
        console.print(cell(f"  unfinished: {payment} is {state}", "red"))


def _show_verdict(console: Console, summary: Summary) -> None:
    if summary.good:
        words = "Books and bank agree to the cent, every currency sums to zero, no payment is open."
        waiting = f" {len(summary.cases)} cases wait for a person." if summary.cases else ""
        console.print(Text(f"✓ {words}{waiting}", "bold green"))
        return
    reasons = [
        (summary.comparison.mismatches, "lines differ between our books and the bank's"),
        (len(summary.books.breaks), "invariants of the books are broken"),
        (sum(map(bool, summary.books.trial_balance.values())), "currencies do not sum to zero"),
        (len(summary.unfinished), "payments are unfinished"),
    ]
    said = "; ".join(f"{count} {what}" for count, what in reasons if count)
    console.print(Text(f"✗ {said}", "bold red"))


def show_where_to_look(console: Console, addresses: Addresses, logs: str) -> None:
    """Print links and commands for going on by hand."""
    waiting = ui_filter(addresses.ui_url, CALLS_FOR_PEOPLE)
    lines = {
        "All payments in Temporal": ui_filter(addresses.ui_url, 'PaymentKind = "payout"'),
        "Running ones that need a person": waiting,
        "Gateway's API": f"{addresses.gateway_url}/openapi.json",
        "Logs": logs,
        "One payment": f"{BURSAR} payouts show po_two_approvals",
        "Lists": f"{BURSAR} payouts list --state failed",
        "All that needs a person": f"{BURSAR} cases list",
        "The books": f"{BURSAR} accounts   and   {BURSAR} books check",
    }
    shown = table("where to look", ("", "fold"))
    for what, where in lines.items():
        shown.add_row(what, where)
    _print(console, shown)
