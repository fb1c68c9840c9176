"""Rounds: the checks over all of the books, or over what is new in them since the last round.

A transaction is new when its xid is not below the mark, the xid up to which the books have been
checked, and is below the first xid that is still open in the round's snapshot. Nothing below that
can commit any more, so a commit that comes late is never passed over. It becomes the mark of the
next round once this one is on record, and not before.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bursar.views import BooksReport, Break, CheckRound, CheckRounds
from ledger.check import Check, Part
from ledger.checks import BREAKS_MAX, CHECKS, named, rows_of, run_checks, trial_balance
from ledger.checks_each_minute import EACH_MINUTE
from ledger.excerpts import JOURNAL, PAYMENTS, SETTINGS, TOUCHED

_MOMENT = """
select now() as seen_at, check_mark_v1() as mark,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint as safe
"""
_NEW = """
select count(*) filter (where xid < $2) as new, min(id) filter (where xid < $2) as first_id,
       max(id) filter (where xid < $2) as last_id,
       min(booked_at) filter (where xid >= $2) as left_at
  from transactions where xid >= $1
"""
_SETTINGS = (
    "set local jit = off",
    "set local work_mem = '64MB'",
    "set local plan_cache_mode = force_custom_plan",
)

LATE_AFTER = timedelta(minutes=15)
"""Something is wrong when what was booked so long ago has not been checked."""
FULL_LATE_AFTER = timedelta(hours=26)
"""So is it when no round over all of the books has looked at anything newer than this."""
ROUND = """
select id, scope, seen_at, covers_until, ended_at, transactions, checks, breaks,
       first_breaks::text
  from check_rounds"""
STANDING = """
select clock_timestamp() as now,
       (select max(covers_until)
          from (select covers_until from check_rounds order by id desc limit 20) newest) as covered,
       (select max(seen_at)
          from (select seen_at from check_rounds where scope = 'full'
                 order by id desc limit 1) newest) as full_at
"""
"""Of several rounds, since one over all of the books takes long and ends after newer ones."""


class Horizon(NamedTuple):
    """What is new in a snapshot of the books."""

    seen_at: datetime
    safe_from: int | None
    """The mark, an xid; None: there is none, and all of the books are new."""
    safe_until: int
    """The next mark."""
    transactions: int
    """How many lie between the two."""
    first_id: int | None
    last_id: int | None
    covers_until: datetime
    """What was booked before, and was committed in the snapshot, is before `safe_until`."""


class Round(NamedTuple):
    """A round that has been run and is not on record yet."""

    horizon: Horizon
    report: BooksReport


async def run_round(connection: AsyncConnection, *, full: bool) -> Round:
    """Run the checks over what is new; over everything if asked to, or where there is no mark.

    Args:
        connection: In a read-only transaction at REPEATABLE READ.
        full: Whether to look at everything.
    """
    for setting in _SETTINGS:
        await connection.exec_driver_sql(setting)
    horizon = await _horizon(connection)
    if full or horizon.safe_from is None:
        return Round(horizon._replace(safe_from=None), await run_checks(connection))
    return Round(horizon, await _since_last(connection, horizon))


async def _horizon(connection: AsyncConnection) -> Horizon:
    moment = (await connection.exec_driver_sql(_MOMENT)).one()
    found = (await connection.exec_driver_sql(_NEW, (moment.mark or 0, moment.safe))).one()
    return Horizon(
        seen_at=moment.seen_at,
        safe_from=moment.mark,
        safe_until=moment.safe,
        transactions=found.new,
        first_id=found.first_id,
        last_id=found.last_id,
        covers_until=found.left_at or moment.seen_at,
    )


async def _since_last(connection: AsyncConnection, horizon: Horizon) -> BooksReport:
    ran = [check.name for check in CHECKS if EACH_MINUTE[check.name].part is not Part.NOTHING]
    breaks = []
    for check in _of(Part.BOOKS):
        breaks += named(check.name, await rows_of(connection, check.sql))
    if horizon.transactions:
        for setting in SETTINGS:
            await connection.exec_driver_sql(setting)
        breaks += await _parts(connection, horizon)
    return BooksReport(
        checked_at=horizon.seen_at,
        checks=tuple(ran),
        breaks=tuple(sorted(breaks, key=lambda found: ran.index(found.check))),
        trial_balance=await trial_balance(connection),
        scope="since_last",
        transactions=horizon.transactions,
    )


def _of(part: Part) -> list[Check]:
    """Return the checks that look at a part each minute, with their queries there."""
    return [
        check._replace(sql=EACH_MINUTE[check.name].sql or check.sql)
        for check in CHECKS
        if EACH_MINUTE[check.name].part is part
    ]


async def _parts(connection: AsyncConnection, horizon: Horizon) -> list[Break]:
    new = (horizon.safe_from, horizon.safe_until, horizon.first_id, horizon.last_id)
    breaks = await _excerpt(connection, JOURNAL, new, _of(Part.JOURNAL))
    found = (await connection.exec_driver_sql(TOUCHED, new)).scalars()
    touched = [payment_id for payment_id in found if payment_id is not None]
    if touched:
        breaks += await _excerpt(connection, PAYMENTS, (touched,), _of(Part.PAYMENTS))
    return breaks


async def _excerpt(
    connection: AsyncConnection, excerpt: str, given: tuple[Any, ...], checks: Sequence[Check]
) -> list[Break]:
    """Run checks over one excerpt, which is taken once for all of them."""
    branches = [
        f"select '{check.name}' as name, place, detail"  # noqa: S608  our own words alone
        f" from ({check.sql} limit {BREAKS_MAX + 1}) as found"
        for check in checks
    ]
    rows = await connection.exec_driver_sql(excerpt + "\nunion all\n".join(branches), given)
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.name].append(row)
    return [each for name, mine in found.items() for each in named(name, mine)]


async def rounds_on_record(connection: AsyncConnection, limit: int) -> CheckRounds:
    """Return the newest rounds, the last one over all of the books, and what is overdue."""
    rounds = await connection.execute(
        text(f"{ROUND} order by id desc limit :limit"), {"limit": limit}
    )
    full = await connection.execute(text(f"{ROUND} where scope = 'full' order by id desc limit 1"))
    newest_full = full.one_or_none()
    standing = (await connection.execute(text(STANDING))).one()
    return CheckRounds(
        rounds=tuple(map(_kept, rounds)),
        last_full=_kept(newest_full) if newest_full else None,
        late=what_is_late(standing.now, standing.covered, standing.full_at),
    )


def _kept(row: Row[Any]) -> CheckRound:
    return CheckRound(**{**row._mapping, "first_breaks": json.loads(row.first_breaks)})


def what_is_late(now: datetime, covered: datetime | None, full_at: datetime | None) -> str | None:
    """Say what has not been checked for too long; None: all has.

    Args:
        now: The database's clock.
        covered: What was booked before this has been looked at.
        full_at: When all of the books were looked at for the last time.
    """
    if covered is None:
        return "the books have never been checked"
    if now - covered > LATE_AFTER:
        return f"what was booked after {_told(covered)} has not been checked"
    if full_at is None:
        return "the books have never been checked in full"
    if now - full_at > FULL_LATE_AFTER:
        return f"the books were checked in full at {_told(full_at)}, and not since"
    return None


def _told(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
