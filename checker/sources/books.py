"""The books: read from Postgres in one snapshot, by a session that cannot write."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import asyncpg

from checker.rows import (
    Account,
    Approval,
    Archived,
    Attempt,
    Case,
    CaseWord,
    Disabled,
    Entry,
    Event,
    Guards,
    Hold,
    Note,
    Outgoing,
    Pause,
    Payment,
    Transaction,
    Transition,
    Word,
)

CONNECT_SECONDS = 10
_MESSAGE_ID = "headers->>'webhook-id'"
"""Source: the Standard Webhooks specification."""
ROWS_AT_ONCE = 5_000

_Row = TypeVar("_Row", bound=tuple[Any, ...])


class CannotCheck(Exception):
    """A source could not be read: nothing is known of what it would have shown."""


class Books(NamedTuple):
    """Everything that was read of the books."""

    now: datetime
    accounts: list[Account]
    transactions: list[Transaction]
    entries: list[Entry]
    """But for those that are archived."""
    archived: list[Archived]
    holds: list[Hold]
    payments: list[Payment]
    transitions: list[Transition]
    attempts: list[Attempt]
    words: list[Word]
    events: list[Event]
    approvals: list[Approval]
    disabled: list[Disabled]
    pauses: list[Pause]
    notes: list[Note]
    cases: list[Case]
    case_words: list[CaseWord]
    outbox: list[Outgoing]
    guards: Guards


_ACCOUNTS = """
select coalesce(a.id, b.account_id) as id, coalesce(a.path, 'no account ' || b.account_id) as path,
       coalesce(a.kind, '') as kind, coalesce(a.currency, b.currency)::text as currency, a.tenant,
       b.currency::text as balance_currency, b.side, b.floor, b.ceiling, b.soft, b.posted, b.held,
       b.seq
  from accounts a full join balances b on b.account_id = a.id"""

_ARCHIVED = "select file, sha256 from periods where archived_at is not null order by number"

# A part of a partitioned table goes by the name of the whole: whoever may write it writes that.
_TABLES = """
with tables as (
    select c.oid, c.relowner, coalesce(w.relname, c.relname)::text as name
      from pg_class c
      left join pg_inherits i on i.inhrelid = c.oid left join pg_class w on w.oid = i.inhparent
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p'))"""

_WRITABLE = f"""{_TABLES}
select distinct c.name, r.rolname::text
  from tables c cross join pg_roles r
 where c.name = any($1::text[])
   and not r.rolsuper and r.oid <> c.relowner and r.rolname not like 'pg\\_%'
   and has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate')
 order by 1, 2"""  # noqa: S608  our own words

# Bits of tgtype: 2 before, 8 delete, 16 update, 32 truncate.
_FROZEN = f"""{_TABLES}
select c.name
  from tables c
  cross join lateral (
       select bit_or(t.tgtype) as bits from pg_trigger t
        where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('O', 'A')
          and t.tgtype & 2 <> 0 and t.tgattr = ''::int2vector) g
 group by c.name having bool_and(coalesce(g.bits & 56 = 56, false))"""  # noqa: S608

_OWNERS = f"""{_TABLES}
select distinct r.rolname::text
  from tables c join pg_roles r on r.oid = c.relowner
 where c.name = any($1::text[]) and r.rolcanlogin and not r.rolsuper"""  # noqa: S608

_UNIQUE = """
select c.relname::text, array_agg(a.attname::text order by k.place)
  from pg_index i join pg_class c on c.oid = i.indrelid
  cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, place)
  join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
 where c.relnamespace = 'public'::regnamespace and i.indisunique and i.indpred is null
   and i.indisvalid
 group by i.indexrelid, c.relname"""

GUARDED = (
    "accounts",
    "approvals",
    "attempts",
    "balances",
    "cap_uses",
    "caps",
    "case_words",
    "cases",
    "closings",
    "entries",
    "forgotten_sends",
    "holds",
    "notes",
    "outbox",
    "partner_events",
    "partner_lines",
    "partner_words",
    "pauses",
    "payments",
    "people_disabled",
    "periods",
    "transactions",
    "transitions",
)


async def read_books(url: str) -> Books:
    """Read the whole of the books as they were at one moment.

    Args:
        url: postgresql://…, of a login that may read every table.

    Raises:
        CannotCheck: Nobody answers, the login may not read, or the schema is another.
    """
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            server_settings={
                "application_name": "bursar checker",
                "default_transaction_read_only": "on",
            },
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotCheck(f"the books do not answer ({error}); see --books-url") from error
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _read(connection)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotCheck(f"the books cannot be read: {error}") from error
    finally:
        connection.terminate()


async def _read(connection: asyncpg.Connection) -> Books:
    def table(name: str, row: type[_Row], **differently: str) -> str:
        fields = (differently.get(one, one) for one in row._fields)  # type: ignore[attr-defined]  # of a NamedTuple
        return f"select {', '.join(fields)} from {name}"  # noqa: S608  our own names

    async def rows(query: str, make: Callable[..., _Row]) -> list[_Row]:
        return [make(*row) async for row in connection.cursor(query, prefetch=ROWS_AT_ONCE)]

    # Before the snapshot is taken: no entries are archived between it and their being read.
    await connection.execute("lock table only entries in access share mode")
    now: datetime = await connection.fetchval("select now()")
    return Books(
        now=now,
        accounts=await rows(_ACCOUNTS, Account),
        transactions=await rows(table("transactions", Transaction), Transaction),
        entries=await rows(table("entries", Entry, currency="currency::text"), Entry),
        archived=await rows(_ARCHIVED, Archived),
        holds=await rows(table("holds", Hold), Hold),
        payments=await rows(table("payments", Payment, currency="currency::text"), _payment),
        transitions=await rows(
            table("transitions", Transition, xid="xmin::text::bigint"), Transition
        ),
        attempts=await rows(table("attempts", Attempt), Attempt),
        words=await rows(table("partner_words", Word), Word),
        events=await rows(table("partner_events", Event, message_id=_MESSAGE_ID), Event),
        approvals=await rows(table("approvals", Approval), Approval),
        disabled=await rows(table("people_disabled", Disabled), Disabled),
        pauses=await rows(table("pauses", Pause), Pause),
        notes=await rows(table("notes", Note), Note),
        cases=await rows(table("cases", Case), Case),
        case_words=await rows(table("case_words", CaseWord), CaseWord),
        outbox=await rows(table("outbox", Outgoing), Outgoing),
        guards=Guards(
            writable=tuple((r[0], r[1]) for r in await connection.fetch(_WRITABLE, GUARDED)),
            frozen=tuple(r[0] for r in await connection.fetch(_FROZEN)),
            owners_with_login=tuple(r[0] for r in await connection.fetch(_OWNERS, GUARDED)),
            unique=tuple((r[0], *r[1]) for r in await connection.fetch(_UNIQUE)),
        ),
    )


def _payment(*values: Any) -> Payment:
    row = Payment(*values)
    return row._replace(request=json.loads(values[9]), terms=json.loads(values[10]))
