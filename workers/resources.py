"""Resources: everything a worker holds open, opened once and closed in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client

from activities.rules import Rules, read_rules
from bursar import temporal
from ledger.accounts import rail_accounts
from ledger.books import Books
from ledger.oversight import Oversight
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from ledger.start_guard import check_database
from partners.fence import check_environment
from partners.loading import load
from partners.port import Partner
from workers.settings import Settings

READERS_MAX = 2
"""Of all the books and of what is new in them: both may be checked at once."""


@dataclass(frozen=True)
class Resources:
    """What the activities and workers of one process share."""

    client: Client
    books: Books
    oversight: Oversight
    reader: Reader
    partners: dict[str, Partner]
    rules: Rules


Opening = Callable[[Settings], AbstractAsyncContextManager[Resources]]
"""How a process comes by its resources; the fault battery wraps them."""


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open books, partners and Temporal, and make sure that every rail has its accounts.

    Raises:
        InvalidRequest: A setting names a file or partner that is not there or not right.
        ServiceUnavailable: Temporal does not answer.
        ConnectionError: The database does not answer.
        UnsafeSetup: The database may forget, or a partner is of another environment.
    """
    rules = read_rules(settings.rules_file)
    async with AsyncExitStack() as stack:
        partners = {name: load(name) for name in settings.partners}
        for partner in partners.values():
            stack.push_async_callback(partner.aclose)
        check_environment(settings.environment, partners.values())
        await check_database(str(settings.database_url))
        books = await stack.enter_async_context(PostgresBooks.open(str(settings.database_url)))
        for partner in partners.values():
            await books.open_accounts(
                rail_accounts(partner.name, sorted(partner.guarantees.currencies))
            )
        oversight = await stack.enter_async_context(Oversight.open(str(settings.database_url)))
        reader = Reader(str(settings.database_url), connections_max=READERS_MAX)
        stack.push_async_callback(reader.aclose)
        client = await temporal.connect(settings.temporal_address, settings.temporal_namespace)
        yield Resources(
            client=client,
            books=books,
            oversight=oversight,
            reader=reader,
            partners=partners,
            rules=rules,
        )
