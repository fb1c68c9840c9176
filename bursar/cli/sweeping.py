"""`bursar sweep`: compare register and runs now, and show what came of it."""

from __future__ import annotations

import typer

from bursar.cli import options, session
from bursar.cli.codes import ExitCode
from bursar.cli.connection import Connection
from bursar.cli.output import cell, console, print_json, short, table
from bursar.sweeps import Found, SweepReport


def sweep(context: typer.Context, as_json: options.Json = False) -> None:
    """Compare every payment that has not ended with its run, now; code 1 if people have to look.

    A payment whose run is gone gets a new one, which goes on where the
    register says. What is past its time, or fails again and again, gets a
    case. Temporal does the same by itself each minute.
    """
    report = session.run(_sweep(session.connection_of(context)))
    if as_json:
        print_json(report)
    else:
        _print(report)
    calm = not (report.runs.wedged.number or report.runs.unreadable.number or report.behind)
    calm = calm and not (report.unregistered.number or report.stuck.number)
    raise typer.Exit(ExitCode.OK if calm else ExitCode.REFUSED)


def _print(report: SweepReport) -> None:
    out = console()
    runs = report.runs
    shown = table("what", ("number", "right"), ("which", "fold"))
    rows: list[tuple[str, Found]] = [
        ("given a new run: the old one was gone or had ended", runs.adopted),
        (
            "given a new run: the old one was near its limits, or the books are behind it",
            runs.renewed,
        ),
        ("run fails again and again (case)", runs.wedged),
        ("stored request cannot be read (case)", runs.unreadable),
        ("past its time (case)", report.stuck),
        ("run without a payment in the register", report.unregistered),
    ]
    for what, found in rows:
        shown.add_row(cell(what), cell(str(found.number)), short(", ".join(found.names)))
    out.print(shown)
    place = " More are looked at by the next sweep." if runs.next else ""
    out.print(f"{runs.looked_at} payments were looked at.{place}")
    if report.behind:
        out.print(cell(f"All sending is stopped: {report.behind}", "bold red"))


async def _sweep(connection: Connection) -> SweepReport:
    bursar = await session.bursar(connection)
    return await bursar.sweep()
