"""The gate: no claim, resend or transfer passes that people stopped, bounded or did not approve."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from bursar.gate import CapBody, DisableBody, Scope, SwitchBody
from bursar.payments import PaymentKind, PaymentState
from ledger import postings
from ledger.batch import answer, rows_of
from ledger.books import ApprovalRow, Unsendable
from ledger.changes import AttemptClosed, AttemptReopened, Change, HeldBack, Written
from ledger.postgres import PostgresBooks
from tests.ledger.steps import (
    ANA,
    BEN,
    breaks,
    change,
    claimed,
    deposit,
    moves,
    opened,
    registration,
    until,
)

S = PaymentState
NEED = {"number": 2, "role": "approve-l1", "version": "v7"}


@pytest.fixture
async def funded(books: PostgresBooks) -> PostgresBooks:
    await books.write(deposit("d/1", 1_000_000))
    return books


def with_terms(payment: str, amount: int = 100, **terms: Any) -> Change:
    """Return the opening of a payout with terms of its own."""
    plain = registration(amount)
    return opened(payment, amount).model_copy(
        update={"opens": plain.model_copy(update={"terms": terms})}
    )


async def say(books: PostgresBooks, payment: str, who: str, **other: Any) -> None:
    """Record a word on a payment; an approval that counts, but for `other`."""
    plain: dict[str, Any] = {
        "payment_id": payment,
        "principal": who,
        "decision": "approve",
        "role": "approve-l1",
        "content_hash": "c" * 64,
        "rule_version": "v7",
        "reason": None,
        "channel": "gateway",
        "at": await books.now(),
    }
    await books.add_approval(ApprovalRow.model_validate(plain | other))


def switch(scope: Scope, name: str = "") -> SwitchBody:
    return SwitchBody(scope=scope, name=name, reason="a test")


ALL = switch(Scope.ALL)


async def state_of(books: PostgresBooks, payment: str) -> PaymentState:
    row = await books.payment(payment)
    assert row is not None
    return row.state


async def nothing_was_written(books: PostgresBooks, owner: asyncpg.Connection, key: str) -> None:
    payment = key.partition("/")[0]
    assert await state_of(books, payment) is S.RESERVED
    assert await books.attempts(payment) == []
    assert not await owner.fetchval("select exists (select from transactions where key = $1)", key)


# Approvals


@pytest.mark.parametrize(
    "second",
    [
        None,
        {"who": "ana"},
        {"who": "shop"},
        {"who": "ben", "content_hash": "d" * 64},
        {"who": "ben", "rule_version": "v6"},
        {"who": "ben", "role": "approve-l2"},
        {"who": "ben", "decision": "deny"},
        {"who": "ben", "at": datetime(2099, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
async def test_a_claim_without_enough_approvals_that_count_writes_nothing_inv_18(
    funded: PostgresBooks,
    owner: asyncpg.Connection,
    books_url: str,
    second: dict[str, Any] | None,
) -> None:
    in_time = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    await funded.write(with_terms("po_1", approvals=NEED, approve_by=in_time))
    await say(funded, "po_1", "ana")
    if second is not None:
        await say(funded, "po_1", second.pop("who"), **second)
    held = await funded.write(claimed("po_1"))
    assert (held.held, held.refusal, held.stale) == (HeldBack.NOT_APPROVED, None, False)
    await nothing_was_written(funded, owner, "po_1/claim/1")
    assert await funded.approvals_given("po_1") == 1
    await say(funded, "po_1", "carl")
    assert (await funded.write(claimed("po_1"))).state is S.SUBMITTING
    assert await breaks(books_url) == []


async def test_who_approved_and_denied_counts_no_more(funded: PostgresBooks) -> None:
    await funded.write(with_terms("po_1", approvals={**NEED, "number": 1}))
    await say(funded, "po_1", "ana")
    await say(funded, "po_1", "ana", decision="deny")
    assert (await funded.write(claimed("po_1"))).held is HeldBack.NOT_APPROVED


async def test_who_is_disabled_between_approval_and_claim_counts_no_more_a6(
    funded: PostgresBooks, books_url: str
) -> None:
    for payment in ("po_1", "po_2"):
        await funded.write(with_terms(payment, approvals=NEED))
        await say(funded, payment, "ana")
        await say(funded, payment, "ben")
    assert (await funded.write(claimed("po_1"))).state is S.SUBMITTING
    body = DisableBody(name="ben", reason="left")
    assert await funded.disable_person(body, "chief")
    assert not await funded.disable_person(body, "chief")
    assert (await funded.write(claimed("po_2"))).held is HeldBack.NOT_APPROVED
    assert await breaks(books_url) == []


async def test_terms_whose_approvals_cannot_be_read_let_nothing_pass(
    funded: PostgresBooks,
) -> None:
    await funded.write(with_terms("po_1", approvals={"number": "many"}))
    with pytest.raises(ValueError, match="many"):
        await funded.write(claimed("po_1"))
    assert await state_of(funded, "po_1") is S.RESERVED


async def test_a_claim_before_its_time_waits(funded: PostgresBooks) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    await funded.write(with_terms("po_1", execute_at=soon.isoformat()))
    assert (await funded.write(claimed("po_1"))).held is HeldBack.NOT_DUE

    async def passes() -> bool:
        return (await funded.write(claimed("po_1"))).state is S.SUBMITTING

    await until(passes)
    assert datetime.now(UTC) >= soon


# The only way


async def test_nothing_enters_submitting_but_by_a_claim_of_the_next_attempt_inv_08_inv_11(
    funded: PostgresBooks,
) -> None:
    await funded.write(opened("po_1", 100))
    good = claimed("po_1")
    bare = good.model_copy(update={"attempt": None})
    unmoved = good.model_copy(update={"moves": ()})
    for wrong, why in (
        (bare, "goes with the claim"),
        (unmoved, "goes with the claim"),
        (claimed("po_1", 2), "attempt 2 is not the next"),
        (claimed("po_1", content="d" * 64), "other content than the payment"),
    ):
        with pytest.raises(ValueError, match=why):
            await funded.write(wrong)
    assert await state_of(funded, "po_1") is S.RESERVED
    assert (await funded.write(good)).state is S.SUBMITTING


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
    (told,) = await by_the_old_way(books_url, opened("po_2", 100))
    assert told.state is S.RESERVED
    await funded.pause(ALL, "ana")
    with pytest.raises(asyncpg.PostgresError, match="held back: paused"):
        await by_the_old_way(books_url, claimed("po_2"))
    await funded.resume(ALL, "ana", is_admin=False)
    with pytest.raises(asyncpg.PostgresError, match="goes with the claim"):
        await by_the_old_way(books_url, claimed("po_2").model_copy(update={"attempt": None}))
    unknown = change(
        "po_2/unknown/1",
        payment_id="po_2",
        moves=moves(S.SUBMITTING, S.OUTCOME_UNKNOWN),
        attempt=AttemptClosed(key="po_2-1", result="unknown"),
    )
    back = change(
        "po_2/resend/1",
        payment_id="po_2",
        moves=moves(S.OUTCOME_UNKNOWN, S.SUBMITTING),
        attempt=AttemptReopened(key="po_2-1"),
    )
    for step, state in ((claimed("po_2"), S.SUBMITTING), (unknown, S.OUTCOME_UNKNOWN)):
        (told,) = await by_the_old_way(books_url, step)
        assert told.state is state
    (told,) = await by_the_old_way(books_url, back)
    assert told.state is S.SUBMITTING
    connection = await asyncpg.connect(books_url)
    try:
        await funded.pause(ALL, "ana")
        with pytest.raises(asyncpg.PostgresError, match="may not be sent: paused"):
            await connection.fetchval("select mark_sent_v1('po_2-1')")
        await funded.resume(ALL, "ana", is_admin=False)
        sent_at = await connection.fetchval("select mark_sent_v1('po_2-1')")
        assert await connection.fetchval("select mark_sent_v1('po_2-1')") is None
        assert await connection.fetchval("select mark_unsent_v1('po_2-1', $1)", sent_at)
    finally:
        await connection.close()
    assert await breaks(books_url) == []


# Pauses


@pytest.mark.parametrize(
    ("scope", "name", "other"),
    [
        (Scope.ALL, "", None),
        (Scope.PARTNER, "bank", None),
        (Scope.CURRENCY, "EUR", "USD"),
        (Scope.TENANT, "main", None),
    ],
)
async def test_what_is_paused_is_held_back_and_passes_after_the_resumption(
    funded: PostgresBooks,
    owner: asyncpg.Connection,
    books_url: str,
    scope: Scope,
    name: str,
    other: str | None,
) -> None:
    await funded.write(opened("po_1", 100))
    await funded.write(opened("po_2", 100))
    if other is not None:
        await funded.pause(switch(scope, other), "ana")
        assert (await funded.write(claimed("po_2"))).state is S.SUBMITTING
    assert await funded.pause(switch(scope, name), "ana") == "paused"
    assert await funded.pause(switch(scope, name), "ben") == "paused_already"
    assert (await funded.write(claimed("po_1"))).held is HeldBack.PAUSED
    await nothing_was_written(funded, owner, "po_1/claim/1")
    assert await funded.resume(switch(scope, name), "ana", is_admin=False) == "resumed"
    assert (await funded.write(claimed("po_1"))).state is S.SUBMITTING
    assert await breaks(books_url) == []


async def test_only_who_paused_or_an_administrator_lifts_a_pause_and_both_are_on_record_inv_20(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    eur = switch(Scope.CURRENCY, "EUR")
    await funded.pause(eur, "ana")
    assert await funded.resume(eur, "ben", is_admin=False) == "not_allowed"
    assert await funded.resume(eur, "ben", is_admin=True) == "resumed"
    assert await funded.resume(eur, "ben", is_admin=True) == "not_paused"
    rows = await owner.fetch("select paused_by, reason, resumed_by, resumed_reason from pauses")
    assert [tuple(row) for row in rows] == [("ana", "a test", "ben", "a test")]


@pytest.mark.parametrize(
    ("scope", "name"),
    [(Scope.PARTNER, "bonk"), (Scope.TENANT, "mian"), (Scope.CURRENCY, "BOV")],
)
async def test_a_name_that_the_books_do_not_know_stops_nothing_and_says_so(
    funded: PostgresBooks, scope: Scope, name: str
) -> None:
    known = scope is Scope.CURRENCY
    assert await funded.pause(switch(scope, name), "ana") == ("paused" if known else "unknown")
    assert await funded.resume(switch(scope, name), "ana", is_admin=True) == (
        "resumed" if known else "unknown"
    )


async def test_once_a_pause_has_returned_no_claim_commits(
    funded: PostgresBooks, books_url: str, owner: asyncpg.Connection
) -> None:
    """Two writers claim as fast as they can; the pause comes in between, ten times over."""
    async with PostgresBooks.open(books_url) as other, PostgresBooks.open(books_url) as boss:
        for number in range(10):
            ids = [f"po_{number}_{n}" for n in range(60)]
            await asyncio.gather(*(funded.write(opened(payment, 1)) for payment in ids))
            claims = [
                asyncio.create_task((funded, other)[n % 2].write(claimed(payment)))
                for n, payment in enumerate(ids)
            ]
            await asyncio.wait(claims[:1])
            assert await boss.pause(ALL, "ana") == "paused"
            committed = await owner.fetchval("select count(*) from attempts")
            answers = await asyncio.gather(*claims)
            assert await owner.fetchval("select count(*) from attempts") == committed
            counts = Counter(told.held for told in answers)
            assert set(counts) <= {None, HeldBack.PAUSED}
            assert await boss.resume(ALL, "ana", is_admin=False) == "resumed"
    assert await breaks(books_url) == []


async def test_a_pause_waits_for_a_claim_that_has_passed_and_not_yet_committed(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    async with owner.transaction():
        await owner.execute("select pass_gate()")
        pausing = asyncio.create_task(funded.pause(ALL, "ana"))
        await until(
            lambda: owner.fetchval(
                "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
            )
        )
        assert not pausing.done()
    assert await pausing == "paused"


async def test_a_held_claim_leaves_its_neighbours_alone(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    for n in range(20):
        await funded.write(with_terms(f"po_{n}", approvals=NEED if n % 2 else None))
    told = await asyncio.gather(*(funded.write(claimed(f"po_{n}")) for n in range(20)))
    assert Counter(one.held for one in told) == {None: 10, HeldBack.NOT_APPROVED: 10}
    assert await owner.fetchval("select count(*) from attempts") == 10


# Transfers


def booked(payment: str, amount: int = 10) -> Change:
    """Return a transfer that is registered and booked in one change."""
    opens = registration(amount).model_copy(update={"kind": PaymentKind.TRANSFER, "partner": None})
    return change(
        f"{payment}/post",
        *postings.transfer(ANA, BEN, "EUR", amount_minor=amount),
        payment_id=payment,
        opens=opens,
        moves=moves(None, S.RECEIVED, S.SETTLED),
    )


async def test_a_transfer_obeys_pauses_and_money_that_comes_in_does_not(
    funded: PostgresBooks, books_url: str
) -> None:
    for wanted in (ALL, switch(Scope.CURRENCY, "EUR"), switch(Scope.TENANT, "main")):
        payment = f"tr_{wanted.scope}"
        await funded.pause(wanted, "ana")
        assert (await funded.write(booked(payment))).held is HeldBack.PAUSED
        assert await funded.payment(payment) is None
        assert (await funded.write(deposit(f"d/{wanted.scope}", 5))).held is None
        waits = booked(payment).model_copy(
            update={
                "key": f"{payment}/scheduled",
                "legs": (),
                "moves": moves(None, S.RECEIVED, S.SCHEDULED),
            }
        )
        assert (await funded.write(waits)).state is S.SCHEDULED
        later = booked(payment).model_copy(
            update={"opens": None, "moves": moves(S.SCHEDULED, S.SETTLED)}
        )
        assert (await funded.write(later)).held is HeldBack.PAUSED
        await funded.resume(wanted, "ana", is_admin=False)
        assert (await funded.write(later)).state is S.SETTLED
    await funded.pause(switch(Scope.PARTNER, "bank"), "ana")
    assert (await funded.write(booked("tr_free"))).state is S.SETTLED
    assert await breaks(books_url) == []


# Limits


def cap(currency: str = "EUR", **bounds: Any) -> CapBody:
    return CapBody(currency=currency, reason="a test", **bounds)


async def test_of_many_claims_exactly_those_under_the_days_limit_pass_h8(
    funded: PostgresBooks, books_url: str
) -> None:
    assert await funded.set_cap(cap(per_day_minor=555), "ana") == "set"
    ids = [f"po_{n}" for n in range(100)]
    await asyncio.gather(*(funded.write(opened(payment, 10)) for payment in ids))
    async with PostgresBooks.open(books_url) as other:
        told = await asyncio.gather(
            *((funded, other)[n % 2].write(claimed(payment)) for n, payment in enumerate(ids))
        )
    assert Counter(one.held for one in told) == {None: 55, HeldBack.OVER_LIMIT: 45}
    assert await funded.set_cap(cap(per_day_minor=570), "ana") == "set"
    told = await asyncio.gather(*(funded.write(claimed(payment)) for payment in ids))
    assert Counter(one.held for one in told) == {None: 57, HeldBack.OVER_LIMIT: 43}
    assert await funded.set_cap(cap(), "ana") == "ended"
    assert await funded.set_cap(cap(), "ana") == "not_set"
    assert (await funded.write(claimed(ids[99]))).held is None
    assert await breaks(books_url) == []


async def test_a_limit_is_of_its_currency_partner_and_tenant_and_all_that_fit_count(
    funded: PostgresBooks, owner: asyncpg.Connection
) -> None:
    for bounds in (
        {"currency": "USD", "per_payment_minor": 1},
        {"per_payment_minor": 90},
        {"partner": "bank", "per_payment_minor": 100},
        {"partner": "bank", "tenant": "main", "per_day_minor": 150},
    ):
        assert await funded.set_cap(cap(**bounds), "ana") == "set"
    assert await funded.set_cap(cap(partner="bonk", per_day_minor=1), "ana") == "unknown"
    for payment, amount in (("po_1", 91), ("po_2", 90), ("po_3", 61), ("po_4", 60)):
        await funded.write(opened(payment, amount))
    told = [(await funded.write(claimed(f"po_{n}"))).held for n in (1, 2, 3, 4)]
    assert told == [HeldBack.OVER_LIMIT, None, HeldBack.OVER_LIMIT, None]
    uses = await owner.fetch("select amount_minor from cap_uses order by amount_minor")
    assert [row["amount_minor"] for row in uses] == [0, 150, 150, 150]


# Fences


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
