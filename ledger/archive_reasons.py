"""Reasons: why a period of the books may not be archived yet."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from ledger.archive_file import Period

SHOWN_MAX = 5

_TOUCHED = """
with touched as (select distinct payment_id as id from transactions
                  where id >= $1 and id < $2 and payment_id is not null)
"""
_FINAL = "('settled', 'returned', 'refused', 'denied', 'expired', 'cancelled', 'failed')"

# What keeps a period, and the query of the names of those that do.
_KEEPING = {
    "payments have not ended": f"""{_TOUCHED}
        select p.id as name from touched join payments p using (id)
         where p.state not in {_FINAL}""",  # noqa: S608  our own words
    "holds are open": """
        select t.key as name from holds h join transactions t on t.id = h.transaction_id
         where h.transaction_id >= $1 and h.transaction_id < $2
           and h.amount <> h.captured + h.released""",
    "cases are open": f"""{_TOUCHED}
        select format('%s (%s)', c.id, c.kind) as name from cases c
         where c.closed_at is null and (c.payment_id in (select id from touched)
               or c.transaction_id >= $1 and c.transaction_id < $2)""",  # noqa: S608
    "events of partners are not applied": f"""{_TOUCHED}
        select e.partner || '/' || e.event_id as name from partner_events e
         where e.applied_at is null and e.payment_id in (select id from touched)""",  # noqa: S608
}
_MOVED_LATELY = f"""{_TOUCHED}
    select p.id as name from touched join payments p using (id)
     where p.updated_at > clock_timestamp() - $3::interval"""  # noqa: S608
_STATE = """
select (select last_value from transactions_id_seq) as newest_id,
       (select id from live_from) as live_from,
       exists (select from entries_beyond where transaction_id < $1) as strays,
       (select booked_at from transactions where id < $1 order by id desc limit 1) as last_at,
       clock_timestamp() - $2::interval as limit_at
"""


async def reasons(
    connection: asyncpg.Connection, period: Period, older_than: timedelta
) -> list[str]:
    """Return why a period may not be archived now; nothing if it may.

    Args:
        connection: As a role that may read all tables.
        period: One whose entries are still in the books.
        older_than: How long ago everything in it has to have ended. Longer than the longest time in
            which money may still come back.
    """
    (state,) = await connection.fetch(_STATE, period.until_id, older_than)
    if state["newest_id"] < period.until_id:
        left = period.until_id - state["newest_id"]
        return [f"it goes on: its last transaction is {left:,} ids away"]
    found = []
    if state["live_from"] not in (0, period.first_id):
        found.append(f"the entries from transaction {state['live_from']} on have to go before")
    if state["strays"]:
        found.append("entries_beyond holds entries that are older than its end")
    if state["last_at"] is not None and state["last_at"] > state["limit_at"]:
        found.append(f"its last transaction is of {state['last_at']:%Y-%m-%d}, too young")
    for what, query in _KEEPING.items():
        found += await _named(connection, what, query, period.first_id, period.until_id)
    if not found:
        bounds = (period.first_id, period.until_id, older_than)
        found = await _named(connection, "payments have moved lately", _MOVED_LATELY, *bounds)
    return found


async def _named(
    connection: asyncpg.Connection, what: str, query: str, *arguments: object
) -> list[str]:
    """Return one line with how many there are and the first of them, or none."""
    shown = f"(array_agg(name order by name))[1:{SHOWN_MAX}]"
    counted = f"select count(*) as count, {shown} as names from ({query}) k"  # noqa: S608
    (row,) = await connection.fetch(counted, *arguments)
    if row["count"] == 0:
        return []
    more = ", …" if row["count"] > SHOWN_MAX else ""
    return [f"{row['count']:,} {what}: {', '.join(row['names'])}{more}"]
