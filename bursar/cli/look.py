"""Looking: one payment in full, or a page of them, read from the gateway."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

import typer
from rich.table import Table
from rich.text import Text

from bursar.cli import session
from bursar.cli.connection import Connection
from bursar.cli.output import (
    amount,
    cell,
    console,
    moment,
    plain,
    print_json,
    short,
    state_cell,
    table,
)
from bursar.cli.sheet import print_sheet
from bursar.payments import PaymentKind, PaymentState
from bursar.views import PaymentPage, PaymentSummary, PaymentView

WIDE = 110
"""Columns of a terminal from which on a list shows times too."""


@dataclass(frozen=True)
class Wanted:
    """Which payments to list."""

    kind: PaymentKind
    limit: int
    state: PaymentState | None = None
    account: str | None = None
    partner: str | None = None
    tenant: str | None = None
    batch_id: str | None = None
    stuck: bool = False
    cursor: str | None = None

    def command(self, cursor: str) -> str:
        """Return the command that shows the next page."""
        options = {
            "--state": self.state,
            "--account": self.account,
            "--partner": self.partner,
            "--tenant": self.tenant,
            "--batch": self.batch_id,
            "--limit": str(self.limit),
            "--cursor": cursor,
        }
        words = [word for name, value in options.items() if value for word in (name, value)]
        stuck = ["--stuck"] if self.stuck else []
        return shlex.join(["bursar", f"{self.kind}s", "list", *stuck, *words])


_Column = tuple[str, Callable[[PaymentSummary], Text]]
_DUE: list[_Column] = [
    ("due (UTC)", lambda one: short(moment(one.due_at))),
    ("next", lambda one: short(one.next_action)),
]


def show(context: typer.Context, payment_id: str, *, prefix: str, as_json: bool) -> None:
    """Show one payment."""
    session.checked_id(payment_id, prefix)
    connection = session.connection_of(context)
    view = session.run(_payment(connection, payment_id))
    if as_json:
        print_json(view)
    else:
        print_sheet(view, connection)


def list_page(context: typer.Context, wanted: Wanted, *, as_json: bool) -> None:
    """List a page of payments."""
    page = session.run(_page(session.connection_of(context), wanted))
    if as_json:
        print_json(page)
        return
    out = console()
    if not page.payments:
        out.print(f"No {wanted.kind}s match.")
        return
    out.print(_list(page, out.width, stuck=wanted.stuck))
    if page.next_cursor:
        out.print()
        out.print(f"More: {wanted.command(page.next_cursor)}", style="dim", soft_wrap=True)


def _list(page: PaymentPage, width: int, *, stuck: bool) -> Table:
    """Return the page as a table of one line each, with the columns that the width allows."""
    with_code = any(payment.code for payment in page.payments)
    columns: list[_Column] = [
        *([("why", lambda one: short(one.code))] if with_code else []),
        *(_DUE if stuck else []),
        ("account", lambda one: short(one.account)),
        ("reference", lambda one: short(one.reference)),
        *([("created (UTC)", lambda one: short(moment(one.created_at)))] if width >= WIDE else []),
    ]
    shown = table("id", "state", ("amount", "right"), *((name, "fold") for name, _ in columns))
    for payment in page.payments:
        shown.add_row(
            cell(payment.id),
            state_cell(payment.state),
            f"{amount(payment.amount_minor, payment.currency)} {plain(payment.currency)}",
            *(show(payment) for _, show in columns),
        )
    return shown


async def _payment(connection: Connection, payment_id: str) -> PaymentView:
    async with session.reader(connection) as reader:
        return await reader.payment(payment_id)


async def _page(connection: Connection, wanted: Wanted) -> PaymentPage:
    async with session.reader(connection) as reader:
        return await reader.payments(
            state=wanted.state,
            kind=wanted.kind,
            tenant=wanted.tenant,
            account=wanted.account,
            partner=wanted.partner,
            batch_id=wanted.batch_id,
            stuck=wanted.stuck or None,
            cursor=wanted.cursor,
            limit=wanted.limit,
        )
