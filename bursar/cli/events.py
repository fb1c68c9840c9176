"""`bursar events …`: what partners told, what was set aside, and how it is brought back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from bursar.cli import options, session
from bursar.cli.codes import ExitCode
from bursar.cli.connection import Connection
from bursar.cli.options import examples
from bursar.cli.output import cell, console, moment, print_json, short, table
from bursar.errors import InvalidRequest
from bursar.views import EventPage, Redriven

app = typer.Typer(no_args_is_help=True, help="What partners told us: list, bring back.")


@app.command(
    "list",
    epilog=examples(
        "bursar events list --set-aside",
        "bursar events list --payment po_invoice_0007 --json",
    ),
)
def list_(
    context: typer.Context,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", metavar="", help="Only those that wait for a person.")
    ] = False,
    partner: options.Partner = None,
    payment: Annotated[
        str | None, typer.Option("--payment", metavar="ID", help="Only about this payment.")
    ] = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    as_json: options.Json = False,
) -> None:
    """List partners' events, the newest first, a page at a time."""
    wanted = {"partner": partner, "payment_id": payment, "cursor": cursor}
    connection = session.connection_of(context)
    page = session.run(_page(connection, wanted, set_aside=set_aside, limit=limit))
    if as_json:
        print_json(page)
        return
    out = console()
    if not page.events:
        out.print("No event is set aside." if set_aside else "No events match.")
        return
    out.print(_list(page))
    if page.next_cursor:
        out.print()
        out.print(f"More: --cursor {page.next_cursor}", style="dim", soft_wrap=True)


@app.command(epilog=examples("bursar events redrive 4711 4712", "bursar events redrive --all"))
def redrive(
    context: typer.Context,
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID...", min=1, help="Events' numbers.", show_default=False),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", metavar="", help="All that are set aside.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Bring events back that were set aside, once the cause is mended.

    Each still counts once, so that a repeat is safe. Code 1 if none was set aside.
    """
    if bool(ids) == every:
        raise InvalidRequest("give the events' numbers, or --all", field="ids")
    done = session.run(_redrive(session.connection_of(context), None if every else ids))
    if as_json:
        print_json(done)
    elif done.ids:
        console().print(cell(f"✓ brought back: {', '.join(map(str, done.ids))}", "green"))
    else:
        console().print("None of them is set aside.")
    raise typer.Exit(ExitCode.OK if done.ids else ExitCode.REFUSED)


def _list(page: EventPage) -> Table:
    shown = table(
        ("id", "right"),
        "kind",
        ("payment", "fold"),
        ("received (UTC)", "fold"),
        ("failures", "right"),
        ("what became of it", "fold"),
    )
    for event in page.events:
        became = "waits"
        if event.set_aside_at is not None and event.applied_at is None:
            became = f"set aside: {event.last_error}"
        elif event.applied_at is not None:
            became = event.verdict or "applied"
        shown.add_row(
            str(event.id),
            cell(event.kind),
            short(event.payment_id or event.reference or ""),
            short(moment(event.received_at)),
            str(event.failures or ""),
            short(became),
        )
    return shown


async def _page(
    connection: Connection, wanted: dict[str, str | None], *, set_aside: bool, limit: int
) -> EventPage:
    async with session.reader(connection) as reader:
        return await reader.events(set_aside=set_aside, limit=limit, **wanted)


async def _redrive(connection: Connection, ids: list[int] | None) -> Redriven:
    async with session.reader(connection) as reader:
        return await reader.redrive_events(ids)
