"""The command `bursar`: its commands, its options, and how every error ends."""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import version
from typing import Annotated, NoReturn, TextIO, cast

import typer
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.rich_utils import rich_format_error

from bursar.cli import (
    accounts,
    acting,
    books,
    cases,
    events,
    gate,
    no_send,
    options,
    payouts,
    sweeping,
    transfers,
    watching,
)
from bursar.cli.codes import MEANING, ExitCode, code_of
from bursar.cli.options import examples
from bursar.cli.output import Forgiving, console, plain, print_json, table
from bursar.errors import BursarError, InvalidRequest
from bursar.exit import leave

WHAT_TO_DO = {
    ExitCode.NOT_FOUND: "It may not have been registered yet: look again in a moment, or look "
    "through `bursar payouts list`, `bursar transfers list` or `bursar cases list --all`.",
    ExitCode.NOT_AUTHORISED: "Give another token with --token or BURSAR_TOKEN; what each may do "
    "stands in the gateway's tokens file.",
    ExitCode.UNAVAILABLE: "Start it (`make run`), or correct the address (--temporal, --gateway, "
    "BURSAR_…, .bursar/connection.json). Then repeat the same command: money never moves twice.",
    ExitCode.BUG: "Please report it with the lines above. Repeating the command is safe.",
}

HELP = ["--help", "-h"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": HELP},
    epilog=examples(
        "bursar payouts send examples/payouts.csv",
        "bursar payouts list --state in_review",
        "bursar books check",
    )
    + "\n\n\b\n[bold]Exit codes[/bold]   bursar exit-codes tells more"
    "\n  0 done   1 refused   2 wrong input   3 conflict   4 not found"
    "\n  5 not authorised   6 no answer: repeat the same command",
)
app.add_typer(payouts.app, name="payouts")
app.add_typer(transfers.app, name="transfers")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bursar {version('bursar')}")
        raise typer.Exit


@app.callback()
def _root(
    temporal: Annotated[
        str | None,
        typer.Option("--temporal", metavar="HOST:PORT", help="Temporal. BURSAR_TEMPORAL_ADDRESS"),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", metavar="NAME", help="Its namespace. BURSAR_TEMPORAL_NAMESPACE"
        ),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option("--gateway", metavar="URL", help="The gateway. BURSAR_GATEWAY_URL"),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", metavar="TOKEN", help="Your token; better by BURSAR_TOKEN, out of sight."
        ),
    ] = None,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Move money: send payouts and transfers, see where they are, and act on them.

    Sending and acting go through Temporal, reading through the gateway. Where
    they are is taken from these options, else from the environment, else from
    .bursar/connection.json, which `make run` writes in its directory.
    """


app.command(
    epilog=examples(
        "bursar approve po_invoice_0007 --by ana",
        "bursar approve po_invoice_0007   [dim]as the holder of your token[/dim]",
    )
)(acting.approve)
app.command(epilog=examples('bursar deny po_invoice_0007 --by ana --reason "wrong supplier"'))(
    acting.deny
)
app.command(epilog=examples('bursar cancel po_invoice_0007 --by ana --reason "paid by card"'))(
    acting.cancel
)
app.command(
    epilog=examples(
        "bursar resolve po_invoice_0007 --outcome never_moved --by ana \\",
        '  --confirmed-by ben --evidence "bank ticket 4711"',
    )
)(acting.resolve)
app.command(
    epilog=examples(
        "bursar watch po_invoice_0007",
        "bursar watch po_invoice_0007 --timeout 60 --json",
    )
)(watching.watch)
app.command(
    epilog=examples(
        'bursar pause --partner simulator --by ana --reason "bank pays twice"',
        'bursar pause --currency EUR --reason "wrong rates"',
        'bursar pause --all --by ana --reason "stop the line"',
    )
)(gate.pause)
app.command(
    epilog=examples('bursar resume --partner simulator --by ana --reason "bank is well again"')
)(gate.resume)
app.command(epilog=examples("bursar rails", "bursar rails --json"))(gate.rails)
app.add_typer(gate.limits_app, name="limits")
app.add_typer(gate.people_app, name="people")
app.add_typer(accounts.app, name="accounts")
app.add_typer(cases.app, name="cases")
app.add_typer(events.app, name="events")
app.add_typer(books.app, name="books")
app.add_typer(no_send.app, name="no-send")
app.command(epilog=examples("bursar sweep", "bursar sweep --json | jq .stuck"))(sweeping.sweep)


@app.command(epilog=examples("bursar exit-codes", "bursar exit-codes --json"))
def exit_codes(as_json: options.Json = False) -> None:
    """Show what each exit code means; where several apply, the highest one counts."""
    if as_json:
        print_json(
            [
                {"code": int(code), "name": code.name.lower(), "meaning": meaning}
                for code, meaning in MEANING.items()
            ]
        )
        return
    shown = table(("code", "right"), "name", ("meaning", "fold"))
    for code, meaning in MEANING.items():
        shown.add_row(str(int(code)), code.name.lower(), meaning)
    console().print(shown)


def command() -> TyperGroup:
    """Return the whole command line."""
    root = cast(TyperGroup, typer.main.get_command(app))
    _name_no_type_of_help(root)
    return root


def _name_no_type_of_help(told: TyperGroup | TyperCommand) -> None:
    """Let --help look like every other flag, of which our own options name no type either."""
    option = told.get_help_option(typer.Context(told, help_option_names=HELP))
    if option is not None:
        option.metavar = ""
    for each in told.commands.values() if isinstance(told, TyperGroup) else ():
        _name_no_type_of_help(cast(TyperGroup | TyperCommand, each))


def run() -> NoReturn:
    """Run the command line and end the process with its exit code; never returns."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name in any script must never end in a traceback
            stream.reconfigure(errors="replace")
    sys.stdout = cast(TextIO, Forgiving(sys.stdout))
    leave(status_of(sys.argv[1:]))


def status_of(arguments: list[str]) -> int:
    """Run the command line and return its exit code; every error has been told by then."""
    as_json = "--json" in arguments
    try:
        ended = command()(arguments, prog_name="bursar", standalone_mode=False)
    except BursarError as error:
        return _failed(code_of(error), str(error), error.code, as_json, error)
    except typer.TyperException as error:
        rich_format_error(error)  # type: ignore[arg-type]  # typer raises its own subclasses only
        if as_json:
            _print_error(ExitCode.INVALID, error.format_message(), "usage", None)
        return ExitCode.INVALID
    except (KeyboardInterrupt, typer.Abort):
        ended = ExitCode.INTERRUPTED
    except Exception as error:  # the last line of defence: a bug of ours must not pass for success
        traceback.print_exc()
        return _failed(ExitCode.BUG, f"a bug in bursar: {error!r}", "bug", as_json)
    if ended == ExitCode.INTERRUPTED:  # typer gives this code itself where it meets Ctrl-C
        return _failed(ExitCode.INTERRUPTED, "stopped", "interrupted", as_json)
    return ended if isinstance(ended, int) else ExitCode.OK


def _failed(
    code: ExitCode, message: str, word: str, as_json: bool, error: BursarError | None = None
) -> ExitCode:
    """Say on standard error what went wrong and what to do, and give the exit code."""
    faults = error.faults if isinstance(error, InvalidRequest) else ()
    to_do = faults[0].what_to_do if faults else WHAT_TO_DO.get(code)
    said = Text.assemble(("error: ", "bold red"), plain(message))
    stderr = console(sys.stderr)
    stderr.print(said, soft_wrap=True)
    if to_do:
        stderr.print(to_do, style="dim", soft_wrap=True)
    if as_json:
        field = error.field if isinstance(error, InvalidRequest) else None
        _print_error(code, message, word, field, to_do)
    return code


def _print_error(
    code: ExitCode, message: str, word: str, field: str | None, to_do: str | None = None
) -> None:
    told = {"code": word, "message": message, "field": field, "exit_code": int(code)}
    print_json({"error": told | ({"what_to_do": to_do} if to_do else {})})
