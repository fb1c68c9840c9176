"""Resources: what the gateway works with, handed in so that tests may hand in their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from bursar import temporal
from bursar.gate import RailList
from bursar.payments import PaymentKind, PaymentState
from bursar.views import (
    AccountList,
    BooksReport,
    CasePage,
    CaseView,
    CheckRounds,
    EventPage,
    NoSend,
    PaymentPage,
    PaymentView,
)
from gateway.engine import Engine
from gateway.relay import Relay
from gateway.settings import Settings
from gateway.tokens import Tokens, read_tokens
from ledger.books import Books
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from ledger.start_guard import check_database
from partners.fence import check_environment
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
        stuck: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> PaymentPage:
        """Return a page of payments; `InvalidRequest` where the cursor is none that a page gave."""

    async def payment(self, payment_id: str) -> PaymentView | None:
        """Return everything that is known of a payment, or None."""

    async def cases(
        self,
        *,
        state: str = "open",
        kind: str | None = None,
        owner: str | None = None,
        payment_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> CasePage:
        """Return a page of cases; `InvalidRequest` where the cursor is none that a page gave."""

    async def case(self, case_id: int) -> CaseView | None:
        """Return a case with what people said of it, or None."""

    async def events(
        self,
        *,
        set_aside: bool = False,
        partner: str | None = None,
        payment_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> EventPage:
        """Return a page of events; `InvalidRequest` where the cursor is none that a page gave."""

    async def accounts(
        self, *, prefix: str | None = None, tenant: str | None = None
    ) -> AccountList:
        """Return accounts with their balances."""

    async def rails(self) -> RailList:
        """Return how the gate stands, and what waits before it."""

    async def check(self, *, since_last: bool = False) -> BooksReport:
        """Run every check over one snapshot, or over what is new in it since the last round."""

    async def check_rounds(self, limit: int = 10) -> CheckRounds:
        """Return the newest rounds of checks on record, and whether one is overdue."""

    def export(self, style: str) -> AsyncIterator[str]:
        """Give the journal as plain-text accounting, piece by piece."""


class Stops(Protocol):
    """What has stopped all sending; raises `ConnectionError` without a database."""

    async def no_send(self) -> NoSend:
        """Return whether sending is stopped, and what has to be compared."""


@dataclass(frozen=True)
class Resources:
    """Everything behind the gateway's endpoints."""

    books: Books
    reader: Reading
    engine: Engine
    relay: Relay
    partners: Mapping[str, Partner]
    tokens: Tokens
    stops: Stops


Opening = Callable[[Settings], AbstractAsyncContextManager[Resources]]
"""How the process comes by its resources; the fault battery wraps them."""


def resources_of(request: Request) -> Resources:
    """Return the resources of the application that serves a request."""
    resources: Resources = request.app.state.resources
    return resources


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open what the gateway works with; Temporal need not be up yet.

    Raises:
        ConnectionError: The database does not answer.
        UnsafeSetup: The database may forget, or a partner is of another environment.
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
        check_environment(settings.environment, partners.values())
        await check_database(url)
        oversight = await stack.enter_async_context(Oversight.open(url))
        books = await stack.enter_async_context(PostgresBooks.open(url))
        reader = Reader(url)
        stack.push_async_callback(reader.aclose)
        client = await temporal.connect(
            settings.temporal_address, settings.temporal_namespace, lazy=True
        )
        engine = Engine(client)
        yield Resources(books, reader, engine, Relay(books, engine), partners, tokens, oversight)
