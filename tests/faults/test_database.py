"""The database in trouble: errors on every twentieth call, no free connection, read-only, locked.

Lost COMMIT replies (D2) are in tests/ledger/test_scribe.py, crashes (D1) in test_kills.py.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from bursar import PaymentState
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.faults.batch import PLAIN, Batch, Sort
from tests.faults.site import RULES, WALLET, Site
from tests.faults.wire import faulty_wire
from tests.gateway.conftest import gateway_at
from tests.gateway.stand import Gateway, new_payout_id, register_payout
from tests.house import TOKEN, House, open_house
from tests.payments import a_payout

pytestmark = pytest.mark.faults

S = PaymentState
SHARE = 0.05
LATE = 12
SOME = (Sort(PLAIN, 30), Sort("reset-after-booking", 3), Sort("reject", 3, S.FAILED, 0))


def admin_of(site: Site) -> str:
    return site.postgres.url("books", user="postgres", password=site.postgres.password)


async def worker_says(site: Site, words: str, since: int) -> None:
    """Wait until the worker's log has met an error, so that it has certainly tried."""
    log = site.house.directory / "worker.log"

    async def is_there() -> bool:
        return words in log.read_text(errors="replace")[since:]

    await site.until(f"the worker has met {words!r}", is_there)


def log_length(site: Site) -> int:
    return len((site.house.directory / "worker.log").read_text(errors="replace"))


async def none_is_at_the_bank(site: Site, batch: Batch) -> None:
    """Assert that the bank has not been sent one of the payouts that came in during the fault."""
    state = await site.house.ask_bank("GET", "/control/state")
    known = {reference.rpartition("-")[0] for reference in state["references"]}
    late = list(batch.requests)[-batch.late :]
    assert not known.intersection(late)


@asynccontextmanager
async def during(site: Site, batch: Batch, error: str, *entering: str) -> AsyncIterator[None]:
    """Send a batch, bring trouble in the middle, and wait until late payouts have met it."""
    sending = asyncio.create_task(batch.send())
    try:
        await batch.past_reserved(5)
        since = log_length(site)
        await run_sql(admin_of(site), *entering)
        batch.killed.set()
        await worker_says(site, error, since)
        await sending
        yield
    finally:
        sending.cancel()


async def test_while_the_books_are_read_only_nothing_is_sent_and_then_it_goes_on(
    site: Site,
) -> None:
    """D6: a fail-over to a read-only server, or a full disk's guard."""
    batch = Batch(site, sorts=SOME, late=LATE)
    read_only = "ALTER SYSTEM SET default_transaction_read_only = "
    reload = "SELECT pg_reload_conf()"
    try:
        async with during(site, batch, "read-only", read_only + "on", reload):
            await none_is_at_the_bank(site, batch)
            async with httpx.AsyncClient(base_url=site.house.gateway_url, trust_env=False) as http:
                http.headers["authorization"] = f"Bearer {TOKEN}"
                body = [{"path": "wallet/new/EUR", "tenant": "main"}]
                written = await http.post("/v1/accounts", json=body)
                read = await http.get("/v1/payments")
            assert (written.status_code, read.status_code) == (503, 200), written.text
            assert written.headers["retry-after"]
            assert not set((await batch.states()).values()) & {S.REFUSED, S.CANCELLED}
    finally:
        # The session has to say that it will write, or it could not write this.
        await run_sql(
            admin_of(site), "SET default_transaction_read_only = off", read_only + "off", reload
        )
    await batch.nothing_is_lost_or_doubled()


async def test_while_the_journal_is_locked_nothing_is_sent_and_nothing_becomes_a_failure(
    site: Site,
) -> None:
    """D9: somebody holds a table lock on the journal, for longer than any of our time-outs."""
    batch = Batch(site, sorts=SOME, late=LATE)
    holder = await asyncpg.connect(admin_of(site))
    try:
        await holder.execute("BEGIN")
        sending = asyncio.create_task(batch.send())
        await batch.past_reserved(5)
        since = log_length(site)
        await holder.execute("LOCK TABLE transactions, entries IN ACCESS EXCLUSIVE MODE")
        batch.killed.set()
        await worker_says(site, "lock timeout", since)
        await sending
        await none_is_at_the_bank(site, batch)
        ended = Counter((await batch.states()).values())
        assert not ended[S.REFUSED] + ended[S.CANCELLED]
    finally:
        await holder.close()
    await batch.nothing_is_lost_or_doubled()


async def test_an_error_on_every_twentieth_call_costs_retries_and_never_a_payment_or_a_500(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> None:
    """D3: deadlock, serialization failure, lock time-out and statement time-out, on the wire."""
    database = temporal.unique("wire").replace("-", "_")
    await run_sql(postgres.admin_url, f"CREATE DATABASE {database} TEMPLATE {template}")
    books_url = postgres.url(database, user=WRITER, password=LOGIN_PASSWORD)
    directory = Path(tempfile.mkdtemp(prefix="bursar-wire-"))
    async with (
        faulty_wire(books_url, seed=3) as (wire, url),
        open_house(directory, temporal, url, rules=RULES) as house,
    ):
        await house.fund(WALLET)
        wire.share = SHARE
        asking = asyncio.create_task(ask_all_the_time(house))
        bursar = await house.bursar()
        payouts = [await bursar.pay_out(a_payout(amount_minor=1_000 + n)) for n in range(40)]
        ends = await asyncio.gather(*(payout.result() for payout in payouts))
        asking.cancel()
        [statuses] = await asyncio.gather(asking)
        wire.share = 0.0
        assert Counter(end.state for end in ends) == {S.SETTLED: 40}
        for payout in payouts:
            assert (await house.bookings(payout.id))[0] == 1
        await house.quiet()
        await house.agrees()
    assert wire.injected.total() > wire.seen * SHARE / 2 > 20, wire.injected
    assert len(wire.injected) == 4, wire.injected
    assert set(statuses) == {200, 503}, statuses
    shutil.rmtree(directory)


async def ask_all_the_time(house: House) -> Counter[int]:
    """Read and write through the gateway until cancelled; return how often it answered what."""
    statuses: Counter[int] = Counter()
    account = [{"path": WALLET, "tenant": "main"}]
    async with httpx.AsyncClient(base_url=house.gateway_url, trust_env=False, timeout=30) as http:
        http.headers["authorization"] = f"Bearer {TOKEN}"
        try:
            while True:
                for answer in (
                    await http.get("/v1/payments"),
                    await http.get("/v1/accounts"),
                    await http.post("/v1/accounts", json=account),
                    await http.get("/v1/books/check"),
                ):
                    statuses[answer.status_code] += 1
                    assert answer.status_code != 503 or answer.headers["retry-after"]
        except asyncio.CancelledError:
            return statuses


@pytest.fixture
async def gateway(books_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway on fresh books; nothing here needs Temporal."""
    async with gateway_at(books_url, "127.0.0.1:1", tmp_path) as running:
        yield running


async def test_who_finds_all_connections_waiting_is_told_to_come_back(
    gateway: Gateway, admin_url: str
) -> None:
    """D5: one session idles in a transaction with a lock; the pools fill up behind it."""
    payment_id = await register_payout(gateway.books)
    holder = await asyncpg.connect(admin_url)
    try:
        await holder.execute("BEGIN; LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
        answers = await asyncio.gather(
            *(gateway.as_("ana", "GET", f"/v1/payments/{payment_id}") for _ in range(40)),
            *(
                gateway.as_("ana", "POST", f"/v1/payments/{new_payout_id()}/approve", json={})
                for _ in range(40)
            ),
        )
        live = await gateway.http.get("/health/live")
    finally:
        await holder.close()
    assert Counter(answer.status_code for answer in answers) == {503: 80}
    assert all(answer.headers["retry-after"] for answer in answers)
    assert live.status_code == 200, "who only asks whether it lives waits for no connection"
    again = await gateway.as_("ana", "GET", f"/v1/payments/{payment_id}")
    assert again.status_code == 200


async def test_a_server_without_a_free_connection_is_a_503_and_no_error_of_ours(
    gateway: Gateway, admin_url: str
) -> None:
    """D5: the server has no connection left for the login."""
    payment_id = await register_payout(gateway.books)
    await run_sql(admin_url, f"ALTER ROLE {WRITER} CONNECTION LIMIT 1")
    try:
        answers = await asyncio.gather(
            *(gateway.as_("ana", "GET", f"/v1/payments/{payment_id}") for _ in range(10))
        )
    finally:
        await run_sql(admin_url, f"ALTER ROLE {WRITER} CONNECTION LIMIT -1")
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert any(answer.status_code == 503 for answer in answers)
    assert (await gateway.as_("ana", "GET", f"/v1/payments/{payment_id}")).status_code == 200
