"""Durability: whether a database keeps what it has acknowledged when its machine dies."""

from __future__ import annotations

import asyncpg

from bursar.faults import UnsafeSetup
from ledger.connections import CONNECT_SECONDS, answering

NEEDED = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings none of which may be off. Source: PostgreSQL manual, "Write Ahead Log"."""

_QUERY = "select name from pg_settings where name = any ($1) and setting = 'off' order by name"


async def check_durability(dsn: str) -> None:
    """Make sure that the database keeps what it acknowledges, whoever writes it.

    On a connection of its own, since ours ask for `synchronous_commit` by themselves, and what
    others write has to last as well.

    Raises:
        UnsafeSetup: A crash could make it forget payments that were sent.
        ConnectionError: The database does not answer.
    """
    with answering("whether it keeps what it acknowledges"):
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            off = [row["name"] for row in await connection.fetch(_QUERY, list(NEEDED))]
        finally:
            await connection.close()
    if off:
        raise UnsafeSetup(
            f"the database has {', '.join(off)} off, so a crash could make it forget payments that"
            f" were sent: set {', '.join(f'{name} = on' for name in off)} (postgresql.conf, ALTER"
            " SYSTEM, ALTER DATABASE or ALTER ROLE), reload it, and start again"
        )
