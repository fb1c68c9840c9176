"""Archived entries are judged like those in the books, from files that nobody has altered."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from checker.sources.books import CannotCheck
from ledger.archiving import Archive
from tests.checker.conftest import Copy


async def test_a_life_whose_entries_are_archived_is_judged_from_their_file(
    copy: Copy, tmp_path: Path
) -> None:
    whole = await copy.report()
    file = str(await archive(copy, tmp_path))
    with pytest.raises(CannotCheck, match=r"entries-0001-1-9999999\.jsonl\.gz; name them by"):
        await copy.report()
    assert await copy.report("--archive", file) == whole
    await copy.sql("UPDATE balances SET posted = posted + 5 WHERE posted > 0")
    assert (await copy.report("--archive", file)).invariants["INV-02"] > 0


async def test_an_archive_that_was_altered_is_not_judged(copy: Copy, tmp_path: Path) -> None:
    path = await archive(copy, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.raises(CannotCheck, match="was altered"):
        await copy.report("--archive", str(path))


async def test_a_part_that_can_be_changed_is_the_table_that_can(copy: Copy) -> None:
    await copy.sql("DROP TRIGGER frozen ON entries_2", "GRANT DELETE ON entries_3 TO bursar_writer")
    found = (await copy.report()).examples["INV-05"]
    assert found[0] == "entries: rows can be changed: its triggers are gone or off"
    assert "entries: bursar_writer may write it past the functions" in found[1:]
    past = " may write it past the functions"  # and its logins, where this server has some
    assert all(one.startswith("entries: ") and one.endswith(past) for one in found[1:])


async def archive(copy: Copy, directory: Path) -> Path:
    """Take the first period out of a copy, as if it had ended long ago."""
    connection = await asyncpg.connect(copy.admin_url)
    try:
        await connection.execute("SELECT setval('transactions_id_seq', 10000000)")
    finally:
        await connection.close()
    async with Archive.open(copy.admin_url) as one:
        period = (await one.periods())[0]
        assert "cases are open" in " ".join(await one.kept_by(period, timedelta()))
        await one.close(period)
        path = await one.export(period, directory)
        await one.take_out(period, path)
    return path
