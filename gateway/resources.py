"""Resources: what the gateway works with, handed in so that tests may hand in their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from bursar import temporal
from bursar.gate import RailList
from bursar.payments import PaymentKind, PaymentState
from bursar.views import AccountList, BooksReport, PaymentPage, PaymentView
from gateway.engine import Engine
from gateway.relay import Relay
from gateway.settings import Settings
from gateway.tokens import Tokens, read_tokens
from ledger.books import Books
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from partners.loading import load
from partners.port import Partner


class Reading(Protocol):
    """What the gateway reads out of the books; all raise `ConnectionError` without a database."""

    async def payments(
        self,
        *,
        state: PaymentState | None = None,
        kind: PaymentKind | None = None,
        tenant: str | None = None,
        account: str | None = None,
        partner: str | None = None,
        batch_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> PaymentPage:
        """Return a page of payments; `InvalidRequest` where the cursor is none that a page gave."""

    async def payment(self, payment_id: str) -> PaymentView | None:
        """Return everything that is known of a payment, or None."""

    async def accounts(
        self, *, prefix: str | None = None, tenant: str | None = None
    ) -> AccountList:
        """Return accounts with their balances."""

    async def rails(self) -> RailList:
        """Return how the gate stands, and what waits before it."""

    async def check(self) -> BooksReport:
        """Run every check over one snapshot."""

    def export(self, style: str) -> AsyncIterator[str]:
        """Give the journal as plain-text accounting, piece by piece."""


@dataclass(frozen=True)
class Resources:
    """Everything behind the gateway's endpoints."""

    books: Books
    reader: Reading
    engine: Engine
    relay: Relay
    partners: Mapping[str, Partner]
    tokens: Tokens


def resources_of(request: Request) -> Resources:
    """Return the resources of the application that serves a request."""
    resources: Resources = request.app.state.resources
    return resources


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open what the gateway works with; Temporal need not be up yet.

    Raises:
        ConnectionError: The database does not answer.
        TokensFileInvalid: The tokens file is missing or wrong.
        InvalidRequest: There is no such partner.
        pydantic.ValidationError: A partner's settings are missing or wrong.
    """
    tokens = read_tokens(settings.tokens_file)
    url = settings.database_url.get_secret_value()
    async with AsyncExitStack() as stack:
        partners = {name: load(name) for name in settings.partners}
        for partner in partners.values():
            stack.push_async_callback(partner.aclose)
        books = await stack.enter_async_context(PostgresBooks.open(url))
        reader = Reader(url)
        stack.push_async_callback(reader.aclose)
        client = await temporal.connect(
            settings.temporal_address, settings.temporal_namespace, lazy=True
        )
        engine = Engine(client)
        yield Resources(books, reader, engine, Relay(books, engine), partners, tokens)
