"""Archive files: a period's transactions with their entries, one JSON object a line, gzipped.

The first line says what it is: `{"format": "bursar archive 1", "period": 1, "first_id": 1,
"until_id": 10000000}`. Every further one is a transaction, by rising id: the columns of
`transactions` (digest in hex, moments in ISO 8601, UTC) and `entries`, each with the columns of
`entries` and its account's path; a refusal and a step that moves nothing have none. Amounts are
minor units, credits positive. Any program that reads JSON can read it; nothing of ours is needed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

FORMAT = "bursar archive 1"
LEVEL = 6
"""Of gzip: 9 takes twice the time for a hundredth of the bytes."""

_LINES = """
select json_build_object(
           'id', t.id, 'key', t.key, 'digest', encode(t.digest, 'hex'), 'kind', t.kind,
           'outcome', t.outcome, 'payment_id', t.payment_id, 'attempt_key', t.attempt_key,
           'evidence_id', t.evidence_id, 'reverses', t.reverses, 'effective_on', t.effective_on,
           'booked_at', t.booked_at, 'actor', t.actor, 'reason', t.reason, 'era', t.era,
           'xid', t.xid, 'entries', coalesce(e.entries, '[]'))
  from transactions t
  left join (select x.transaction_id, json_agg(json_build_object(
                        'account', a.path, 'account_id', x.account_id, 'seq', x.seq,
                        'currency', x.currency, 'delta', x.delta, 'held', x.held,
                        'posted_after', x.posted_after, 'held_after', x.held_after,
                        'hold_id', x.hold_id) order by x.account_id, x.seq) as entries
               from {part} x left join accounts a on a.id = x.account_id
              group by x.transaction_id) e on e.transaction_id = t.id
 where t.id >= {first_id} and t.id < {until_id}
 order by t.id
"""


class Damaged(Exception):
    """A file is not an archive, or not a sound one; the message says where."""


class Period(NamedTuple):
    """A row of `periods`: which transactions are its own, and what became of it."""

    number: int
    part: str
    first_id: int
    until_id: int
    archived_at: datetime | None
    file: str | None
    sha256: str | None
    dropped_at: datetime | None

    @property
    def file_name(self) -> str:
        """How its archive is called."""
        return f"entries-{self.number:04}-{self.first_id}-{self.until_id - 1}.jsonl.gz"


class Balance(NamedTuple):
    """Where an account stands: the number of its last entry, posted and held in minor units."""

    seq: int
    posted: int
    held: int


@dataclass
class Contents:
    """What a file holds, found sound: all of it balances, and each account's entries follow."""

    period: int
    first_id: int
    until_id: int
    transactions: int = 0
    entries: int = 0
    first_at: str | None = None
    last_at: str | None = None
    openings: dict[int, Balance] = field(default_factory=dict)
    """Each account before its first entry."""
    closings: dict[int, Balance] = field(default_factory=dict)
    """Each account after its last one."""
    plain: str = ""
    """SHA-256 of the lines; hex."""
    sha256: str = ""
    """SHA-256 of the file's bytes; hex."""


async def plain_digest(connection: asyncpg.Connection, period: Period) -> str:
    """Return the SHA-256 of the lines that a period's file has to hold, from the books."""
    plain = hashlib.sha256()

    async def add(lines: bytes) -> None:
        plain.update(lines)

    await _copy(connection, period, add)
    return plain.hexdigest()


async def write(connection: asyncpg.Connection, period: Period, directory: Path) -> Path:
    """Write a period's file; it bears its name only once all of it is on the disk.

    Args:
        connection: Its session's time zone has to be UTC.
        period: Closed, and its entries still in the books.
        directory: Where to.

    Raises:
        OSError: The file cannot be written.
    """
    path = directory / period.file_name
    part = path.with_suffix(".part")
    with part.open("wb") as raw:
        with gzip.GzipFile("", "wb", LEVEL, fileobj=raw, mtime=0) as packed:

            async def add(lines: bytes) -> None:
                packed.write(lines)

            await _copy(connection, period, add)
        raw.flush()
        os.fsync(raw.fileno())
    part.rename(path)
    _sync(directory)
    return path


def read(path: Path) -> Contents:
    """Read a file from its first byte to its last, and judge it by itself.

    Raises:
        Damaged: It is not an archive, does not balance, or entries do not follow one another.
        OSError: It cannot be read.
    """
    plain = hashlib.sha256()
    try:
        with path.open("rb") as raw:
            sha256 = hashlib.file_digest(raw, "sha256").hexdigest()
        with gzip.open(path, "rb") as packed:
            lines = _hashed(packed, plain)
            contents = _head(next(lines, b""))
            for number, line in enumerate(lines, start=2):
                _add(contents, json.loads(line), number)
    except (EOFError, gzip.BadGzipFile, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path} is no archive, or a damaged one: {error!r}") from error
    except _Unsound as error:
        raise Damaged(f"{path} is not sound: {error}") from error
    contents.plain, contents.sha256 = plain.hexdigest(), sha256
    return contents


async def _copy(
    connection: asyncpg.Connection,
    period: Period,
    add: Callable[[bytes], Coroutine[Any, Any, None]],
) -> None:
    head = {
        "format": FORMAT,
        "period": period.number,
        "first_id": period.first_id,
        "until_id": period.until_id,
    }
    await add(json.dumps(head).encode() + b"\n")
    query = _LINES.format(**period._asdict())
    # JSON has no control characters, so nothing is ever quoted: lines are what the server made.
    await connection.copy_from_query(
        query, output=add, format="csv", quote="\x01", delimiter="\x02"
    )


def _sync(directory: Path) -> None:
    """Make a new name in a directory survive a crash of the machine."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Unsound(Exception):
    """What stands in a line cannot be."""


def _hashed(packed: Iterable[bytes], plain: hashlib._Hash) -> Iterator[bytes]:
    for line in packed:
        plain.update(line)
        yield line


def _head(line: bytes) -> Contents:
    head = json.loads(line)
    if head["format"] != FORMAT:
        raise ValueError(f"its format is {head['format']!r}, not {FORMAT!r}")
    return Contents(head["period"], head["first_id"], head["until_id"])


def _add(contents: Contents, row: dict[str, Any], line: int) -> None:
    if not contents.first_id <= row["id"] < contents.until_id:
        raise _Unsound(f"line {line}: transaction {row['id']} is of another period")
    sums: defaultdict[str, int] = defaultdict(int)
    for entry in row["entries"]:
        sums[entry["currency"]] += entry["delta"]
        _follow(contents, entry, line)
    if any(sums.values()):
        raise _Unsound(f"line {line}: {row['key']} does not balance: {dict(sums)}")
    contents.transactions += 1
    contents.entries += len(row["entries"])
    contents.first_at = contents.first_at or row["booked_at"]
    contents.last_at = row["booked_at"]


def _follow(contents: Contents, entry: dict[str, Any], line: int) -> None:
    """Note where an entry leaves its account, which has to be where its numbers lead."""
    account, delta, held = entry["account_id"], entry["delta"], entry["held"]
    after = Balance(entry["seq"], entry["posted_after"], entry["held_after"])
    before = Balance(after.seq - 1, after.posted - delta, after.held - held)
    if contents.closings.setdefault(account, before) != before:
        raise _Unsound(
            f"line {line}: entry {after.seq} of {entry['account']} does not follow the one before"
        )
    contents.openings.setdefault(account, before)
    contents.closings[account] = after
