"""Sending a file, as a command: read it, plan it, start it with progress, and report."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bursar.cli import files, sending, session
from bursar.cli.connection import Connection
from bursar.cli.files import Form, Line, Refused
from bursar.cli.output import console, print_json
from bursar.cli.reports import print_report
from bursar.errors import InvalidRequest
from bursar.payments import PayoutRequest, TransferRequest

if TYPE_CHECKING:
    from bursar.client import Bursar, PaymentHandle

_T = TypeVar("_T", bound=PayoutRequest | TransferRequest)

Reading: TypeAlias = tuple[list[Line[_T]], list[Refused]]
Start: TypeAlias = "Callable[[Bursar, _T], Awaitable[PaymentHandle]]"


def source(file: str, form: Form | None) -> tuple[str, bytes, Form]:
    """Return a file's name, its bytes and how it is written; "-" is standard input.

    Raises:
        InvalidRequest: The file cannot be read, or nothing says how it is written.
    """
    if file == "-":
        if form is None:
            raise InvalidRequest("say how standard input is written: --format csv or jsonl")
        return "stdin", sys.stdin.buffer.read(), form
    path = Path(file)
    return path.name, files.content(path), form or files.form_of(path)


def send_file(
    context: typer.Context,
    file: str,
    reading: Reading[_T],
    start: Start[_T],
    *,
    check: bool,
    as_json: bool,
) -> None:
    """Send what was read from a file, or only report on it, and end with the report's code."""
    lines, refused = reading
    plan = sending.plan(lines)
    if check:
        answers = sending.checked(plan.lines)
    elif plan.lines:
        connection = session.connection_of(context)
        answers = session.run(_send(connection, plan.lines, start, quiet=as_json))
    else:
        answers = []
    report = sending.report(file, check=check, sent=[*answers, *plan.set_aside], refused=refused)
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report)
    raise typer.Exit(report.exit_code)


async def _send(
    connection: Connection, lines: Sequence[Line[_T]], start: Start[_T], *, quiet: bool
) -> list[sending.Sent]:
    bursar = await session.bursar(connection)

    async def existed(request: _T) -> bool:
        return (await start(bursar, request)).existed

    with _progress(len(lines), quiet=quiet) as advance:
        return await sending.send(lines, existed, advance)


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show how far the sending is, where a person looks on; give what to call at each answer."""
    stderr = console(sys.stderr)
    columns = (
        TextColumn("sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    disable = quiet or not stderr.is_terminal
    with Progress(*columns, console=stderr, transient=True, disable=disable) as shown:
        task = shown.add_task("sending", total=total)
        yield lambda: shown.advance(task)
