"""The gate in tests: payouts with terms of their own, words on them, and switches."""

from __future__ import annotations

from typing import Any

import asyncpg

from bursar.gate import Scope, SwitchBody
from bursar.payments import PaymentState
from ledger.books import ApprovalRow, Books
from ledger.changes import Change
from ledger.postgres import PostgresBooks
from tests.ledger.steps import opened, registration

NEED = {"number": 2, "role": "approve-l1", "version": "v7"}


def with_terms(payment: str, amount: int = 100, **terms: Any) -> Change:
    """Return the opening of a payout with terms of its own."""
    plain = registration(amount)
    return opened(payment, amount)._replace(opens=plain._replace(terms=terms))


async def say(books: Books, payment: str, who: str, **other: Any) -> None:
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
    assert await state_of(books, payment) is PaymentState.RESERVED
    assert await books.attempts(payment) == []
    assert not await owner.fetchval("select exists (select from transactions where key = $1)", key)
