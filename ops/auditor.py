"""The auditor: reads the books themselves, with a login that can change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import asyncpg

from bursar.payments import FINAL, PaymentState

_FINAL = sorted(FINAL)

_UNFINISHED = """
SELECT p.id, p.state FROM payments p
 WHERE NOT (p.state = ANY($1::text[]))
   AND NOT (p.state = 'in_review' AND EXISTS (
       SELECT FROM cases c WHERE c.payment_id = p.id AND c.closed_at IS NULL))
 ORDER BY p.id
"""

_SUMS = """
SELECT currency, state, kind, count(*) AS payments, sum(amount_minor)::bigint AS minor
  FROM payments GROUP BY currency, state, kind ORDER BY currency, state, kind
"""

# Payments that waited neither for people nor for a date, with their first final state.
_LIVED = """
SELECT payment_id, min(at) FILTER (WHERE after = ANY($1::text[])) AS ended
  FROM transitions GROUP BY payment_id
HAVING bool_or(after = ANY($1::text[]))
   AND NOT bool_or(after IN ('awaiting_approval', 'scheduled', 'in_review'))
"""

_NOSTRO = """
SELECT a.currency, -e.delta AS amount_minor, t.key,
       coalesce(t.payment_id, v.reference, t.key) AS subject
  FROM entries e
  JOIN accounts a ON a.id = e.account_id
  JOIN transactions t ON t.id = e.transaction_id
  LEFT JOIN partner_events v
    ON v.partner = $1 AND t.evidence_id = 'event/' || v.event_id
 WHERE a.path LIKE 'nostro/' || $1 || '/%' AND e.delta <> 0
 ORDER BY a.currency, e.seq
"""

_FUNDED = """
SELECT DISTINCT a.path
  FROM transactions t
  JOIN entries e ON e.transaction_id = t.id
  JOIN accounts a ON a.id = e.account_id
 WHERE t.kind = 'deposit' AND a.path LIKE 'wallet/%'
"""

_GONE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""What a database that is down, going down or coming up is told by."""


@dataclass(frozen=True)
class NostroLine:
    """One movement on our account with a partner, as our books have it; credits to us positive."""

    currency: str
    amount_minor: int
    subject: str
    """The payment, or for a deposit the account that it was meant for."""
    key: str


@dataclass(frozen=True)
class Lived:
    """When one payment came to its first final state."""

    payment_id: str
    ended_at: float
    """In seconds since 1970."""


class Auditor:
    """A few questions to the books, for the example's progress and summary."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        """Give the auditor; it connects when it is asked."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.terminate()

    async def states(self) -> dict[str, PaymentState]:
        """Return every payment's state."""
        rows = await self._ask("SELECT id, state FROM payments")
        return {row["id"]: PaymentState(row["state"]) for row in rows}

    async def unfinished(self) -> dict[str, PaymentState]:
        """Return the payments that are neither final nor in an open case for a person."""
        rows = await self._ask(_UNFINISHED, _FINAL)
        return {row["id"]: PaymentState(row["state"]) for row in rows}

    async def sums(self) -> list[tuple[str, PaymentState, str, int, int]]:
        """Return (currency, state, kind, payments, minor units), sorted."""
        rows = await self._ask(_SUMS)
        return [
            (
                row["currency"],
                PaymentState(row["state"]),
                row["kind"],
                row["payments"],
                row["minor"],
            )
            for row in rows
        ]

    async def lived(self) -> list[Lived]:
        """Return when each payment ended that nobody held up."""
        rows = await self._ask(_LIVED, _FINAL)
        return [Lived(row["payment_id"], row["ended"].timestamp()) for row in rows]

    async def nostro_lines(self, partner: str) -> list[NostroLine]:
        """Return every movement on our accounts with a partner, in the books' order."""
        rows = await self._ask(_NOSTRO, partner)
        return [
            NostroLine(row["currency"], row["amount_minor"], row["subject"], row["key"])
            for row in rows
        ]

    async def funded(self) -> set[str]:
        """Return the wallets that a deposit has been booked to."""
        return {row["path"] for row in await self._ask(_FUNDED)}

    async def events_open(self) -> int:
        """Return how many stored events nobody has taken account of yet."""
        rows = await self._ask("SELECT count(*) AS n FROM partner_events WHERE applied_at IS NULL")
        return int(rows[0]["n"])

    async def open_cases(self) -> list[tuple[str, str, str]]:
        """Return (payment or "", kind, detail) of each open case."""
        rows = await self._ask(
            "SELECT coalesce(payment_id, '') AS payment, kind, detail FROM cases"
            " WHERE closed_at IS NULL ORDER BY opened_at, id"
        )
        return [(row["payment"], row["kind"], row["detail"]) for row in rows]

    async def _ask(self, query: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """Ask, over a new connection where the old one is lost.

        Raises:
            ConnectionError: The database does not answer.
        """
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._url, timeout=5)
            return await self._connection.fetch(query, *arguments, timeout=60)
        except _GONE as error:
            if self._connection is not None:
                self._connection.terminate()
            self._connection = None
            raise ConnectionError(f"the books do not answer: {error}") from error
