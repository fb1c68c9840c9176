"""Fixtures: a gateway with real books, with and without a Temporal server behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bursar import temporal as connecting
from bursar.names import PAYMENTS_QUEUE
from gateway.engine import Engine
from gateway.relay import Pace, Relay
from gateway.resources import Resources
from gateway.tokens import read_tokens
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from ops.temporal import LocalTemporal
from tests.gateway.recorder import WORKFLOWS
from tests.gateway.stand import Gateway, serving, simulator, write_tokens

NAMESPACE = "bursar"
PACE = Pace(poll_seconds=0.1, retry_seconds=0.05, retry_seconds_max=0.2, failures_max=2)


@asynccontextmanager
async def gateway_at(
    books_url: str, temporal_address: str, directory: Path, pace: Pace = PACE
) -> AsyncIterator[Gateway]:
    """Run a gateway on these books that looks for Temporal at an address."""
    async with AsyncExitStack() as stack:
        books = await stack.enter_async_context(PostgresBooks.open(books_url))
        reader = Reader(books_url)
        stack.push_async_callback(reader.aclose)
        partner = simulator()
        stack.push_async_callback(partner.aclose)
        engine = Engine(await connecting.connect(temporal_address, NAMESPACE, lazy=True))
        resources = Resources(
            books=books,
            reader=reader,
            engine=engine,
            relay=Relay(books, engine, pace),
            partners={partner.name: partner},
            tokens=read_tokens(write_tokens(directory)),
            stops=await stack.enter_async_context(Oversight.open(books_url)),
        )
        yield await stack.enter_async_context(serving(resources))


@pytest.fixture
async def gateway(
    books_url: str, temporal: LocalTemporal, tmp_path: Path
) -> AsyncIterator[Gateway]:
    """A gateway on fresh books and the Temporal server of the test run."""
    async with gateway_at(books_url, temporal.address, tmp_path) as running:
        yield running


@pytest.fixture
async def alone(books_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway on fresh books, with no Temporal anywhere."""
    async with gateway_at(books_url, "127.0.0.1:1", tmp_path) as running:
        yield running


@pytest.fixture
async def recorders(temporal: LocalTemporal) -> AsyncIterator[Client]:
    """A worker whose workflows only record; gives the client to look at them with."""
    client = await connecting.connect(temporal.address, NAMESPACE)
    async with Worker(
        client,
        task_queue=PAYMENTS_QUEUE,
        workflows=WORKFLOWS,
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield client
