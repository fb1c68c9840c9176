"""Export: the whole journal as plain-text accounting, for programs that know nothing of ours.

Debits are positive there, as these programs have it, so each entry's sign turns. What moves no
money, a hold or a refusal, is a comment. At the end each account's balance, as we have it stored,
is asserted: a program that reads the file to its end has confirmed every one of them.

Source: https://ledger-cli.org/doc/ledger3.html, https://hledger.org/1.25/hledger.html.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, date
from itertools import groupby
from typing import Any
from urllib.parse import quote

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bursar.money import decimal_text, minor_digits
from ledger.accounts import ASSET, EQUITY, EXPENSE, INCOME, LIABILITY

LEDGER = "ledger"
HLEDGER = "hledger"
FORMATS = (LEDGER, HLEDGER)

ROWS_AT_ONCE = 1000

_ROOTS = {
    ASSET: "Assets",
    LIABILITY: "Liabilities",
    EQUITY: "Equity",
    INCOME: "Income",
    EXPENSE: "Expenses",
}
_TAGS = ("booked", "payment", "actor", "evidence", "reverses")

_ACCOUNTS = """select a.kind, a.path, b.currency, b.posted
                 from accounts a join balances b on b.account_id = a.id order by a.path"""

_JOURNAL = """select t.id, t.key, t.kind, t.outcome, t.payment_id, t.evidence_id, r.key as reverses,
                     t.effective_on, t.booked_at, t.actor,
                     a.kind as account_kind, a.path, e.currency, e.delta, e.held
                from transactions t
                left join transactions r on r.id = t.reverses
                left join entries e on e.transaction_id = t.id
                left join accounts a on a.id = e.account_id
               where t.id >= (select id from live_from)
               order by t.id, e.delta, a.path"""

_CARRIED = """select a.kind, a.path, a.currency, c.posted
                from carried_forward c join accounts a on a.id = c.account_id
               where c.posted <> 0 order by a.path"""

_ARCHIVED = """select file, (coalesce(last_at, archived_at) at time zone 'UTC')::date as until
                 from periods where archived_at is not null order by number"""


async def export_journal(connection: AsyncConnection, style: str) -> AsyncGenerator[str]:
    """Give the journal piece by piece, as one of `FORMATS`; never more than a page in memory.

    Args:
        connection: In a read-only transaction at REPEATABLE READ, so that the balances at the end
            are those of the entries before.
        style: The program that is to read it.
    """
    currencies = await connection.exec_driver_sql(
        "select distinct currency from accounts order by currency"
    )
    yield _head(style, [row.currency for row in currencies])
    async for page in _pages(connection, _ACCOUNTS):
        yield "".join(f"account {account_name(row.kind, row.path)}\n" for row in page)
    archived = (await connection.exec_driver_sql(_ARCHIVED)).all()
    last_on = max((row.until for row in archived), default=date.min)
    if archived:
        files = "".join(f"; before: {row.file}\n" for row in archived)
        yield f"\n{files}{last_on.isoformat()} * carried forward\n"
        async for page in _pages(connection, _CARRIED):
            yield "".join(_moved(row.kind, row.path, row.posted, row.currency) for row in page)
    async for rows in _whole_transactions(connection):
        last_on = max(last_on, rows[0].effective_on)
        yield _transaction(rows)
    if last_on > date.min:
        yield f"\n{last_on.isoformat()} * stored balances\n"
        async for page in _pages(connection, _ACCOUNTS):
            yield "".join(_assertion(row) for row in page)


def account_name(kind: str, path: str) -> str:
    """Return an account's name there: liability, wallet/acme/EUR → Liabilities:wallet:acme:EUR."""
    return f"{_ROOTS[kind]}:{path.replace('/', ':')}"


def _head(style: str, currencies: list[str]) -> str:
    lines = [
        "; The books, as plain-text accounting: debits positive, credits negative.",
        *(["decimal-mark ."] if style == HLEDGER else []),
        *(f"tag {tag}" for tag in _TAGS),
        *(line for currency in currencies for line in _commodity(style, currency)),
    ]
    return "\n".join(lines) + "\n"


def _commodity(style: str, currency: str) -> list[str]:
    """Return how a currency is written; hledger wants a point even where nothing follows it."""
    digits = minor_digits(currency)
    point = "." if digits or style == HLEDGER else ""
    return [f"commodity {currency}", f"    format 1000{point}{'0' * digits} {currency}"]


def _transaction(rows: list[Row[Any]]) -> str:
    first = rows[0]
    title = f"{first.effective_on.isoformat()} ({_plain(first.key)}) {_plain(first.kind)}"
    moving = [row for row in rows if row.delta]
    if not moving:
        return f"\n; {title}{_without_moving(rows)}\n"
    tags = {
        "booked": first.booked_at.astimezone(UTC).isoformat(),
        "payment": first.payment_id,
        "actor": first.actor,
        "evidence": first.evidence_id,
        "reverses": first.reverses,
    }
    return "".join(
        [
            f"\n{title}\n",
            *(f"    ; {name}: {_plain(value)}\n" for name, value in tags.items() if value),
            *(_moved(row.account_kind, row.path, row.delta, row.currency) for row in moving),
        ]
    )


def _moved(kind: str, path: str, delta: int, currency: str) -> str:
    return f"    {account_name(kind, path)}  {decimal_text(-delta, currency)} {currency}\n"


def _without_moving(rows: list[Row[Any]]) -> str:
    """Return what a transaction did that moved no money: refused, held, released, or a step."""
    if rows[0].outcome != "booked":
        return f" was refused: {rows[0].outcome}"
    return "".join(
        f" {'held' if row.held > 0 else 'released'}"
        f" {decimal_text(abs(row.held), row.currency)} {row.currency} on {row.path}"
        for row in rows
        if row.held
    )


def _assertion(row: Row[Any]) -> str:
    zero, stored = (decimal_text(amount, row.currency) for amount in (0, -row.posted))
    name = account_name(row.kind, row.path)
    return f"    {name}  {zero} {row.currency} = {stored} {row.currency}\n"


def _plain(value: str) -> str:
    """Return text without what these programs read as dates, tags, codes or comments.

    Everything but ASCII letters, digits and a few harmless marks is written as %XX.
    """
    return quote(value, safe=" /@+.:-_")


async def _whole_transactions(connection: AsyncConnection) -> AsyncIterator[list[Row[Any]]]:
    """Give the rows of one transaction after another; pages end where they like."""
    waiting: list[Row[Any]] = []
    async for page in _pages(connection, _JOURNAL):
        for _, group in groupby(page, key=lambda row: row.id):
            rows = list(group)
            if waiting and waiting[0].id != rows[0].id:
                yield waiting
                waiting = []
            waiting += rows
    if waiting:
        yield waiting


async def _pages(connection: AsyncConnection, sql: str) -> AsyncIterator[list[Row[Any]]]:
    """Give a query's rows by the page, out of a cursor on the server."""
    result = await connection.stream(text(sql))
    async for page in result.partitions(ROWS_AT_ONCE):
        yield list(page)
