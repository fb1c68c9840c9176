"""Trouble: cases and events as people see them, read a page at a time."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bursar.cases import KINDS, kind_of
from bursar.errors import InvalidRequest
from bursar.views import CasePage, CaseView, CaseWordView, EventPage, EventView

CASE = """
    select c.id, c.kind, c.payment_id, p.tenant, c.owner, c.opened_at, c.opened_by, c.detail,
           c.closed_at, c.closed_by, c.resolution, t.key as posting, m.suspense,
           extract(epoch from coalesce(c.closed_at, now()) - c.opened_at)::bigint as age_seconds,
           coalesce(m.amount_minor, p.amount_minor) as amount_minor,
           coalesce(m.currency, p.currency)::text as currency,
           (select s.key from transactions s
             where s.payment_id = c.payment_id and s.kind = 'settle' and s.outcome = 'booked'
             order by s.id limit 1) as original
      from cases c
      join transactions t on t.id = c.transaction_id
      left join payments p on p.id = c.payment_id
      left join lateral (select a.path as suspense, e.currency, abs(e.delta) as amount_minor
                           from entries e join accounts a on a.id = e.account_id
                          where e.transaction_id = c.transaction_id and e.delta <> 0
                            and a.path like 'suspense/%') m on true"""

_CASE_FILTERS = {
    "kind": "c.kind = :kind",
    "owner": "c.owner = :owner",
    "payment_id": "c.payment_id = :payment_id",
    "after": "c.id > :after",
}
_STATES = {"open": "c.closed_at is null", "closed": "c.closed_at is not null", "all": "true"}

_WORDS = text(
    """select at, principal, verb, decision, evidence from case_words
        where case_id = :id order by id"""
)
_EVENT = """
    select id, partner, event_id, kind, payment_id, reference, amount_minor, currency, received_at,
           applied_at, verdict, failures, last_error, set_aside_at, redrives
      from partner_events"""
_EVENT_FILTERS = {
    "partner": "partner = :partner",
    "payment_id": "payment_id = :payment_id",
    "before": "id < :before",
}


async def case_page(
    connection: AsyncConnection,
    wanted: Mapping[str, Any],
    state: str,
    cursor: str | None,
    rows: int,
) -> CasePage:
    """Return a page of cases, the oldest first.

    Raises:
        InvalidRequest: The cursor is not one that a page gave.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    if cursor is not None:
        given["after"] = _position(cursor)
    where = " and ".join([_STATES[state], *(_CASE_FILTERS[name] for name in given)])
    query = text(f"{CASE} where {where} order by c.id limit :rows")
    found = (await connection.execute(query, {**given, "rows": rows + 1})).all()
    shown = found[:rows]
    return CasePage(
        cases=tuple(case_view(row) for row in shown),
        next_cursor=_cursor(shown[-1].id) if len(found) > rows else None,
    )


async def one_case(connection: AsyncConnection, case_id: int) -> CaseView | None:
    """Return a case with everything that people said of it, or None."""
    row = (await connection.execute(text(f"{CASE} where c.id = :id"), {"id": case_id})).first()
    if row is None:
        return None
    words = (await connection.execute(_WORDS, {"id": case_id})).all()
    said = tuple(CaseWordView(**word._mapping) for word in words)
    return case_view(row).model_copy(update={"words": said})


async def cases_of(connection: AsyncConnection, payment_id: str) -> tuple[CaseView, ...]:
    """Return all cases of a payment, oldest first."""
    query = text(f"{CASE} where c.payment_id = :id order by c.id")
    rows = (await connection.execute(query, {"id": payment_id})).all()
    return tuple(case_view(row) for row in rows)


def case_view(row: Row[Any]) -> CaseView:
    """Return a row of `CASE` with what its kind means."""
    kind = kind_of(row.kind)
    breach = row.kind in KINDS and kind.partner_breach
    return CaseView(**row._mapping, says=kind.says, ways=kind.ways, partner_breach=breach)


async def event_page(
    connection: AsyncConnection,
    wanted: Mapping[str, Any],
    *,
    set_aside: bool,
    cursor: str | None,
    rows: int,
) -> EventPage:
    """Return a page of stored events, the newest first; or only of those that are set aside.

    Raises:
        InvalidRequest: The cursor is not one that a page gave.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    if cursor is not None:
        given["before"] = _position(cursor)
    conditions = [_EVENT_FILTERS[name] for name in given]
    if set_aside:
        conditions.append("set_aside_at is not null and applied_at is null")
    where = " and ".join(conditions) or "true"
    query = text(f"{_EVENT} where {where} order by id desc limit :rows")
    found = (await connection.execute(query, {**given, "rows": rows + 1})).all()
    shown = found[:rows]
    return EventPage(
        events=tuple(EventView(**row._mapping) for row in shown),
        next_cursor=_cursor(shown[-1].id) if len(found) > rows else None,
    )


def _cursor(row_id: int) -> str:
    return base64.urlsafe_b64encode(f"id,{row_id}".encode()).decode()


def _position(cursor: str) -> int:
    """Read a cursor; what no page gave is refused rather than taken for some other page."""
    try:
        plain = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        plain = ""
    found = re.fullmatch(r"id,([0-9]{1,18})", plain)
    if found is None:
        raise InvalidRequest("cursor is not one that a page gave", field="cursor")
    return int(found[1])
