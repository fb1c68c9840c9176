"""Oversight: what the books tell a watcher who compares them with the world outside them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from bursar.gate import START_GUARD
from bursar.payments import FINAL, PaymentState
from bursar.sweeps import Position, Watermark
from bursar.views import CheckRound, ForgottenSend, NoSend
from ledger.checks import BREAKS_MAX
from ledger.connections import answering, open_pool
from ledger.rounds import ROUND, STANDING, Round, what_is_late

CONNECTIONS_MAX = 2

# The order of the index payments_unfinished, whose own condition this repeats.
_UNTOUCHED = """
select id, state, seq, created_at from payments
 where state not in
       ('settled', 'returned', 'refused', 'denied', 'expired', 'cancelled', 'failed')
   and (state, created_at, id) > ($1, $2, $3) and updated_at < clock_timestamp() - $4::interval
 order by state, created_at, id limit $5
"""
_ENDED = """
select id from payments
 where id = any ($1) and state = any ($2::text[]) and updated_at < clock_timestamp() - $3::interval
 order by id
"""
_STUCK = """
select o.id, o.state, o.seq, o.partner, o.due_at, o.next_action,
       (select count(*) from cases k where k.payment_id = o.id and k.kind = 'stuck') as cases,
       count(*) over (partition by o.state, o.partner) as alike,
       row_number() over (partition by o.state, o.partner order by o.due_at, o.id) as nth
  from payments_overdue o
 where not o.has_open_case
 order by o.due_at, o.id limit $1
"""
_OPEN_GROUPS = """
select p.state, p.partner, max(k.opened_at) as called_at
  from cases k join payments p on p.id = k.payment_id
 where k.closed_at is null and k.kind = 'stuck' group by 1, 2
"""
_WAITING_EVENTS = """
select e.id, e.kind, e.partner, e.event_id, e.payment_id, e.redrives, called.cases,
       count(*) over () as alike
  from partner_events e
  cross join lateral (
       select count(*) as cases, max(coalesce(k.closed_at, 'infinity')) as until
         from transactions t
        cross join lateral (  -- Each by the one index of cases, on payment_id.
              select c.closed_at from cases c
               where c.payment_id = t.payment_id and c.transaction_id = t.id
              union all
              select c.closed_at from cases c
               where t.payment_id is null and c.payment_id is null and c.transaction_id = t.id) k
        where t.key > format('event/%s/waits/', e.id) and t.key < format('event/%s/waits0', e.id)
       ) called
 where e.applied_at is null and e.set_aside_at is null
   and (e.redrives = 0 or e.leased_until is not null)  -- Brought back, and not offered yet.
   and coalesce(e.taken_at, e.received_at) < clock_timestamp() - $1::interval
   and not (e.kind = 'accepted' and exists (  -- That waits in the table: our own call tells more.
            select from payments p where p.id = e.payment_id and p.state = 'submitting'))
   and coalesce(called.until, '-infinity') < clock_timestamp() - $3::interval
 order by e.id limit $2
"""
_CALLS = """
select count(*) filter (where mine) as cases,
       count(*) filter (where mine and coalesce(closed_at, 'infinity')
                                       > clock_timestamp() - $3::interval) > 0 as heard,
       count(*) filter (where closed_at is null) as open_alike
  from (select closed_at, payment_id is not distinct from $2 as mine
          from cases where kind = $1) k
"""
LOOKED = timedelta(hours=1)
"""What a person buys who closes a case: as in the view payment_next."""
_UNKNOWN_HERE = """
select told.key from unnest($1::text[]) told(key)
  left join attempts a on a.key = told.key
 where a.first_sent_at is null
"""
_FORGOTTEN = """
select f.attempt_key, f.partner, f.evidence, f.sent_at, f.found_at, p.state
  from forgotten_sends f
  left join attempts a on a.key = f.attempt_key
  left join payments p on p.id = left(f.attempt_key, -position('-' in reverse(f.attempt_key)))
 order by f.found_at desc, f.attempt_key limit $1
"""
FORGOTTEN_MAX = 1_000
_RECORD = "select record_check_round_v1($1, $2, $3, $4, $5, $6, $7, $8)"
_CASES_OF_NO_PAYMENT = """
select t.key, k.closed_at is null as is_open
  from transactions t join cases k on k.transaction_id = t.id and k.payment_id is null
 where t.key > $1 || '/' and t.key < $1 || '0'
"""
_BOOKED_LAST = """
select booked_at from transactions
 where booked_at < coalesce((select paused_at from pauses where scope = 'all'
                             and resumed_at is null and paused_by = $1), 'infinity')
 order by id desc limit 1
"""


class Open(BaseModel):
    """A payment that has not ended, and that nothing has touched for a while."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: PaymentState
    seq: int
    created_at: AwareDatetime


class Stuck(BaseModel):
    """A payment that is past its time, and that no case calls anybody to."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: PaymentState
    seq: int
    partner: str | None
    due_at: AwareDatetime
    next_action: str
    cases: int
    """How many cases of this kind it has had."""
    alike: int
    """How many are stuck in this state with this partner, itself included."""
    nth: int
    """Its place among those, the longest due first."""


class WaitingEvent(BaseModel):
    """An event that is not in the books long after a workflow took it, or after it came."""

    model_config = ConfigDict(frozen=True)

    id: int
    kind: str
    partner: str
    event_id: str
    payment_id: str | None
    redrives: int
    cases: int
    """How many cases it has had because it waits."""
    alike: int
    """How many there are."""


class Calls(BaseModel):
    """Whether people have been called to something already."""

    model_config = ConfigDict(frozen=True)

    cases: int
    """How many cases of the kind the payment has had; without one: all that have none."""
    heard: bool
    """Whether one of them is open, or was closed only a while ago."""
    open_alike: int
    """How many cases of the kind are open, whosever."""


class Oversight:
    """Questions for a watcher; each raises `ConnectionError` when the database does not answer."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator[Oversight]:
        """Open a few connections of its own, as they are needed.

        Args:
            dsn: postgresql://…, as a login in the role bursar_writer.
        """
        with answering("at all"):
            pool = await open_pool(dsn, idle=0, connections_max=CONNECTIONS_MAX)
        try:
            yield cls(pool)
        finally:
            await pool.close()

    async def untouched(
        self, after: Position | None, quiet_for: timedelta, limit: int
    ) -> list[Open]:
        """Return a page of payments that have not ended and were not touched for some time.

        A payment that changes its state between two pages may be missed or come twice: the next
        round over all of them sees it again.
        """
        state, created_at, payment_id = (
            (after.state, after.created_at, after.id)
            if after
            else ("", datetime.min.replace(tzinfo=UTC), "")
        )
        rows = await self._rows(_UNTOUCHED, state, created_at, payment_id, quiet_for, limit)
        return [Open.model_validate(dict(row)) for row in rows]

    async def registered(self, payment_ids: Sequence[str]) -> set[str]:
        """Return those of some ids that the register has."""
        rows = await self._rows("select id from payments where id = any ($1)", list(payment_ids))
        return {row["id"] for row in rows}

    async def ended(self, payment_ids: Sequence[str], grace: timedelta) -> list[str]:
        """Return those of some payments that have ended, longer ago than `grace`."""
        rows = await self._rows(_ENDED, list(payment_ids), [*FINAL], grace)
        return [row["id"] for row in rows]

    async def stuck(self, limit: int) -> list[Stuck]:
        """Return payments that are past their time without an open case, the longest due first."""
        return [Stuck.model_validate(dict(row)) for row in await self._rows(_STUCK, limit)]

    async def groups_with_a_case(self) -> dict[tuple[str, str | None], datetime]:
        """Return when people were last called to payments stuck in a state with a partner."""
        rows = await self._rows(_OPEN_GROUPS)
        return {(row["state"], row["partner"]): row["called_at"] for row in rows}

    async def waiting_events(self, since: timedelta, limit: int) -> list[WaitingEvent]:
        """Return events that are not applied so long after, and that no case calls anybody to.

        After what: that a workflow has taken it; or that it came, where none ever has, since
        Temporal gives no answer for that very run or because no gateway relays. A case of it calls
        while it is open, and for a while after it was closed.
        """
        rows = await self._rows(_WAITING_EVENTS, since, limit, LOOKED)
        return [WaitingEvent.model_validate(dict(row)) for row in rows]

    async def calls(self, kind: str, payment_id: str | None) -> Calls:
        """Return whether people are called to a payment, or to what has none, by a kind of case."""
        rows = await self._rows(_CALLS, kind, payment_id, LOOKED)
        return Calls.model_validate(dict(rows[0]))

    async def watermark(self) -> Watermark | None:
        """Return the newest change of the journal; None while there is none."""
        rows = await self._rows("select id, key from transactions order by id desc limit 1")
        return Watermark(change_id=rows[0]["id"], key=rows[0]["key"]) if rows else None

    async def make_periods(self) -> int:
        """Make the periods of the entries that are to come soon; return how many were made."""
        return int((await self._rows("select make_periods_v1()"))[0][0])

    async def has(self, mark: Watermark) -> bool:
        """Tell whether the journal still has a change that was once its newest."""
        rows = await self._rows(
            "select from transactions where id = $1 and key = $2", mark.change_id, mark.key
        )
        return bool(rows)

    async def not_known_as_sent(self, attempt_keys: Sequence[str]) -> set[str]:
        """Return those of some attempts' keys that these books do not know as ever sent."""
        return {row["key"] for row in await self._rows(_UNKNOWN_HERE, list(attempt_keys))}

    async def remember_send(
        self, attempt_key: str, partner: str, evidence: str, sent_at: datetime
    ) -> bool:
        """Keep a send that these books have forgotten; False where it is kept already."""
        query = "select remember_send_v1($1, $2, $3, $4)"
        rows = await self._rows(query, attempt_key, partner, evidence, sent_at)
        return bool(rows[0][0])

    async def remember_and_stop(
        self, partner: str, sends: Mapping[str, tuple[str, datetime]]
    ) -> list[str]:
        """Keep sends that these books have forgotten, and stop everything, in one commit.

        Args:
            partner: Where they were seen.
            sends: By attempt's key: where each is told of, and the earliest moment it was sent at.

        Returns:
            Those for which no stop of the start guard's has ended since, or goes on, sorted: only
            they stop anything.
        """
        evidence, moments = zip(*sends.values(), strict=True)
        query = "select remember_and_stop_v1($1, $2, $3, $4, $5)"
        rows = await self._rows(query, START_GUARD, partner, [*sends], evidence, moments)
        return list(rows[0][0])

    async def stop_sending(self, reason: str) -> bool:
        """Pause everything as the start guard, taking over anybody else's pause; False: it is."""
        rows = await self._rows("select stop_sending_v1($1, $2)", START_GUARD, reason)
        return bool(rows[0][0])

    async def booked_last(self) -> datetime | None:
        """Return when the books were last written, before the guard's pause where it is on."""
        rows = await self._rows(_BOOKED_LAST, START_GUARD)
        return rows[0]["booked_at"] if rows else None

    async def no_send(self) -> NoSend:
        """Return whether sending is stopped, and what is known to be forgotten."""
        stops = await self._rows(
            "select paused_at, paused_by, reason from pauses"
            " where scope = 'all' and resumed_at is null"
        )
        sends = await self._rows(_FORGOTTEN, FORGOTTEN_MAX)
        return NoSend(
            stopped=bool(stops),
            forgotten=tuple(ForgottenSend.model_validate(dict(row)) for row in sends),
            **dict(stops[0]) if stops else {},
        )

    async def record_round(self, done: Round) -> CheckRound:
        """Put a round of checks on record: what it has looked at is not new to the next one.

        Raises:
            ValueError: It would leave something out that no round has looked at.
        """
        horizon, report = done
        first = [found.model_dump(mode="json") for found in report.breaks[:BREAKS_MAX]]
        given = (horizon.safe_from, horizon.safe_until, horizon.transactions)
        counts = (len(report.checks), len(report.breaks), json.dumps(first))
        rows = await self._rows(_RECORD, *given, *counts, horizon.seen_at, horizon.covers_until)
        kept = (await self._rows(f"{ROUND} where id = $1", rows[0][0]))[0]
        return CheckRound(**{**kept, "first_breaks": json.loads(kept["first_breaks"])})

    async def checks_late(self) -> str | None:
        """Say what in the books has not been checked for too long; None: all has."""
        standing = (await self._rows(STANDING))[0]
        return what_is_late(standing["now"], standing["covered"], standing["full_at"])

    async def cases_below(self, key: str) -> dict[str, bool]:
        """Return cases of no payment by the keys of their changes, and whether they are open.

        Of those whose keys go on from `key` after a slash.
        """
        rows = await self._rows(_CASES_OF_NO_PAYMENT, key)
        return {row["key"]: row["is_open"] for row in rows}

    async def _rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        with answering(f"{query!r}"):
            rows: list[asyncpg.Record] = await self._pool.fetch(query, *arguments)
        return rows
