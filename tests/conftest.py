"""Fixtures on real parts: a PostgreSQL server, fresh databases in it, and a Temporal server."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from ledger.migrate import ensure_login, upgrade
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal, find_temporal

WRITER = "test_writer"
READER = "test_reader"
LOGIN_PASSWORD = "for-tests-only"
TEMPLATE = "bursar_template"


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalPostgres]:
    """A server of this test run; BURSAR_TEST_POSTGRES_BIN names another version's binaries."""
    bin_dir = os.environ.get("BURSAR_TEST_POSTGRES_BIN")
    # Not under pytest's own folder: that one is closed to the user who runs the server for root.
    directory = Path(tempfile.mkdtemp(prefix="bursar-postgres-"))
    server = LocalPostgres(directory, bin_dir=Path(bin_dir) if bin_dir else None)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(directory)


async def run_sql(url: str, *statements: str) -> None:
    """Run statements one by one, each in its own commit."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def template(postgres: LocalPostgres) -> str:
    """The name of a migrated database with its logins, from which fresh ones are copied."""
    await run_sql(postgres.admin_url, f"CREATE DATABASE {TEMPLATE}")
    url = postgres.url(TEMPLATE, user="postgres", password=postgres.password)
    await upgrade(url)
    await ensure_login(url, WRITER, LOGIN_PASSWORD, "bursar_writer")
    await ensure_login(url, READER, LOGIN_PASSWORD, "bursar_reader")
    return TEMPLATE


@pytest.fixture
async def admin_url(postgres: LocalPostgres, template: str) -> AsyncIterator[str]:
    """The superuser's address of a fresh migrated database, dropped after the test."""
    name = f"books_{uuid.uuid4().hex}"
    await run_sql(postgres.admin_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres.url(name, user="postgres", password=postgres.password)
    await run_sql(postgres.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


def _as_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return f"postgresql://{login}:{LOGIN_PASSWORD}@{parts.hostname}:{parts.port}{parts.path}"


@pytest.fixture
def books_url(admin_url: str) -> str:
    """The writer's address of the same fresh database as `admin_url`."""
    return _as_login(admin_url, WRITER)


@pytest.fixture
def auditor_url(admin_url: str) -> str:
    """The reader's address of the same fresh database as `admin_url`."""
    return _as_login(admin_url, READER)


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[LocalTemporal]:
    """A Temporal server of this test run, with `client`, `address` and `unique`."""
    directory = Path(tempfile.mkdtemp(prefix="bursar-temporal-"))
    server = LocalTemporal(directory, binary=find_temporal(), ui=False)
    try:
        server.start()
        await server.connect()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)
