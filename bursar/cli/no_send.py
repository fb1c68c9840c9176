"""`bursar no-send …`: what has to be compared before sending goes on, and on again."""

from __future__ import annotations

import typer

from bursar.cli import options, session
from bursar.cli.connection import Connection
from bursar.cli.options import examples
from bursar.cli.output import cell, console, moment, print_json, short, table
from bursar.gate import Scope, SwitchBody
from bursar.views import NoSend

app = typer.Typer(
    no_args_is_help=True,
    help="No-send mode: nothing leaves for any partner until a person has compared.",
)


@app.command(epilog=examples("bursar no-send show", "bursar no-send show --json | jq .forgotten"))
def show(context: typer.Context, as_json: options.Json = False) -> None:
    """Show whether all sending is stopped, by whom, why, and what has to be compared."""
    _print(session.run(_show(session.connection_of(context))), as_json=as_json)


@app.command(epilog=examples('bursar no-send leave --reason "compared with the bank, ticket 4711"'))
def leave(context: typer.Context, reason: options.Reason, as_json: options.Json = False) -> None:
    """Let sending go on, as the holder of an administrator's token.

    Compare first: `bursar no-send show` lists what partners have booked and
    the books had forgotten. Each of those asks its partner before it is sent.
    """
    _print(session.run(_leave(session.connection_of(context), reason)), as_json=as_json)


def _print(told: NoSend, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    out = console()
    if told.stopped:
        since = f"since {moment(told.paused_at)} UTC by {told.paused_by}"
        out.print(cell(f"All sending is stopped {since}", "bold red"))
        out.print(cell(told.reason))
    else:
        out.print("Sending goes on.")
    if not told.forgotten:
        return
    shown = table("sent, and not known here", "partner", ("seen", "fold"), "state")
    for send in told.forgotten:
        state = send.state.value if send.state else "no such payment"
        shown.add_row(cell(send.attempt_key), cell(send.partner), short(send.evidence), cell(state))
    out.print(shown)


async def _show(connection: Connection) -> NoSend:
    async with session.reader(connection) as reader:
        return await reader.no_send()


async def _leave(connection: Connection, reason: str) -> NoSend:
    async with session.reader(connection) as reader:
        await reader.resume(SwitchBody(scope=Scope.ALL, reason=reason))
        return await reader.no_send()
