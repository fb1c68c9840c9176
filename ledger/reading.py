"""Reading: the views that people and the gateway see, out of the database, which it never changes.

Every view is read in one snapshot, so that its parts fit one another.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from pydantic import AwareDatetime, TypeAdapter
from sqlalchemy import TextClause, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bursar.errors import InvalidRequest
from bursar.gate import RailList
from bursar.ids import PaymentId
from bursar.payments import PaymentKind, PaymentState
from bursar.views import (
    AccountList,
    AccountView,
    BooksReport,
    CasePage,
    CaseView,
    CheckRounds,
    EventPage,
    PaymentPage,
    PaymentView,
)
from ledger.connections import (
    CONNECT_SECONDS,
    SERVER_SETTINGS,
    is_cancelled,
    is_lost,
    is_transient,
)
from ledger.export import FORMATS, export_journal
from ledger.lives import payment_view, summaries, summary
from ledger.rails import rail_list
from ledger.rounds import Round, rounds_on_record, run_round
from ledger.trouble import case_page, event_page, one_case

PAGE_SIZE = 50
PAGE_SIZE_MAX = 200
CHECK_ROUNDS = 10

_PAYMENT_ID = TypeAdapter(PaymentId)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)

_FILTERS = {
    "state": "p.state = :state",
    "kind": "p.kind = :kind",
    "tenant": "p.tenant = :tenant",
    "account": "p.account = :account",
    "partner": "p.partner = :partner",
    "batch_id": "p.batch_id = :batch_id",
    "stuck": "(p.id in (select id from payments_overdue)) = :stuck",
}

_ACCOUNTS = text(
    """select a.path, a.kind, a.tenant, a.currency, b.side * b.posted as posted_minor,
              b.held as held_minor, b.side * b.posted - b.held as available_minor,
              b.floor as floor_minor, b.ceiling as ceiling_minor, b.closed
         from accounts a join balances b on b.account_id = a.id
        where (cast(:prefix as text) is null or starts_with(a.path, :prefix))
          and (cast(:tenant as text) is null or a.tenant = :tenant)
        order by a.path"""
)

_KEEP_ENTRIES = text("lock table only entries in access share mode")


class Reader:
    """Reads the books; every method raises `ConnectionError` when the database does not answer."""

    def __init__(self, database_url: str, *, connections_max: int = 5) -> None:
        """Prepare a pool; nothing is connected yet.

        Args:
            database_url: postgresql://…, as a login that may at least read.
            connections_max: How many may read at once; further ones wait for a few seconds.
        """
        self._engine = create_async_engine(
            make_url(database_url).set(drivername="postgresql+asyncpg"),
            isolation_level="REPEATABLE READ",
            pool_size=connections_max,
            max_overflow=0,
            pool_timeout=CONNECT_SECONDS,
            pool_pre_ping=True,
            connect_args={
                "server_settings": {
                    "application_name": "bursar reader",
                    "default_transaction_read_only": "on",
                    "lock_timeout": SERVER_SETTINGS["lock_timeout"],
                }
            },
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def payments(
        self,
        *,
        state: PaymentState | None = None,
        kind: PaymentKind | None = None,
        tenant: str | None = None,
        account: str | None = None,
        partner: str | None = None,
        batch_id: str | None = None,
        stuck: bool | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> PaymentPage:
        """Return a page of the payments that fit all that is given, newest first.

        `account` is the one that pays; `cursor` is `next_cursor` of the page before, None for the
        first; `stuck` picks those past their time; `limit` goes up to `PAGE_SIZE_MAX`.

        Raises:
            InvalidRequest: The cursor is none that a page gave, or the limit is out of range.
        """
        if not 1 <= limit <= PAGE_SIZE_MAX:
            raise InvalidRequest(f"limit has to be from 1 to {PAGE_SIZE_MAX}", field="limit")
        wanted = {
            "state": state,
            "kind": kind,
            "tenant": tenant,
            "account": account,
            "partner": partner,
            "batch_id": batch_id,
            "stuck": stuck,
        }
        query, given = _page_query(wanted, cursor)
        async with self._snapshot() as connection:
            rows = (await connection.execute(query, {**given, "rows": limit + 1})).all()
        shown, more = rows[:limit], len(rows) > limit
        return PaymentPage(
            payments=tuple(summary(row) for row in shown),
            next_cursor=_cursor(shown[-1].created_at, shown[-1].id) if more else None,
        )

    async def payment(self, payment_id: str) -> PaymentView | None:
        """Return everything that is known of a payment; None if the register does not have it."""
        async with self._snapshot(of_entries=True) as connection:
            return await payment_view(connection, payment_id)

    async def accounts(
        self, *, prefix: str | None = None, tenant: str | None = None
    ) -> AccountList:
        """Return the accounts whose path begins with `prefix`, of one tenant or of all, by path."""
        async with self._snapshot() as connection:
            rows = await connection.execute(_ACCOUNTS, {"prefix": prefix, "tenant": tenant})
        return AccountList(accounts=tuple(AccountView(**row._mapping) for row in rows))

    async def rails(self) -> RailList:
        """Return each rail with what waits before it, and all pauses and caps in force."""
        async with self._snapshot() as connection:
            return await rail_list(connection)

    async def cases(
        self,
        *,
        state: str = "open",
        kind: str | None = None,
        owner: str | None = None,
        payment_id: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> CasePage:
        """Return a page of the cases that fit all that is given, oldest first.

        `state` is open, closed or all; `limit` goes up to `PAGE_SIZE_MAX`.

        Raises:
            InvalidRequest: The cursor is not one that a page gave.
        """
        wanted = {"kind": kind, "owner": owner, "payment_id": payment_id}
        async with self._snapshot() as connection:
            return await case_page(connection, wanted, state, cursor, limit)

    async def case(self, case_id: int) -> CaseView | None:
        """Return a case with what people said of it, or None."""
        async with self._snapshot() as connection:
            return await one_case(connection, case_id)

    async def events(
        self,
        *,
        set_aside: bool = False,
        partner: str | None = None,
        payment_id: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> EventPage:
        """Return a page of the events that fit all that is given, newest first.

        Raises:
            InvalidRequest: The cursor is not one that a page gave.
        """
        wanted = {"partner": partner, "payment_id": payment_id}
        async with self._snapshot() as connection:
            return await event_page(
                connection, wanted, set_aside=set_aside, cursor=cursor, rows=limit
            )

    async def check(self, *, since_last: bool = False) -> BooksReport:
        """Run every check over one snapshot of the books, or over what is new in it.

        Where no round is on record that it could go on from, all is looked at; the report says so.
        """
        return (await self.check_round(full=not since_last)).report

    async def check_round(self, *, full: bool) -> Round:
        """Run a round of checks, for somebody who puts it on record."""
        async with self._snapshot(of_entries=True) as connection:
            return await run_round(connection, full=full)

    async def check_rounds(self, limit: int = CHECK_ROUNDS) -> CheckRounds:
        """Return the newest rounds on record, and whether one is overdue."""
        async with self._snapshot() as connection:
            return await rounds_on_record(connection, limit)

    def export(self, style: str) -> AsyncGenerator[str]:
        """Return the whole journal as plain-text accounting, piece by piece, from one snapshot.

        Raises:
            InvalidRequest: The style is none of `ledger.export.FORMATS`; raised at once.
        """
        if style not in FORMATS:
            raise InvalidRequest(f"format has to be one of {', '.join(FORMATS)}", field="format")
        return self._export(style)

    async def _export(self, style: str) -> AsyncGenerator[str]:
        async with self._snapshot(of_entries=True) as connection:
            async for piece in export_journal(connection, style):
                yield piece

    @asynccontextmanager
    async def _snapshot(self, *, of_entries: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees the books as they are at one moment, and cannot change them.

        With `of_entries` no period of them is archived meanwhile. That is locked before the moment
        is taken: a lock sees the table as it is, and a snapshot might be of before it left.

        A `ConnectionError` is what the rest of the house knows for a database that is not there,
        or that cannot answer now: nothing is wrong with what was asked, and it may be asked again.
        """
        try:
            async with self._engine.connect() as connection:
                if of_entries:
                    await connection.execute(_KEEP_ENTRIES)
                yield connection
        except (DBAPIError, NoFreeConnection) as error:
            lost = error.driver_exception if isinstance(error, DBAPIError) else error
            if isinstance(error, NoFreeConnection) or _may_pass(lost):
                raise ConnectionError(f"the books do not answer: {lost}") from error
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if _may_pass(error):  # while connecting, the driver's own errors come through
                raise ConnectionError(f"the books do not answer: {error}") from error
            raise


def _may_pass(error: BaseException | None) -> bool:
    """Tell whether an error is the database's trouble, and not the question's fault."""
    return isinstance(error, Exception) and (
        is_lost(error) or is_transient(error) or is_cancelled(error)
    )


def _page_query(wanted: Mapping[str, Any], cursor: str | None) -> tuple[TextClause, dict[str, Any]]:
    """Return the query of a page; only our own fragments make it up, what is given is bound.

    The page is found first, in the order of an index, and only its payments are looked into.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    conditions = [_FILTERS[name] for name in given]
    if cursor is not None:
        given["created_at"], given["id"] = _position(cursor)
        conditions.append("(p.created_at, p.id) < (:created_at, :id)")
    where = " and ".join(conditions) or "true"
    newest_first = "order by p.created_at desc, p.id desc"
    page = f"(select * from payments p where {where} {newest_first} limit :rows)"  # noqa: S608
    return text(f"{summaries(page)} {newest_first}"), given


def _cursor(created_at: datetime, payment_id: str) -> str:
    """Return a position between two pages as text that callers hand back without reading it."""
    return base64.urlsafe_b64encode(f"{created_at.isoformat()},{payment_id}".encode()).decode()


def _position(cursor: str) -> tuple[datetime, str]:
    """Read a cursor; what no page gave is refused rather than taken for some other page."""
    try:
        plain = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
        moment, _, payment_id = plain.partition(",")
        created_at = _MOMENT.validate_python(moment).astimezone(UTC)
        return created_at, _PAYMENT_ID.validate_python(payment_id)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest("cursor is not one that a page gave", field="cursor") from error
