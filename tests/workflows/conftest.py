"""One house for all scenario tests of this folder; payments in it have ids of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bursar import Bursar
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.house import RULES, House, open_house

WALLETS = ("wallet/acme/EUR", "wallet/acme/USD", "wallet/acme/GBP", "wallet/acme/KES")


@asynccontextmanager
async def funded_house(
    postgres: LocalPostgres,
    template: str,
    temporal: LocalTemporal,
    *,
    mode: str = "keys_and_lookup",
    rules: str = RULES,
    bank: Mapping[str, str] | None = None,
) -> AsyncIterator[House]:
    """Open a house with a database of its own and money in its wallets."""
    database = temporal.unique("house").replace("-", "_")
    await run_sql(postgres.admin_url, f"CREATE DATABASE {database} TEMPLATE {template}")
    directory = Path(tempfile.mkdtemp(prefix="bursar-house-"))
    books_url = postgres.url(database, user=WRITER, password=LOGIN_PASSWORD)
    async with open_house(
        directory,
        temporal,
        books_url,
        bank={"BANK_MODE": mode, **(bank or {})},
        adapter={"PARTNER_SIMULATOR_MODE": mode},
        rules=rules,
    ) as house:
        await house.fund(*WALLETS)
        yield house
    shutil.rmtree(directory)


@pytest.fixture(scope="package")
async def house(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house whose bank honours keys and can be asked."""
    async with funded_house(postgres, template, temporal) as house:
        yield house


@pytest.fixture
async def bursar(house: House) -> Bursar:
    """A client of the house, as a backend has it."""
    return await house.bursar()
