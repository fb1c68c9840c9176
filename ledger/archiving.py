"""Archiving: the steps in which a period of the books leaves the database for a file.

It is closed to what comes late; its file is written and forced to the disk, read again and compared
with the books; then one commit notes its seal and its accounts' closing balances, and takes its
table out of `entries`. Each step may be repeated, and a run that is killed anywhere is run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg

from ledger import archive_file
from ledger.archive_file import Balance, Contents, Damaged, Period
from ledger.archive_reasons import reasons
from ledger.reading import Reader

LOCK = 0x6275_7273_6173
"""The advisory lock that one run holds."""
SERVER_SETTINGS = {
    "application_name": "bursar archive",
    "timezone": "UTC",
    "client_connection_check_interval": "1s",  # a run that was killed waits for no lock any more
}
LOCK_TIMEOUT = "1s"
"""How long everybody may have to wait behind us while a period is taken out."""
TRIES_MAX = 30
PAUSE_SECONDS = 1.0

_PERIODS = """
select number, part, first_id, until_id, archived_at, file, sha256, dropped_at
  from periods order by number
"""
_IS_CLOSED = """
select exists (select from pg_trigger where tgrelid = to_regclass($1) and tgname = 'closed')
"""
_CARRIED = "select account_id, seq, posted, held from carried_forward"
_CLOSE_ACCOUNTS = """
insert into closings (account_id, seq, posted, held, period)
select distinct on (account_id) account_id, seq, posted_after, held_after, {number}
  from {part} order by account_id, seq desc
returning account_id, seq, posted, held
"""
_NOTE = """
update periods
   set archived_at = clock_timestamp(), archived_by = session_user, file = $2, sha256 = $3,
       transactions = $4, entries = $5, first_at = $6::text::timestamptz,
       last_at = $7::text::timestamptz
 where number = $1
"""
# The lock first, and on the whole: whoever reads or writes takes it first, too.
_TAKE_OUT = """
lock table only entries in access exclusive mode;
alter table entries detach partition {part};
alter table entries_beyond drop constraint if exists entries_live;
alter table entries_beyond add constraint entries_live check (transaction_id >= {until_id});
"""


class Refused(Exception):
    """A period stays in the books; the message says why."""


class Archive:
    """The archive of one database; each step may be repeated."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self._url = url
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Archive]:
        """Connect, alone: a second one is refused.

        Raises:
            Refused: Another run is at it.
        """
        connection = await asyncpg.connect(url, server_settings=SERVER_SETTINGS)
        try:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", LOCK):
                raise Refused("another run is archiving; wait for it, or end it")
            await connection.execute("set role bursar_owner")
            yield cls(url, connection)
        finally:
            await connection.close()

    async def periods(self) -> list[Period]:
        """Return all periods, oldest first."""
        return [Period(*row) for row in await self._connection.fetch(_PERIODS)]

    async def make_ahead(self) -> int:
        """Make the periods that are to come; return how many were made."""
        return int(await self._connection.fetchval("select make_periods_v1()"))

    async def kept_by(self, period: Period, older_than: timedelta) -> list[str]:
        """Return why a period may not go now: what in it has not ended, or lately."""
        return await reasons(self._connection, period, older_than)

    async def broken(self) -> list[str]:
        """Return why no period may go now: what all checks of the books find."""
        reader = Reader(self._url)
        try:
            report = await reader.check()
        finally:
            await reader.aclose()
        return [f"the books break {b.check} at {b.where}: {b.detail}" for b in report.breaks]

    async def close(self, period: Period) -> None:
        """Let nothing into a period any more; waits for who writes to it now."""
        if not await self._connection.fetchval(_IS_CLOSED, period.part):
            await self._connection.execute(
                f"create trigger closed before insert on {period.part}"
                " for each row execute function refuse_late_entry()"
            )

    async def export(self, period: Period, directory: Path) -> Path:
        """Write the period's file, unless it is there; return its path."""
        path = directory / period.file_name
        if path.exists():
            return path
        return await archive_file.write(self._connection, period, directory)

    async def take_out(self, period: Period, path: Path) -> Contents:
        """Compare the file with the books, and take the period out of them in one commit.

        Raises:
            Damaged: The file is not an archive, or a damaged one.
            Refused: It is not what the books hold, or somebody reads them for too long.
        """
        contents = archive_file.read(path)
        if contents.plain != await archive_file.plain_digest(self._connection, period):
            raise Refused(f"{path} is not what the books hold; move it away and run again")
        for _ in range(TRIES_MAX):
            try:
                async with self._connection.transaction():
                    await self._connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
                    await self._take_out(period, contents)
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return contents
        raise Refused("somebody reads the entries all the time; run again later")

    async def _take_out(self, period: Period, contents: Contents) -> None:
        carried = _balances(await self._connection.fetch(_CARRIED))
        closings = _balances(
            await self._connection.fetch(_CLOSE_ACCOUNTS.format(**period._asdict()))
        )
        fresh = Balance(0, 0, 0)
        followed = {account: carried.get(account, fresh) for account in contents.openings}
        if (contents.openings, contents.closings) != (followed, closings):
            raise Refused("the file's accounts do not go on from the last archive's, or end so")
        noted = (period.number, period.file_name, contents.sha256, contents.transactions)
        times = (contents.entries, contents.first_at, contents.last_at)
        await self._connection.execute(_NOTE, *noted, *times)
        await self._connection.execute(_TAKE_OUT.format(**period._asdict()))

    async def verify(self, path: Path) -> Contents:
        """Compare a file with what the books know of it, long after.

        Raises:
            Damaged: It is not the file that was archived, to the last byte.
        """
        contents = archive_file.read(path)
        known = {p.number: p for p in await self.periods() if p.archived_at}
        period = known.get(contents.period)
        if period is None:
            raise Damaged(f"{path}: the books know of no archive of period {contents.period}")
        if contents.sha256 != period.sha256:
            raise Damaged(f"{path}: SHA-256 {contents.sha256}, archived was {period.sha256}")
        rows = await self._connection.fetch(
            "select account_id, seq, posted, held from closings where period = $1", period.number
        )
        if _balances(rows) != contents.closings:
            raise Damaged(f"{path}: its accounts end otherwise than the books go on")
        return contents

    async def drop(self, period: Period, directory: Path) -> None:
        """Drop the table of an archived period, after its file was found whole.

        Raises:
            Damaged: The file is not the one that was archived.
            OSError: It cannot be read.
        """
        await self.verify(directory / period.file_name)
        async with self._connection.transaction():
            await self._connection.execute(f"drop table {period.part}")
            await self._connection.execute(
                "update periods set dropped_at = clock_timestamp() where number = $1", period.number
            )


def _balances(rows: Sequence[asyncpg.Record]) -> dict[int, Balance]:
    return {row["account_id"]: Balance(row["seq"], row["posted"], row["held"]) for row in rows}
