"""Races: many callers at once, and exactly the right number of them succeed."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg
import pytest

from bursar.errors import ContentConflict
from bursar.payments import PaymentState
from ledger.changes import Change, Leg, Refusal, Written
from ledger.postgres import PostgresBooks
from tests.ledger.conftest import open_usual_accounts
from tests.ledger.steps import (
    ANA,
    breaks,
    captured,
    change,
    claimed,
    deposit,
    moves,
    opened,
    transfer,
    until,
    voided,
)

S = PaymentState


async def written(books: PostgresBooks, changes: list[Change]) -> list[Written]:
    return list(await asyncio.gather(*(books.write(one) for one in changes)))


async def test_of_a_thousand_parallel_spends_exactly_those_with_money_succeed(
    books: PostgresBooks, books_url: str
) -> None:
    await books.write(deposit("d/1", 6_210))
    answers = await written(books, [transfer(f"t/{n}", 10) for n in range(1_000)])
    counts = Counter(answer.refusal for answer in answers)
    assert counts == {None: 621, Refusal.FUNDS: 379}
    ana = await books.account(ANA)
    assert ana is not None
    assert ana.posted_minor == 0
    assert await breaks(books_url) == []


async def test_spends_from_several_processes_scribes_stay_exact(
    books: PostgresBooks, books_url: str
) -> None:
    await books.write(deposit("d/1", 3_000))
    async with PostgresBooks.open(books_url) as second, PostgresBooks.open(books_url) as third:
        answers = await asyncio.gather(
            *(
                (books, second, third)[n % 3].write(
                    opened(f"po_{n}", 10) if n % 2 else transfer(f"t/{n}", 10)
                )
                for n in range(600)
            )
        )
    assert Counter(answer.refusal for answer in answers) == {None: 300, Refusal.FUNDS: 300}
    assert await breaks(books_url) == []


async def test_fifty_callers_of_one_key_book_it_once_and_all_hear_the_same(
    books: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    async with PostgresBooks.open(books_url) as other:
        answers = await asyncio.gather(
            *((books, other)[n % 2].write(transfer("t/1", 7)) for n in range(50))
        )
    assert {answer.refusal for answer in answers} == {None}
    assert await owner.fetchval("select count(*) from entries where delta = -7") == 1


async def test_racing_callers_with_two_contents_get_one_booking_and_conflicts(
    books: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    async with PostgresBooks.open(books_url) as other:
        answers = await asyncio.gather(
            *((books, other)[n % 2].write(transfer("t/1", 7 + n % 2)) for n in range(50)),
            return_exceptions=True,
        )
    assert Counter(type(answer) for answer in answers) == {Written: 25, ContentConflict: 25}
    assert await owner.fetchval("select count(*) from transactions where key = 't/1'") == 1


async def test_fifty_callers_register_one_payment_once(
    books: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    async with PostgresBooks.open(books_url) as other:
        answers = await asyncio.gather(
            *((books, other)[n % 2].write(opened("po_1", 7)) for n in range(50))
        )
    assert {(answer.state, answer.refusal) for answer in answers} == {(S.RESERVED, None)}
    assert await owner.fetchval("select count(*) from transitions") == 2
    assert await breaks(books_url) == []


async def test_void_and_claim_race_and_one_wins(books: PostgresBooks, books_url: str) -> None:
    await books.write(deposit("d/1", 1_000))
    ids = [f"po_{n}" for n in range(100)]
    await written(books, [opened(payment, 10) for payment in ids])
    async with PostgresBooks.open(books_url) as other:
        pairs = await asyncio.gather(
            *(
                asyncio.gather(books.write(voided(payment, 10)), other.write(claimed(payment)))
                for payment in ids
            )
        )
    for void, claim in pairs:
        assert void.stale != claim.stale
    for payment, (void, _) in zip(ids, pairs, strict=True):
        row = await books.payment(payment)
        assert row is not None
        assert row.state is (S.SUBMITTING if void.stale else S.CANCELLED)
    assert await breaks(books_url) == []


async def test_capture_and_void_of_one_hold_race_and_one_wins(
    books: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    keys = [f"h/{n}" for n in range(100)]
    await written(books, [change(key, Leg(account=ANA, currency="EUR", held=10)) for key in keys])

    def void(key: str) -> Change:
        leg = Leg(account=ANA, currency="EUR", held=-10, hold=key, releases=True)
        return change(f"void/{key}", leg)

    async with PostgresBooks.open(books_url) as other:
        pairs = await asyncio.gather(
            *(
                asyncio.gather(books.write(void(key)), other.write(captured(f"c/{key}", key, 10)))
                for key in keys
            )
        )
    for answers in pairs:
        assert {answer.refusal for answer in answers} == {None, Refusal.HOLD_SPENT}
    assert await owner.fetchval("select bool_and(captured + released = amount) from holds")
    assert await breaks(books_url, legs_only=True) == []


async def test_a_guilty_change_fails_alone_and_its_batch_commits(
    books: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    bad = change("t/bad", Leg(account="wallet/nobody/EUR", currency="EUR", held=1))
    leap = opened("po_bad", 1)._replace(moves=moves(None, S.RECEIVED, S.SETTLED))
    changes = [transfer(f"t/{n}", 1) for n in range(200)]
    changes[50:50] = [bad]
    changes[150:150] = [leap]
    answers = await asyncio.gather(*(books.write(one) for one in changes), return_exceptions=True)
    failed = [
        (one.key, type(answer))
        for one, answer in zip(changes, answers, strict=True)
        if isinstance(answer, BaseException)
    ]
    assert failed == [("t/bad", ValueError), ("po_bad/hold", ValueError)]
    assert await owner.fetchval("select count(*) from transactions") == 201
    assert await breaks(books_url) == []


async def test_many_callers_share_few_commits(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    await written(books, [transfer(f"t/{n}", 1) for n in range(500)])
    assert await owner.fetchval("select count(distinct xid) from transactions") < 20


async def test_steps_of_one_payment_sent_together_are_taken_one_by_one(
    books: PostgresBooks, books_url: str
) -> None:
    await books.write(deposit("d/1", 1_000))
    steps = [
        opened("po_1", 100),
        claimed("po_1"),
        captured(
            "po_1/capture/1",
            "po_1/hold",
            100,
            payment_id="po_1",
            moves=moves(S.SUBMITTING, S.SUBMITTED),
            evidence_id="answer",
        ),
    ]
    answers = await written(books, steps)
    assert [answer.state for answer in answers] == [S.RESERVED, S.SUBMITTING, S.SUBMITTED]
    assert await breaks(books_url) == []


async def told(owner: asyncpg.Connection) -> int:
    """Store an event of the bank; return its row's id."""
    row_id: int = await owner.fetchval(
        "insert into partner_events (partner, event_id, kind, detail, occurred_at, raw, headers)"
        " values ('bank', 'e1', 'credit', '', now(), '', '{}') returning id"
    )
    return row_id


async def test_one_event_raced_for_by_many_changes_is_applied_by_one(
    books: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    row_id = await told(owner)
    changes = [change(f"told/{n}", applies_events=(row_id,)) for n in range(20)]
    async with PostgresBooks.open(books_url) as other:
        answers = await asyncio.gather(
            *((books, other)[n % 2].write(one) for n, one in enumerate(changes))
        )
    assert Counter(answer.stale for answer in answers) == {True: 19, False: 1}
    assert await owner.fetchval("select count(*) from transactions") == 1


async def test_a_change_waits_for_who_is_setting_its_event_aside_and_is_stale_then(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    row_id = await told(owner)
    async with owner.transaction():
        await owner.execute("select set_event_aside_v1($1, 'repeated')", row_id)
        late = asyncio.create_task(books.write(change("told/1", applies_events=(row_id,))))
        await until(
            lambda: owner.fetchval("select exists (select from pg_locks where not granted)")
        )
    assert (await late).stale
    assert await owner.fetchval("select count(*) from transactions") == 0


@pytest.mark.parametrize("lanes", [1, 2])
async def test_a_hot_account_is_booked_by_many_callers_without_deadlock(
    books_url: str, lanes: int
) -> None:
    async with PostgresBooks.open(books_url, lanes=lanes) as books:
        await open_usual_accounts(books)
        await books.write(deposit("d/1", 100_000))
        there = [transfer(f"a/{n}", 1) for n in range(300)]
        back = [transfer(f"b/{n}", 1, source="wallet/ben/EUR", destination=ANA) for n in range(300)]
        answers = await written(books, [*there, *back])
        assert len(answers) == 600
    assert await breaks(books_url) == []
