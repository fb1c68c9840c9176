"""`bursar accounts …`: balances, and new accounts for customers."""

from __future__ import annotations

from typing import Annotated

import typer

from bursar.cli import files, options, send_file, session
from bursar.cli.codes import ExitCode
from bursar.cli.connection import Connection
from bursar.cli.files import Line, Refused
from bursar.cli.options import examples
from bursar.cli.output import amount, cell, console, print_json, table
from bursar.views import AccountList, AccountView

ACCOUNTS_AT_ONCE_MAX = 500

app = typer.Typer(
    invoke_without_command=True,
    help="Accounts and their balances; without a command: list.",
    epilog=examples("bursar accounts", "bursar accounts --prefix wallet/acme/"),
)

Prefix = Annotated[
    str | None,
    typer.Option("--prefix", metavar="PATH", help="Only paths that begin so, as wallet/acme/."),
]


@app.callback()
def _default(
    context: typer.Context,
    prefix: Prefix = None,
    tenant: options.Tenant = None,
    as_json: options.Json = False,
) -> None:
    if context.invoked_subcommand is None:
        list_(context, prefix=prefix, tenant=tenant, as_json=as_json)


@app.command(
    "list",
    epilog=examples(
        "bursar accounts list",
        "bursar accounts list --prefix wallet/acme/ --json",
    ),
)
def list_(
    context: typer.Context,
    prefix: Prefix = None,
    tenant: options.Tenant = None,
    as_json: options.Json = False,
) -> None:
    """List accounts with what is booked, held and available, each on its own side."""
    found = session.run(_accounts(session.connection_of(context), prefix, tenant))
    _print(found, "No accounts match.", as_json=as_json)


@app.command(
    "open",
    epilog=examples(
        "bursar accounts open examples/accounts.csv --check",
        "bursar accounts open examples/accounts.csv",
    ),
)
def open_(
    context: typer.Context,
    file: options.File,
    check: options.Check = False,
    form: options.FileForm = None,
    as_json: options.Json = False,
) -> None:
    """Open customers' accounts (wallet/…) out of a file; those that are open stay as they are.

    The file has the columns account and tenant. A column named funding is
    checked and left alone: money comes in through the bank only.
    """
    name, raw, written = send_file.source(file, form)
    lines, refused = files.accounts_in(raw, written, name=name)
    connection = None if check else session.connection_of(context)
    opened = session.run(_open(connection, lines)) if connection and lines else None
    if as_json:
        print_json(_as_json(name, lines, refused, opened, check=check))
    else:
        _print_troubles(refused)
        if opened is not None:
            _print(opened, "", as_json=False)
        verb = "would be open" if check else "are open"
        console().print(f"{len(lines)} accounts {verb}; {len(refused)} lines refused.")
    raise typer.Exit(ExitCode.INVALID if refused else ExitCode.OK)


async def _accounts(connection: Connection, prefix: str | None, tenant: str | None) -> AccountList:
    async with session.reader(connection) as reader:
        return await reader.accounts(prefix=prefix, tenant=tenant)


async def _open(connection: Connection, lines: list[Line[files.AccountRequest]]) -> AccountList:
    wanted = [(line.request.account, line.request.tenant) for line in lines]
    opened: list[AccountView] = []
    async with session.reader(connection) as reader:
        for start in range(0, len(wanted), ACCOUNTS_AT_ONCE_MAX):
            part = await reader.open_accounts(wanted[start : start + ACCOUNTS_AT_ONCE_MAX])
            opened += part.accounts
    return AccountList(accounts=tuple(opened))


def _as_json(
    file: str,
    lines: list[Line[files.AccountRequest]],
    refused: list[Refused],
    opened: AccountList | None,
    *,
    check: bool,
) -> dict[str, object]:
    accounts = opened.model_dump(mode="json")["accounts"] if opened else []
    return {
        "file": file,
        "check": check,
        "good": len(lines),
        "accounts": accounts,
        "refused": [bad.as_json() for bad in refused],
    }


def _print_troubles(refused: list[Refused]) -> None:
    for bad in refused:
        console().print(cell(str(bad), "red"), soft_wrap=True)


def _print(found: AccountList, nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found.accounts:
        console().print(nothing)
        return
    shown = table(
        "account", "kind", ("booked", "right"), ("held", "right"), ("available", "right"), "", ""
    )
    for account in found.accounts:
        shown.add_row(
            cell(account.path),
            cell(account.kind, "dim"),
            amount(account.posted_minor, account.currency),
            amount(account.held_minor, account.currency) if account.held_minor else "",
            amount(account.available_minor, account.currency),
            cell(account.currency),
            cell("closed" if account.closed else "", "red"),
        )
    console().print(shown)
