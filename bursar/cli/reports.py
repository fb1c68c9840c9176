"""Reports for people: what became of a file."""

from __future__ import annotations

from bursar.cli.output import amount, cell, console, table
from bursar.cli.sending import Outcome, Report

_WORDS = {
    Outcome.GOOD: ("would be sent", "green"),
    Outcome.STARTED: ("started", "green"),
    Outcome.EXISTED: ("sent before; not again", "cyan"),
    Outcome.REPEATED: ("repeated in the file; once is enough", "cyan"),
    Outcome.CONFLICT: ("conflict: same id, other content", "red"),
    Outcome.FAILED: ("refused as it was sent", "red"),
    Outcome.UNKNOWN: ("no answer: may have started", "yellow"),
    Outcome.NOT_SENT: ("not tried", "yellow"),
}

_NEWS = frozenset({Outcome.CONFLICT, Outcome.FAILED})
"""Outcomes whose lines are named one by one."""

NEWS_SHOWN_MAX = 100


def print_report(report: Report) -> None:
    """Print what became of a file: troubles line by line, then counts and sums."""
    _print_troubles(report)
    out = console()
    counts = table("lines", ("", "right"), title=report.file)
    for outcome, (words, style) in _WORDS.items():
        count = report.counts().get(outcome.value)
        if count:
            counts.add_row(cell(words, style), str(count))
    if report.refused:
        counts.add_row(cell("refused: see above", "red"), str(len(report.refused)))
    out.print(counts if counts.row_count else f"{report.file} holds no payments.")
    out.print()
    sums = table("currency", ("payments", "right"), ("sum", "right"))
    for currency, (count, minor) in report.sums().items():
        sums.add_row(currency, str(count), amount(minor, currency))
    if sums.row_count:
        out.print(sums)
        out.print()
    out.print(_what_next(report))


def _print_troubles(report: Report) -> None:
    rows = [
        (bad.number, bad.id, fault.field, f"{fault.reason} [{fault.code}]")
        for bad in report.refused
        for fault in bad.faults
    ]
    rows += [
        (sent.line, sent.id, "id" if sent.outcome is Outcome.CONFLICT else None, sent.detail)
        for sent in report.sent
        if sent.outcome in _NEWS
    ]
    if not rows:
        return
    shown = table("line", "id", "field", ("reason", "fold"), title="Not sent")
    for line, payment_id, field, reason in sorted(rows, key=lambda row: row[0])[:NEWS_SHOWN_MAX]:
        shown.add_row(
            cell(f"{report.file}:{line}"), cell(payment_id), cell(field, "bold"), cell(reason)
        )
    out = console()
    out.print(shown)
    out.print()
    advice = {fault.code: fault.what_to_do for bad in report.refused for fault in bad.faults}
    for code, what_to_do in sorted(advice.items()):
        out.print(f"{code}: {what_to_do}", style="dim", soft_wrap=True)
    if advice:
        out.print()
    if len(rows) > NEWS_SHOWN_MAX:
        out.print(f"… and {len(rows) - NEWS_SHOWN_MAX} more; --json has them all.\n")


def _what_next(report: Report) -> str:
    counts = report.counts()
    if Outcome.UNKNOWN.value in counts or Outcome.NOT_SENT.value in counts:
        return (
            "Temporal stopped answering. Send the same file again when it is back: "
            "what has started is not started twice."
        )
    if report.check:
        return "Nothing was sent: this was a check."
    if report.refused or Outcome.CONFLICT.value in counts:
        return "Correct what was not sent and send the file again: nothing goes twice."
    if counts:
        return "Look on with `bursar payouts list`, `bursar transfers list` or `bursar watch ID`."
    return "There was nothing to send."
