"""A house of this folder, whose payments wait long for approval, and a raw Temporal client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from bursar import Bursar, temporal
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.house import RULES, House
from tests.workflows.conftest import funded_house

PATIENT_RULES = RULES.replace("approval_expires_after = 3", "approval_expires_after = 3600")


@pytest.fixture(scope="package")
async def house(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[House]:
    """A house with all its processes."""
    async with funded_house(postgres, template, temporal, rules=PATIENT_RULES) as house:
        yield house


@pytest.fixture
async def bursar(house: House) -> Bursar:
    """A client of the house, as a backend has it."""
    return await house.bursar()


@pytest.fixture
async def client(house: House) -> Client:
    """A raw Temporal client, as the UI and any other program has it."""
    return await temporal.connect(house.temporal_address, house.namespace)
