"""A worker that dies on order: the product's own, with mortal parts handed in."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx

from bursar.exit import leave
from ledger.books import Books
from partners.loading import load
from tests.battery.mortal import MortalBooks, MortalNetwork, mortal_partners
from tests.battery.orders import Fate, Orders
from workers.__main__ import serve
from workers.resources import Resources, open_resources
from workers.serving import queues
from workers.settings import Settings


@asynccontextmanager
async def open_mortal(settings: Settings) -> AsyncIterator[Resources]:
    """Open the resources of a worker, and wrap them."""
    fate = Fate(Orders(Path(os.environ["BATTERY_ORDERS"])))
    async with open_resources(settings) as resources:
        partners = {
            name: load(
                name, MortalNetwork(fate, httpx.AsyncHTTPTransport(trust_env=False, retries=0))
            )
            for name in settings.partners
        }
        try:
            yield replace(
                resources,
                books=cast(Books, MortalBooks(resources.books, fate)),
                partners=mortal_partners(partners, fate),
            )
        finally:
            for partner in partners.values():
                await partner.aclose()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    own = Settings()
    asyncio.run(serve(own, queues(own), open_mortal))
    leave(0)
