"""The fixtures of the whole suite: fresh, migrated, and with no more rights than in real life."""

from __future__ import annotations

import asyncpg
import pytest


async def test_each_test_has_a_fresh_migrated_database_of_its_own(
    admin_url: str, books_url: str, auditor_url: str
) -> None:
    for url in (admin_url, books_url, auditor_url):
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("SELECT count(*) FROM payments") == 0
        finally:
            await connection.close()


async def test_writer_and_reader_cannot_change_a_table_by_hand(
    books_url: str, auditor_url: str
) -> None:
    for url in (books_url, auditor_url):
        connection = await asyncpg.connect(url)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("UPDATE balances SET posted = 1")
        finally:
            await connection.close()
