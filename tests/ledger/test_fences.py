"""Fences: who writes or sends with an old permission is too late."""

from __future__ import annotations

import pytest

from bursar.gate import Scope
from bursar.payments import PaymentState
from ledger import postings
from ledger.books import Unsendable
from ledger.changes import AttemptClosed, AttemptReopened, Change, HeldBack
from ledger.postgres import PostgresBooks
from tests.ledger.gate import state_of, switch
from tests.ledger.steps import (
    ANA,
    breaks,
    change,
    claimed,
    moves,
    opened,
)

S = PaymentState


@pytest.fixture
async def sending(funded: PostgresBooks) -> PostgresBooks:
    await funded.write(opened("po_1", 100))
    await funded.write(claimed("po_1"))
    return funded


def lost(n: int, fence: int | None) -> Change:
    return change(
        f"po_1/unknown/{n}",
        payment_id="po_1",
        moves=moves(S.SUBMITTING, S.OUTCOME_UNKNOWN),
        attempt=AttemptClosed(key="po_1-1", result="unknown", fence=fence),
    )


def resent(n: int, fence: int) -> Change:
    return change(
        f"po_1/resend/{n}",
        payment_id="po_1",
        moves=moves(S.OUTCOME_UNKNOWN, S.SUBMITTING),
        attempt=AttemptReopened(key="po_1-1", fence=fence),
    )


async def test_what_a_zombie_writes_with_an_old_permission_is_stale(
    sending: PostgresBooks, books_url: str
) -> None:
    old = (await sending.mark_sent("po_1-1")).fence
    assert old == 1
    assert (await sending.write(lost(1, old))).state is S.OUTCOME_UNKNOWN
    assert (await sending.write(resent(1, old))).state is S.SUBMITTING
    assert (await sending.write(lost(2, old))).stale
    assert not await sending.mark_unsent("po_1-1", old)
    new = (await sending.mark_sent("po_1-1")).fence
    assert new == 3
    assert (await sending.write(lost(3, old))).stale
    assert (await sending.write(lost(4, new))).state is S.OUTCOME_UNKNOWN
    assert (await sending.write(resent(2, old))).stale
    (attempt,) = await sending.attempts("po_1")
    assert (attempt.fence, attempt.result) == (new, "unknown")
    assert await state_of(sending, "po_1") is S.OUTCOME_UNKNOWN


async def test_definite_evidence_is_never_too_late(sending: PostgresBooks, books_url: str) -> None:
    for n in (1, 2):
        fence = (await sending.mark_sent("po_1-1")).fence
        assert fence is not None
        await sending.write(lost(n, fence))
        await sending.write(resent(n, fence))
    accepted = change(
        "po_1/capture/1",
        *postings.capture("po_1/hold", ANA, "bank", "EUR", amount_minor=100),
        payment_id="po_1",
        moves=moves(S.SUBMITTING, S.SUBMITTED),
        attempt=AttemptClosed(key="po_1-1", result="accepted", partner_ref="r"),
        evidence_id="submit/po_1-1",
    )
    assert (await sending.write(accepted)).state is S.SUBMITTED
    assert await breaks(books_url) == []


async def test_a_worker_that_wakes_up_late_may_send_nothing_for_a_payment_that_moved_on(
    sending: PostgresBooks,
) -> None:
    rejected = change(
        "po_1/void/1",
        *postings.void("po_1/hold", ANA, "EUR", amount_minor=100),
        payment_id="po_1",
        moves=moves(S.SUBMITTING, S.FAILED),
        attempt=AttemptClosed(key="po_1-1", result="rejected"),
        evidence_id="submit/po_1-1",
    )
    assert (await sending.write(rejected)).state is S.FAILED
    permit = await sending.mark_sent("po_1-1")
    assert (permit.fence, permit.refusal) == (None, Unsendable.ENDED)


async def test_a_pause_stops_sends_and_resends_of_what_was_claimed_before(
    sending: PostgresBooks, books_url: str
) -> None:
    bank = switch(Scope.PARTNER, "bank")
    await sending.pause(bank, "ana")
    assert (await sending.mark_sent("po_1-1")).refusal is Unsendable.PAUSED
    (attempt,) = await sending.attempts("po_1")
    assert (attempt.sent_at, attempt.first_sent_at, attempt.fence) == (None, None, 0)
    await sending.resume(bank, "ana", is_admin=False)
    fence = (await sending.mark_sent("po_1-1")).fence
    assert fence is not None
    await sending.write(lost(1, fence))
    await sending.pause(bank, "ana")
    assert (await sending.write(resent(1, fence))).held is HeldBack.PAUSED
    assert (await sending.mark_sent("po_1-1")).refusal is Unsendable.ENDED
    await sending.resume(bank, "ana", is_admin=False)
    assert (await sending.write(resent(1, fence))).state is S.SUBMITTING
    assert await breaks(books_url) == []
