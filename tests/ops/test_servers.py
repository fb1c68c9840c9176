"""The local servers: ready when they say so, and good after every kind of end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ops.postgres import LocalPostgres, PostgresFailed
from ops.temporal import LocalTemporal


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    directory = Path(tempfile.mkdtemp(prefix="bursar-postgres-"))
    server = LocalPostgres(directory)
    server.start()
    yield server
    server.stop("immediate")
    shutil.rmtree(directory)


async def numbers(server: LocalPostgres) -> list[int]:
    connection = await asyncpg.connect(server.admin_url)
    try:
        return [row["n"] for row in await connection.fetch("SELECT n FROM kept ORDER BY n")]
    finally:
        await connection.close()


async def keep(server: LocalPostgres, number: int) -> None:
    connection = await asyncpg.connect(server.admin_url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        await connection.execute("INSERT INTO kept VALUES ($1)", number)
    finally:
        await connection.close()


async def test_what_was_committed_survives_a_kill_and_a_crash_stop(server: LocalPostgres) -> None:
    await keep(server, 1)
    server.kill()
    server.start()
    await keep(server, 2)
    server.stop("immediate")
    server.start()
    assert await numbers(server) == [1, 2]


async def test_a_wrong_password_is_refused(server: LocalPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url("postgres", user="postgres", password="wrong"))


async def test_nothing_can_turn_off_what_makes_commits_durable(server: LocalPostgres) -> None:
    connection = await asyncpg.connect(server.admin_url)
    try:
        for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert await connection.fetchval(f"SHOW {name}") == "on"
    finally:
        await connection.close()


def test_a_pid_file_that_points_at_a_stranger_does_not_block_the_start(
    server: LocalPostgres,
) -> None:
    server.kill()
    pid_file = server.data / "postmaster.pid"
    words = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join(["1", *words[1:]]))
    server.start()
    assert server.answers()


def test_a_second_server_on_the_same_data_is_refused(server: LocalPostgres) -> None:
    second = LocalPostgres(server.directory)
    with pytest.raises(PostgresFailed, match="already runs"):
        second.start()
    assert server.answers()


def test_an_interrupted_first_start_is_begun_anew() -> None:
    directory = Path(tempfile.mkdtemp(prefix="bursar-postgres-"))
    (directory / "data.new").mkdir()
    (directory / "data.new" / "half").touch()
    server = LocalPostgres(directory)
    try:
        server.start()
        assert server.answers()
    finally:
        server.stop("immediate")
        shutil.rmtree(directory)


async def test_temporal_knows_its_namespace_and_keeps_workflows_over_a_kill(
    tmp_path: Path, temporal: LocalTemporal
) -> None:
    server = LocalTemporal(tmp_path, binary=temporal.binary, ui=False)
    server.start()
    try:
        client = await server.connect()
        handle = await client.start_workflow("Nobody", id="kept", task_queue="nobody")
        server.kill()
        server.start()
        assert (await handle.describe()).id == "kept"
    finally:
        server.stop()
