"""Old workers: what the release before calls is judged as what this one calls."""

from __future__ import annotations

import asyncpg
import pytest

from bursar.payments import PaymentState
from ledger.batch import answer, rows_of
from ledger.changes import AttemptClosed, AttemptReopened, Change, Written
from ledger.postgres import PostgresBooks
from tests.ledger.gate import ALL, NEED, state_of, with_terms
from tests.ledger.steps import (
    breaks,
    change,
    claimed,
    moves,
    opened,
)

S = PaymentState


async def by_the_old_way(url: str, *changes: Change) -> list[Written]:
    """Write as a worker of the release before, which is up while this one is rolled out."""
    rows = rows_of([(one, one.digest()) for one in changes])
    for old in (rows.opened, rows.closed, rows.reopened):
        old[:] = [row[:-1] for row in old]
    connection = await asyncpg.connect(url)
    try:
        told = await connection.fetch(
            "select n, fate, refusal, state from write_changes_v1($1::change_v1[],"
            " $2::opening_v1[], $3::move_v1[], $4::leg_v1[], $5::attempt_opened_v1[],"
            " $6::attempt_closed_v1[], $7::attempt_reopened_v1[], $8::event_applied_v1[],"
            " $9::case_v1[])",
            *rows.arguments(),
        )
    finally:
        await connection.close()
    answers = [answer(one, row) for one, row in zip(changes, told, strict=True)]
    assert all(isinstance(one, Written) for one in answers)
    return [one for one in answers if isinstance(one, Written)]


async def test_the_old_way_in_is_judged_like_the_new_one_inv_19(
    funded: PostgresBooks, books_url: str
) -> None:
    await funded.write(with_terms("po_1", approvals=NEED))
    with pytest.raises(asyncpg.PostgresError, match="po_1/claim/1: held back: not_approved"):
        await by_the_old_way(books_url, claimed("po_1"))
    await by_the_old_way(books_url, opened("po_2", 100))
    await funded.pause(ALL, "ana")
    with pytest.raises(asyncpg.PostgresError, match="held back: paused"):
        await by_the_old_way(books_url, claimed("po_2"))
    await funded.resume(ALL, "ana", is_admin=False)
    with pytest.raises(asyncpg.PostgresError, match="goes with the claim"):
        await by_the_old_way(books_url, claimed("po_2")._replace(attempt=None))
    assert await state_of(funded, "po_2") is S.RESERVED
    assert await breaks(books_url) == []


async def test_workers_of_the_release_before_go_on_while_this_one_is_rolled_out(
    funded: PostgresBooks, books_url: str
) -> None:
    unknown = change(
        "po_1/unknown/1",
        payment_id="po_1",
        moves=moves(S.SUBMITTING, S.OUTCOME_UNKNOWN),
        attempt=AttemptClosed(key="po_1-1", result="unknown"),
    )
    back = change(
        "po_1/resend/1",
        payment_id="po_1",
        moves=moves(S.OUTCOME_UNKNOWN, S.SUBMITTING),
        attempt=AttemptReopened(key="po_1-1"),
    )
    told = [
        (await by_the_old_way(books_url, step))[0].state
        for step in (opened("po_1", 100), claimed("po_1"), unknown, back)
    ]
    assert told == [S.RESERVED, S.SUBMITTING, S.OUTCOME_UNKNOWN, S.SUBMITTING]
    connection = await asyncpg.connect(books_url)
    try:
        await funded.pause(ALL, "ana")
        with pytest.raises(asyncpg.PostgresError, match="may not be sent: paused"):
            await connection.fetchval("select mark_sent_v1('po_1-1')")
        await funded.resume(ALL, "ana", is_admin=False)
        sent_at = await connection.fetchval("select mark_sent_v1('po_1-1')")
        assert await connection.fetchval("select mark_sent_v1('po_1-1')") is None
        assert await connection.fetchval("select mark_unsent_v1('po_1-1', $1)", sent_at)
    finally:
        await connection.close()
    assert await breaks(books_url) == []
