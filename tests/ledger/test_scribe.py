"""The scribe under faults: what was answered is durable, and what was not can be asked again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from bursar.errors import ContentConflict, LedgerBusy
from ledger import scribe
from ledger.changes import Written
from ledger.connections import SERVER_SETTINGS
from ledger.migrate import ensure_login, upgrade
from ledger.postgres import PostgresBooks
from ops.postgres import LocalPostgres
from tests.ledger.conftest import open_usual_accounts
from tests.ledger.steps import ANA, BEN, breaks, deposit, transfer, until
from tests.links import Link, Loss


@pytest.mark.faults
@pytest.mark.parametrize("loss", ["request", "reply"])
async def test_a_lost_commit_reply_books_once_and_answers(
    books: PostgresBooks, books_url: str, loss: Loss
) -> None:
    async with Link.to(books_url) as link, PostgresBooks.open(link.url(books_url)) as far:
        await far.write(deposit("d/1", 1_000))
        link.lose(loss, holding=b"t/lost")
        answers = await asyncio.gather(
            far.write(transfer("t/lost", 10)), *(far.write(transfer(f"t/{n}", 1)) for n in range(9))
        )
        assert link.lost == [loss]
    # The lost request was never booked before the second try; the lost reply's booking was.
    assert [answer.repeated for answer in answers] == [loss == "reply"] * 10
    assert {answer.refusal for answer in answers} == {None}
    ana = await books.account(ANA)
    assert ana is not None
    assert ana.posted_minor == 1_000 - 19
    assert await breaks(books_url) == []


async def test_who_joins_a_change_under_way_hears_that_nothing_was_written_for_them(
    books: PostgresBooks,
) -> None:
    """W1: one movement told by many events at once; all but one have to see to their own event."""
    told = [deposit("d/1", 9)._replace(evidence_id=f"event/{number}") for number in range(20)]
    answers = await asyncio.gather(*(books.write(change) for change in told))
    assert [answer.repeated for answer in answers] == [False] + [True] * 19
    assert (await books.write(told[0])).repeated


async def make_fail(owner: asyncpg.Connection, key: str, sqlstate: str) -> None:
    """Let the server fail at every commit that carries this key, and at no other."""
    await owner.execute(
        f"""create function fail() returns trigger language plpgsql as $$ begin
                raise 'no such luck' using errcode = '{sqlstate}'; end $$;
            create trigger fail before insert on transactions for each row
                when (new.key = '{key}') execute function fail()"""
    )


@pytest.mark.faults
@pytest.mark.parametrize(
    ("sqlstate", "heard"),
    [
        ("XX000", asyncpg.InternalServerError),
        ("53200", asyncpg.OutOfMemoryError),
        ("57014", LedgerBusy),
    ],
)
async def test_whatever_the_server_fails_at_costs_only_the_guilty_change(
    books: PostgresBooks, owner: asyncpg.Connection, sqlstate: str, heard: type[Exception]
) -> None:
    await books.write(deposit("d/1", 1_000))
    await make_fail(owner, "t/7", sqlstate)
    answers = await asyncio.gather(
        *(books.write(transfer(f"t/{n}", 1)) for n in range(20)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Written] * 7 + [heard] + [Written] * 12
    assert await owner.fetchval("select count(*) from transactions") == 20


@pytest.mark.faults
@pytest.mark.parametrize("loss", [None, "reply"])
@pytest.mark.parametrize("sqlstate", ["40001", "57014", "XX000", "23514"])
async def test_who_gives_up_after_a_lost_reply_never_says_that_nothing_was_written(
    books: PostgresBooks,
    books_url: str,
    owner: asyncpg.Connection,
    loss: Loss | None,
    sqlstate: str,
) -> None:
    async with (
        Link.to(books_url) as link,
        PostgresBooks.open(link.url(books_url), lanes=1) as far,
    ):
        await far.write(deposit("d/1", 1_000))
        await make_fail(owner, "t/lost", sqlstate)
        if loss is not None:
            link.lose(loss, holding=b"t/lost")
        answers = await asyncio.gather(
            far.write(transfer("t/lost", 10)),
            *(far.write(transfer(f"t/{n}", 1)) for n in range(3)),
            return_exceptions=True,
        )
        kinds = [type(answer) for answer in answers]
        if loss is not None:
            assert kinds[0] is ConnectionError
        elif sqlstate in ("40001", "57014"):
            assert kinds[0] is LedgerBusy
        if sqlstate != "40001":  # which is no one's fault, so nobody is tried apart
            assert kinds[1:] == [Written] * 3
        await owner.execute("drop trigger fail on transactions")
        assert (await far.write(transfer("t/lost", 10))).repeated is False


@pytest.fixture
async def own_server() -> AsyncIterator[tuple[LocalPostgres, str]]:
    """A server that a test may kill, with migrated books and the writer's address."""
    directory = Path(tempfile.mkdtemp(prefix="bursar-crash-"))
    server = LocalPostgres(directory)
    await asyncio.to_thread(server.start)
    try:
        await upgrade(server.admin_url)
        await ensure_login(server.admin_url, "writer", "for-tests-only", "bursar_writer")
        yield server, server.url("postgres", user="writer", password="for-tests-only")
    finally:
        await asyncio.to_thread(server.stop, "immediate")
        shutil.rmtree(directory)


class Callers:
    """Callers who write transfers and ask again, by the same key, until they are answered."""

    def __init__(self, books: PostgresBooks, count: int) -> None:
        self.books = books
        self.numbers = iter(range(count))
        self.answered: dict[str, Written] = {}
        self.enough = asyncio.Event()
        self.server_is_back = asyncio.Event()

    async def call(self) -> None:
        for number in self.numbers:  # shared: each caller takes the next one
            one = transfer(f"t/{number}", 1 + number % 7)
            while one.key not in self.answered:
                try:
                    self.answered[one.key] = await self.books.write(one)
                except ConnectionError:
                    await self.server_is_back.wait()
            if len(self.answered) >= 500:
                self.enough.set()


@pytest.mark.faults
async def test_every_change_that_was_answered_survives_a_killed_server_once(
    own_server: tuple[LocalPostgres, str],
) -> None:
    server, url = own_server
    async with PostgresBooks.open(url) as books:
        await open_usual_accounts(books)
        await books.write(deposit("d/1", 1_000_000))
        callers = Callers(books, 3_000)
        tasks = [asyncio.create_task(callers.call()) for _ in range(64)]
        await callers.enough.wait()
        server.kill()
        answered_before = set(callers.answered)
        await asyncio.to_thread(server.restart)
        booked_before = {key for key, _, _ in await bookings(url)}
        callers.server_is_back.set()
        await asyncio.gather(*tasks)

    assert 500 <= len(answered_before) < len(callers.answered) == 3_000
    assert answered_before <= booked_before
    booked = await bookings(url)
    assert {key for key, _, _ in booked} == set(callers.answered)
    for key, legs, amount in booked:
        assert (legs, amount) == (2, 1 + int(key[2:]) % 7)
    assert await breaks(url) == []


async def bookings(url: str) -> list[tuple[str, int, int]]:
    """Return key, number of legs and amount of each booked transfer."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select t.key, count(*), max(delta) from transactions t"
            " join entries e on e.transaction_id = t.id where t.key like 't/%' group by t.key"
        )
    finally:
        await connection.close()
    return [(row[0], row[1], row[2]) for row in rows]


@pytest.mark.faults
async def test_a_database_that_is_gone_is_a_connection_error_everywhere(
    own_server: tuple[LocalPostgres, str],
) -> None:
    server, url = own_server
    async with PostgresBooks.open(url) as books:
        await open_usual_accounts(books)
        server.kill()
        with pytest.raises(ConnectionError):
            await books.write(deposit("d/1", 1))
        with pytest.raises(ConnectionError):
            await books.account(ANA)
        with pytest.raises(ConnectionError):
            await books.mark_taken(1)
        await asyncio.to_thread(server.restart)
        assert (await books.write(deposit("d/1", 1))).refusal is None
        assert await books.account(ANA) is not None


async def test_books_without_a_database_do_not_open() -> None:
    with pytest.raises(ConnectionError):
        async with PostgresBooks.open("postgresql://nobody:x@127.0.0.1:9/none"):
            pass


async def test_a_lock_that_is_held_too_long_leaves_nothing_written(
    books: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 100))
    hurried = scribe.Scribe(
        partial(
            asyncpg.connect, books_url, server_settings=SERVER_SETTINGS | {"lock_timeout": "200ms"}
        )
    )
    async with owner.transaction():
        await owner.execute("select from balances for update")
        with pytest.raises(LedgerBusy):
            await hurried.write(transfer("t/1", 1))
    await hurried.aclose()
    assert await owner.fetchval("select count(*) from transactions where key = 't/1'") == 0
    assert (await books.write(transfer("t/1", 1))).repeated is False


async def test_a_lock_that_is_released_in_time_costs_nobody_an_error(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 100))
    async with owner.transaction():
        await owner.execute("select from balances for update")
        waiting = asyncio.create_task(books.write(transfer("t/1", 1)))
        await until(
            lambda: owner.fetchval("select exists (select from pg_locks where not granted)")
        )
    assert (await waiting).refusal is None


async def test_a_full_queue_refuses_at_once_and_drops_nothing_it_took(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 100_000))
    wanted = scribe.QUEUE_MAX + 2 * scribe.BATCH_MAX + 10
    async with owner.transaction():
        await owner.execute("select from balances for update")
        tasks = [asyncio.create_task(books.write(transfer(f"t/{n}", 1))) for n in range(wanted)]
        refused, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        busy = [task for task in refused if isinstance(task.exception(), LedgerBusy)]
        assert busy
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    taken = [answer for answer in answers if isinstance(answer, Written)]
    assert {type(answer) for answer in answers} == {Written, LedgerBusy}
    assert await owner.fetchval("select count(*) from transactions where key like 't/%'") == len(
        taken
    )


async def test_a_callers_end_does_not_recall_its_change(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 100))
    async with owner.transaction():
        await owner.execute("select from balances for update")
        impatient = asyncio.create_task(books.write(transfer("t/1", 1)))
        patient = asyncio.create_task(books.write(transfer("t/1", 1)))
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
    assert (await patient).refusal is None
    assert (await books.write(transfer("t/1", 1))).repeated is True


async def test_other_content_under_a_key_in_flight_conflicts_at_once(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 100))
    async with owner.transaction():
        await owner.execute("select from balances for update")
        first = asyncio.create_task(books.write(transfer("t/1", 1)))
        await asyncio.sleep(0)
        with pytest.raises(ContentConflict):
            await books.write(transfer("t/1", 2))
    assert (await first).refusal is None


async def test_closing_writes_what_was_taken_and_takes_no_more(books_url: str) -> None:
    async with PostgresBooks.open(books_url) as books:
        await open_usual_accounts(books)
        await books.write(deposit("d/1", 100))
        tasks = [asyncio.create_task(books.write(transfer(f"t/{n}", 1))) for n in range(50)]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks)
    assert {answer.refusal for answer in answers} == {None}
    with pytest.raises(ConnectionError, match="closing"):
        await books.write(transfer("t/99", 1))


async def test_a_number_that_the_database_cannot_hold_fails_alone(books: PostgresBooks) -> None:
    await books.write(deposit("d/1", 100))
    too_much = transfer("t/big", 2**63)
    answers = await asyncio.gather(
        books.write(transfer("t/1", 1)),
        books.write(too_much),
        books.write(transfer("t/2", 1, source=BEN, destination=ANA)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Written, ValueError, Written]
