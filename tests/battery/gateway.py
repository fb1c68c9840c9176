"""A gateway that dies on order: the product's own, with mortal parts handed in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from bursar.exit import leave
from gateway.__main__ import serve
from gateway.engine import Engine
from gateway.logs import write_json_logs
from gateway.relay import Relay
from gateway.resources import Resources, open_resources
from gateway.settings import Settings, read_settings
from ledger.books import Books
from tests.battery.mortal import MortalBooks, MortalEngine
from tests.battery.orders import Fate, Orders


@asynccontextmanager
async def open_mortal(settings: Settings) -> AsyncIterator[Resources]:
    """Open the resources of a gateway, and wrap them."""
    fate = Fate(Orders(Path(os.environ["BATTERY_ORDERS"])))
    async with open_resources(settings) as resources:
        books = cast(Books, MortalBooks(resources.books, fate))
        engine = cast(Engine, MortalEngine(resources.engine, fate))
        yield replace(resources, books=books, engine=engine, relay=Relay(books, engine))


if __name__ == "__main__":
    write_json_logs()
    asyncio.run(serve(read_settings(), open_mortal))
    leave(0)
