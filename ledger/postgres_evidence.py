"""`ledger.evidence.Evidence` on one PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from ledger.connections import COMMAND_SECONDS, answering
from ledger.evidence import CaseFile, GivingUp, LineKind, PartnerLine

_CASE = """
select c.id, c.payment_id, c.kind, c.owner, c.closed_at, p.created_by,
       m.path as account, m.currency, coalesce(m.delta, 0) as delta
  from cases c
  left join payments p on p.id = c.payment_id
  left join lateral (select a.path, e.currency, e.delta
                       from entries e join accounts a on a.id = e.account_id
                      where e.transaction_id = c.transaction_id and a.path like 'suspense/%'
                        and e.delta <> 0) m on true
 where c.id = $1
"""
_OF_PARTNER_REF = """
select payment_id from attempts where partner = $1 and partner_ref = $2 order by opened_at limit 1
"""
_CASE_POSTINGS = """
select key, outcome = 'booked' as booked from transactions
 where key >= $1 || '/' and key < $1 || '0' order by id
"""


class PostgresEvidence:
    """What partners did and what people found out; `PostgresBooks` is all of the books."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def note_line(
        self, partner: str, line_ref: str, payment_id: str | None, kind: LineKind, amount_minor: int
    ) -> PartnerLine:
        """Note a movement, and return how it was judged the first time."""
        rows = await self._rows(
            "select * from note_line_v2($1, $2, $3, $4, $5)",
            partner,
            line_ref,
            payment_id,
            kind,
            amount_minor,
        )
        return PartnerLine.model_validate(dict(rows[0]))

    async def line(self, partner: str, line_ref: str) -> PartnerLine | None:
        """Return a movement that was noted before, or None."""
        query = "select * from partner_lines where partner = $1 and line_ref = $2"
        rows = await self._rows(query, partner, line_ref)
        return PartnerLine.model_validate(dict(rows[0])) if rows else None

    async def payment_with_partner_ref(self, partner: str, partner_ref: str) -> str | None:
        """Return the payment whose attempt a partner calls by this name, or None."""
        rows = await self._rows(_OF_PARTNER_REF, partner, partner_ref)
        return str(rows[0]["payment_id"]) if rows else None

    async def add_event_failure(self, row_id: int, error: str, failures_max: int) -> bool:
        """Count that an event failed; True once it is set aside for a person."""
        return bool(
            await self._value(
                "select add_event_failure_v1($1, $2, $3)", row_id, error, failures_max
            )
        )

    async def events_set_aside(self) -> int:
        """Return how many events wait for a person to bring them back."""
        query = "select count(*) from partner_events where set_aside_at is not null"
        return int(await self._value(f"{query} and applied_at is null"))

    async def redrive_events(self, row_ids: Sequence[int] | None, by: str) -> list[int]:
        """Offer events that were set aside to the relay again, or all of them (None)."""
        ids = None if row_ids is None else list(row_ids)
        rows = await self._rows("select redrive_events_v1($1, $2) as id", ids, by)
        return sorted(row["id"] for row in rows)

    async def case(self, case_id: int) -> CaseFile | None:
        """Return a case, or None."""
        rows = await self._rows(_CASE, case_id)
        return CaseFile.model_validate(dict(rows[0])) if rows else None

    async def assign_case(self, case_id: int, owner: str, by: str) -> bool:
        """Give a case to somebody; False where it is closed or not there."""
        return bool(await self._value("select assign_case_v1($1, $2, $3)", case_id, owner, by))

    async def add_case_word(
        self, case_id: int, principal: str, decision: str, evidence: str
    ) -> list[str]:
        """Keep what a person decides on a case; return everybody who says the same now."""
        rows = await self._rows(
            "select add_case_word_v3($1, $2, $3, $4) as name",
            case_id,
            principal,
            decision,
            evidence,
        )
        return [row["name"] for row in rows]

    async def case_postings(self, case_id: int) -> list[tuple[str, bool]]:
        """Return each posting that a case's resolution tried: its key, and whether it booked."""
        rows = await self._rows(_CASE_POSTINGS, f"case/{case_id}")  # "0" comes after "/"
        return [(row["key"], row["booked"]) for row in rows]

    async def give_up_event(self, case_id: int, by: str, evidence: str) -> GivingUp:
        """Set the event of a case aside for good, by the word of two people."""
        query = "select give_up_event_v1($1, $2, $3)"
        done: GivingUp = await self._value(query, case_id, by, evidence)
        return done

    async def close_case(
        self, case_id: int, *, by: str, decision: str, resolution: str, posting: str | None
    ) -> bool:
        """Close a case by the word of people; False where it was closed before."""
        return bool(
            await self._value(
                "select close_case_v3($1, $2, $3, $4, $5)",
                case_id,
                by,
                decision,
                resolution,
                posting,
            )
        )

    async def _rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        with answering(f"{query!r}"):
            async with self._free_connection() as connection:
                rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return rows

    async def _value(self, query: str, *arguments: Any) -> Any:
        with answering(f"{query!r}"):
            async with self._free_connection() as connection:
                return await connection.fetchval(query, *arguments)

    @asynccontextmanager
    async def _free_connection(self) -> AsyncIterator[PoolConnectionProxy]:
        """Give a connection; who gets none for a while hears so instead of waiting for ever."""
        async with asyncio.timeout(COMMAND_SECONDS):  # the pool's own limit costs a task
            connection = await self._pool.acquire()
        try:
            yield connection
        finally:
            await self._pool.release(connection)
