"""The application: all routes over given resources, with the relay at their side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from gateway import accounts, books, events, health, payments, rails
from gateway.documents import document
from gateway.door import Door
from gateway.problems import answer_with_problems
from gateway.resources import Resources


def create_app(resources: Resources) -> FastAPI:
    """Return the gateway's application; its relay runs as long as the application does."""

    @asynccontextmanager
    async def relaying(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(resources.relay.run(), name="relay")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    app = FastAPI(
        title="Bursar gateway",
        version=version("bursar"),
        docs_url=None,  # the page would load its scripts from elsewhere
        redoc_url=None,
        lifespan=relaying,
    )
    app.state.resources = resources
    for router in (m.router for m in (events, payments, rails, accounts, books, health)):
        app.include_router(router)
    answer_with_problems(app)
    app.add_middleware(Door)

    @cache
    def described() -> dict[str, Any]:
        return document(app, [*payments.BODIES, *rails.BODIES, *accounts.BODIES])

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app
