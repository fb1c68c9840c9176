"""The port's contract: the books in memory answer as those in Postgres do, change by change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bursar.errors import ContentConflict
from ledger.books import Books
from ledger.changes import Change
from ledger.memory import MemoryBooks
from ledger.postgres import PostgresBooks
from tests.ledger import test_holds, test_register, test_writing
from tests.ledger.conftest import open_usual_accounts
from tests.ledger.test_model import ACCOUNTS, Deck

ROUNDS = 20

PROMISES: tuple[Callable[[Any], Awaitable[None]], ...] = (
    test_writing.test_dates_actor_reason_and_evidence_are_no_content,
    test_writing.test_held_money_cannot_be_spent,
    test_writing.test_a_ceiling_refuses_what_would_pass_it,
    test_writing.test_a_soft_floor_books_facts_and_refuses_new_holds,
    test_writing.test_one_payment_id_is_never_registered_with_two_contents,
    test_writing.test_a_case_is_opened_with_its_change_and_closed_by_a_person,
    test_writing.test_an_unknown_payment_is_a_callers_bug,
    test_writing.test_a_move_that_no_payment_may_make_is_refused_by_the_database,
    test_holds.test_a_hold_that_was_refused_can_never_be_captured,
    test_register.test_opening_an_account_again_changes_nothing,
    test_register.test_what_is_not_there_is_none_or_empty,
)
"""Tests of the books in Postgres that ask nothing but the port."""


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
async def test_books_in_memory_keep_what_those_in_postgres_promise(
    promise: Callable[[Any], Awaitable[None]],
) -> None:
    books = MemoryBooks()
    await open_usual_accounts(books)
    await promise(books)


async def answer(books: Books, change: Change) -> object:
    """Return what one engine says to a change: its answer, or the sort of error."""
    try:
        return await books.write(change)
    except (ContentConflict, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("seed", range(2))
async def test_both_engines_answer_every_change_alike_and_end_alike(
    books_url: str, seed: int
) -> None:
    deck, memory = Deck(seed), MemoryBooks()
    async with PostgresBooks.open(books_url, lanes=1, pool_size=1) as postgres:
        for books in (memory, postgres):
            await books.open_accounts(ACCOUNTS)
        answers: list[object] = []
        for _ in range(ROUNDS):
            for change in deck.batch():
                answers.append(await answer(postgres, change))
                assert await answer(memory, change) == answers[-1], change
        for account in ACCOUNTS:
            assert await memory.account(account.path) == await postgres.account(account.path)
    assert len(answers) > 4 * ROUNDS
    assert ContentConflict in answers
