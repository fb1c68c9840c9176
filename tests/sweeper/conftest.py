"""A site of its own whose sweeper, and whose checks, look every other second."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from bursar import Bursar, temporal
from tests.faults.site import RULES, Site, open_site

SWEEPS = {
    "BURSAR_SWEEP_EVERY": "PT2S",
    "BURSAR_SWEEP_GRACE": "PT1S",
    "BURSAR_CHECK_EVERY": "PT2S",
}
SHORT = RULES + "step_within = 3\n"
"""Rules under which a payment that no worker takes is soon past its time."""


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Site]:
    """Servers and a house that no other tests use."""
    async with open_site(SWEEPS, SHORT) as site:
        yield site


@pytest.fixture
async def site(servers: Site) -> Site:
    """The file's site, with everything running whatever an earlier test has left dead."""
    await servers.all_up()
    return servers


@pytest.fixture
async def client(site: Site) -> Client:
    """A raw Temporal client, as the UI and the CLI have it."""
    return await temporal.connect(site.house.temporal_address, site.house.namespace)


@pytest.fixture
async def bursar(site: Site) -> Bursar:
    """A client, as a backend has it."""
    return await site.house.bursar()
