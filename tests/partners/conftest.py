"""Every partner's bank in each of its variants, found by the folders under partners/."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from partners.loading import names
from partners.port import Partner
from partners.rehearsal import Rehearsal, open_rehearsal, variants

CASES = [(name, variant) for name in names() for variant in variants(name)]


@pytest.fixture(scope="session", params=CASES, ids=["-".join(case) for case in CASES])
async def rehearsal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rehearsal]:
    """A running bank of one partner in one variant."""
    name, variant = request.param
    async with open_rehearsal(name, variant, tmp_path_factory.mktemp(name)) as running:
        yield running


@pytest.fixture
async def partner(rehearsal: Rehearsal) -> AsyncIterator[Partner]:
    """The adapter of that bank."""
    adapter = rehearsal.partner()
    yield adapter
    await adapter.aclose()
