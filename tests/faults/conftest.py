"""One site for each file of faults: what one test has killed, the next finds running again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.site import Site, open_site


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Site]:
    """Servers and a house that no other tests use."""
    async with open_site() as site:
        yield site


@pytest.fixture
async def site(servers: Site) -> Site:
    """The file's site, with everything running whatever an earlier test has left dead."""
    await servers.all_up()
    return servers
