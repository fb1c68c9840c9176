"""Claims: nothing is handed over that people have not approved, or by any other way."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from bursar.gate import DisableBody
from bursar.ids import person_of
from bursar.payments import PaymentState
from ledger.changes import HeldBack
from ledger.postgres import PostgresBooks
from tests.ledger.gate import NEED, nothing_was_written, say, state_of, with_terms
from tests.ledger.steps import (
    breaks,
    claimed,
    moves,
    opened,
    until,
)
from tests.ledger.test_pauses import booked

S = PaymentState


@pytest.mark.parametrize(
    "second",
    [
        None,
        {"who": "ana"},
        {"who": "shop"},
        {"who": "Ana"},
        {"who": "ANA "},
        {"who": "Shop"},
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


async def test_one_person_is_one_however_the_name_is_spelt_a5(
    funded: PostgresBooks, books_url: str
) -> None:
    for payment in ("po_1", "po_2", "po_3"):
        await funded.write(with_terms(payment, approvals=NEED))
        for name in ("ana", "Ben"):
            await say(funded, payment, name)
    assert (await funded.write(claimed("po_1"))).state is S.SUBMITTING
    await say(funded, "po_2", "Ana", decision="deny")
    assert (await funded.write(claimed("po_2"))).held is HeldBack.NOT_APPROVED
    assert await funded.disable_person(DisableBody(name="BEN", reason="left"), "chief")
    assert (await funded.write(claimed("po_3"))).held is HeldBack.NOT_APPROVED
    assert await breaks(books_url) == []


async def test_database_and_code_mean_the_same_person_by_a_name(owner: asyncpg.Connection) -> None:
    """For every name that may act, which is ASCII, and what fullwidth letters make of one."""
    names = [
        "ana",
        "Ana",
        "ANA ",
        "ana  B",
        "Ana B",
        "I.I",
        "Service:Orders+1",
        "A@b-C_d",
        "\uff21na",
    ]
    names += [
        f"a{letter}" for letter in string.printable if letter.isalnum() or letter in " @._:+-"
    ]
    for name in names:
        assert await owner.fetchval("select person_of($1)", name) == person_of(name)
    assert {person_of(name) for name in names[:3]} == {"ana"} != {person_of("ana b")}


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


async def test_a_transfer_is_booked_only_with_the_approvals_that_count_in_that_commit_inv_18(
    funded: PostgresBooks, owner: asyncpg.Connection, books_url: str
) -> None:
    straight = booked("tr_1")
    assert straight.opens is not None
    opens = straight.opens._replace(terms={"approvals": NEED})
    assert (await funded.write(straight._replace(opens=opens))).held is HeldBack.NOT_APPROVED
    assert await funded.payment("tr_1") is None

    waits = straight._replace(
        key="tr_1/opened", legs=(), opens=opens, moves=moves(None, S.RECEIVED, S.AWAITING_APPROVAL)
    )
    assert (await funded.write(waits)).state is S.AWAITING_APPROVAL
    later = straight._replace(opens=None, moves=moves(S.AWAITING_APPROVAL, S.SETTLED))
    for who in ("ana", "ben"):
        assert (await funded.write(later)).held is HeldBack.NOT_APPROVED
        await say(funded, "tr_1", who)
    assert await funded.disable_person(DisableBody(name="ben", reason="left"), "chief")
    assert (await funded.write(later)).held is HeldBack.NOT_APPROVED
    assert await owner.fetchval("select count(*) from entries where held = 0") == 2, "the deposit"
    await say(funded, "tr_1", "carl")
    assert (await funded.write(later)).state is S.SETTLED
    assert (await funded.write(booked("tr_2"))).state is S.SETTLED
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


async def test_nothing_enters_submitting_but_by_a_claim_of_the_next_attempt_inv_08_inv_11(
    funded: PostgresBooks,
) -> None:
    await funded.write(opened("po_1", 100))
    good = claimed("po_1")
    bare = good._replace(attempt=None)
    unmoved = good._replace(moves=())
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
