"""`bursar books …`: whether the books are right, and a copy for another program to judge."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bursar.cli import options, session
from bursar.cli.codes import ExitCode
from bursar.cli.connection import Connection
from bursar.cli.options import examples
from bursar.cli.output import amount, cell, console, moment, print_json, table
from bursar.errors import InvalidRequest
from bursar.views import BooksReport, CheckRound, CheckRounds

app = typer.Typer(no_args_is_help=True, help="The books: check them, export them.")


class Format(StrEnum):
    """Formats of plain-text accounting."""

    LEDGER = "ledger"
    HLEDGER = "hledger"


@app.command(
    epilog=examples(
        "bursar books check",
        "bursar books check --since-last",
        "bursar books check --json | jq .breaks",
    )
)
def check(
    context: typer.Context,
    since_last: Annotated[
        bool,
        typer.Option(
            "--since-last", metavar="", help="Only what is new since the last round on record."
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Run every check over the books, in one snapshot; code 1 if anything is broken.

    Temporal does so by itself: each minute over what is new, each night over
    everything. See `bursar books rounds`.
    """
    report = session.run(_check(session.connection_of(context), since_last=since_last))
    sound = not report.breaks and not any(report.trial_balance.values())
    if as_json:
        print_json(report)
    else:
        _print(report, sound=sound)
    raise typer.Exit(ExitCode.OK if sound else ExitCode.REFUSED)


@app.command(epilog=examples("bursar books rounds", "bursar books rounds --json | jq .late"))
def rounds(
    context: typer.Context, limit: options.Limit = 10, as_json: options.Json = False
) -> None:
    """Show when the books were last checked; code 1 if that is overdue, or the last broke."""
    found = session.run(_rounds(session.connection_of(context), limit))
    if as_json:
        print_json(found)
    else:
        _print_rounds(found)
    sound = found.late is None and not any(each.breaks for each in found.rounds[:1])
    raise typer.Exit(ExitCode.OK if sound else ExitCode.REFUSED)


@app.command(
    epilog=examples(
        "bursar books export --format hledger --output books.journal",
        "bursar books export --format ledger | ledger -f - balance",
    )
)
def export(
    context: typer.Context,
    form: Annotated[
        Format, typer.Option("--format", help="Which program is to read it.")
    ] = Format.LEDGER,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write here, not to standard output."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Export the whole journal as plain-text accounting."""
    connection = session.connection_of(context)
    journal = session.run(_export(connection, form))
    if output is not None:
        _write(output, journal)
    if as_json:
        where = {"output": str(output)} if output else {"journal": journal.decode()}
        print_json({"format": form.value, "bytes": len(journal), **where})
    elif output is None:
        sys.stdout.buffer.write(journal)
    else:
        console().print(f"Wrote {output}: {len(journal):,} bytes.")


async def _check(connection: Connection, *, since_last: bool) -> BooksReport:
    async with session.reader(connection) as reader:
        return await reader.books_check(since_last=since_last)


async def _rounds(connection: Connection, limit: int) -> CheckRounds:
    async with session.reader(connection) as reader:
        return await reader.check_rounds(limit=limit)


async def _export(connection: Connection, form: Format) -> bytes:
    """Read the whole export before anything is written: half a journal would be a false one."""
    async with session.reader(connection) as reader:
        return b"".join([piece async for piece in reader.books_export(form.value)])


def _write(output: Path, journal: bytes) -> None:
    """Put the journal into a file in one go, so that a reader never finds half of it."""
    partial = output.with_name(f"{output.name}.partial")
    try:
        partial.write_bytes(journal)
        partial.replace(output)
    except OSError as error:
        raise InvalidRequest(
            f"--output: {output} cannot be written: {error.strerror}", field="output"
        ) from error


def _print(report: BooksReport, *, sound: bool) -> None:
    out = console()
    if report.breaks:
        broken = table("check", "where", ("what is wrong", "fold"), title="Breaks")
        for found in report.breaks:
            broken.add_row(cell(found.check, "red"), cell(found.where), cell(found.detail))
        out.print(broken)
        out.print()
    balance = table("currency", ("trial balance", "right"))
    for currency, minor in sorted(report.trial_balance.items()):
        balance.add_row(currency, cell(amount(minor, currency), "red" if minor else "green"))
    if balance.row_count:
        out.print(balance)
        out.print()
    verdict = cell("✓ ", "green") if sound else cell("✗ ", "red")
    verdict.append(
        f"{len(report.checks)} checks, {len(report.breaks)} breaks"
        f" ({moment(report.checked_at)} UTC)"
    )
    if report.scope != "full":
        verdict.append(f", over {report.transactions} new transactions")
    out.print(verdict)


def _print_rounds(found: CheckRounds) -> None:
    out = console()
    shown = table(
        "what", "looked at (UTC)", ("took", "right"), ("new", "right"), ("breaks", "right")
    )
    for each in found.rounds:
        _add_round(shown, each)
    if found.last_full is not None and found.last_full not in found.rounds:
        _add_round(shown, found.last_full)
    if shown.row_count:
        out.print(shown)
    if found.late is not None:
        out.print(cell(f"✗ {found.late}", "bold red"))


def _add_round(shown: Table, each: CheckRound) -> None:
    """Add a row: which books a round has looked at, how they were, and what it found."""
    took = (each.ended_at - each.seen_at).total_seconds()
    shown.add_row(
        cell("all" if each.scope == "full" else "new"),
        cell(moment(each.seen_at)),
        cell(f"{took:.1f} s"),
        cell(f"{each.transactions:,}"),
        cell(each.breaks, "red" if each.breaks else "green"),
    )
