"""The start guard: whether a database is one that this release may write books into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from bursar.errors import InvalidRequest
from bursar.faults import UnsafeSetup
from ledger.connections import CONNECT_SECONDS, answering

REVISION = "0017"
"""The oldest revision of the books that this release can work with; a newer one is no hindrance."""

LASTING = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings none of which may be off. Source: PostgreSQL manual, "Write Ahead Log"."""

_SHUT = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)

_OFF = "select name from pg_settings where name = any ($1) and setting = 'off' order by name"


async def check_database(dsn: str) -> None:
    """Make sure that the database keeps what it acknowledges, whoever writes it, and fits us.

    On a connection of its own, since ours ask for `synchronous_commit` by themselves, and what
    others write has to last as well.

    Raises:
        InvalidRequest: The database is not there, or does not let this login in.
        UnsafeSetup: A crash could make it forget payments that were sent, or it was not migrated.
        ConnectionError: The database does not answer.
    """
    with answering("whether it may be written"), _let_in():
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            off = [row["name"] for row in await connection.fetch(_OFF, list(LASTING))]
            revision = await revision_of(connection)
        finally:
            await connection.close()
    if off:
        raise UnsafeSetup(
            f"the database has {', '.join(off)} off, so a crash could make it forget payments that"
            f" were sent: set {', '.join(f'{name} = on' for name in off)} (postgresql.conf, ALTER"
            " SYSTEM, ALTER DATABASE or ALTER ROLE), reload it, and start again"
        )
    if revision is None or revision < REVISION:
        stands = "has no books yet" if revision is None else f"has books of revision {revision}"
        raise UnsafeSetup(
            f"the database {stands}, and this release needs {REVISION} or newer: run"
            " `python -m ledger.migrate` against it, and start again"
        )


@contextmanager
def _let_in() -> Iterator[None]:
    """Tell a login that is refused from a database that does not answer."""
    try:
        yield
    except _SHUT as error:
        raise InvalidRequest(
            f"BURSAR_DATABASE_URL: the database refuses it: {error}", field="BURSAR_DATABASE_URL"
        ) from error


async def revision_of(connection: asyncpg.Connection) -> str | None:
    """Return the revision that a database is at; None for one that was never migrated."""
    if await connection.fetchval("select to_regclass('public.alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("select version_num from alembic_version")
    return revision
