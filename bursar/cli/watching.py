"""`bursar watch`: a payment's life as it happens, until its end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bursar.cli import options, session
from bursar.cli.codes import ExitCode
from bursar.cli.connection import Connection
from bursar.cli.output import cell, console, moment, print_json, state_cell
from bursar.errors import PaymentNotFound, ServiceUnavailable
from bursar.payments import FINAL, PaymentState
from bursar.views import PaymentView, TimelineEntry

if TYPE_CHECKING:  # it takes longer to import than a wrong option takes to refuse
    from bursar.reader import Reader

PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 3.0
"""Between two looks: short at first, longer while nothing happens."""

APPEARS_WITHIN_SECONDS = 10
"""A payment that was sent just now may not stand in the register yet."""

SILENCE_SECONDS_MAX = 60
"""How long the gateway may be away before watching ends."""


def watch(
    context: typer.Context,
    payment_id: options.AnyId,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", min=0, metavar="SECONDS", help="Stop watching after so long (code 6)."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Watch a payment until it has ended.

    Ends with code 0 when the money has arrived, and 1 when it has not. With
    --json: one document a line for each thing that happens, then {"end": …}.
    """
    session.checked_id(payment_id)
    connection = session.connection_of(context)
    show = _show_json if as_json else _show
    view = session.run(_watch(connection, payment_id, timeout, show))
    if as_json:
        print_json({"end": view.payment.model_dump(mode="json")})
    else:
        console().print(
            Text.assemble((view.payment.id, "bold"), "  ", state_cell(view.payment.state))
        )
    raise typer.Exit(
        ExitCode.OK if view.payment.state is PaymentState.SETTLED else ExitCode.REFUSED
    )


def _show(entry: TimelineEntry) -> None:
    line = Text.assemble((moment(entry.at), "dim"), "  ", cell(entry.text), "  ")
    line.append(cell(f"by {entry.actor}", "dim"))
    if entry.reason:
        line.append(cell(f": {entry.reason}", "dim"))
    console().print(line, soft_wrap=True)
    sys.stdout.flush()


def _show_json(entry: TimelineEntry) -> None:
    print_json(entry)
    sys.stdout.flush()


async def _watch(
    connection: Connection,
    payment_id: str,
    patience_seconds: float | None,
    show: Callable[[TimelineEntry], None],
) -> PaymentView:
    shown: set[TimelineEntry] = set()
    try:
        async with asyncio.timeout(patience_seconds), session.reader(connection) as reader:
            async for view in _looks(reader, payment_id):
                for entry in view.timeline:
                    if entry not in shown:
                        shown.add(entry)
                        show(entry)
                if view.payment.state in FINAL:
                    return view
    except TimeoutError as error:
        raise ServiceUnavailable(
            f"{payment_id} has not ended within {patience_seconds:g} s; it goes on by itself"
        ) from error
    raise AssertionError("looking never ends by itself")


async def _looks(reader: Reader, payment_id: str) -> AsyncIterator[PaymentView]:
    """Look at a payment again and again; short absences of the gateway are waited out."""
    started = answered = time.monotonic()
    known: PaymentView | None = None
    pause = PAUSE_SECONDS
    while True:
        try:
            view = await reader.payment(payment_id)
        except PaymentNotFound:
            if known or time.monotonic() - started > APPEARS_WITHIN_SECONDS:
                raise
        except ServiceUnavailable:
            if known is None or time.monotonic() - answered > SILENCE_SECONDS_MAX:
                raise
        else:
            answered = time.monotonic()
            pause = PAUSE_SECONDS if view != known else min(pause * 1.3, PAUSE_SECONDS_MAX)
            known = view
            yield view
        await asyncio.sleep(pause)
