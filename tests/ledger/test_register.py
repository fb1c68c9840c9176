"""The register: accounts, attempts, words, notes, events and approvals, each safe to repeat."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from bursar.errors import ContentConflict
from bursar.reports import EventKind, PartnerEvent
from ledger.accounts import wallet_account
from ledger.books import AccountToOpen, ApprovalRow, PartnerWord, Unsendable
from ledger.postgres import PostgresBooks
from tests.ledger.steps import ANA, claimed, deposit, opened


@pytest.fixture
async def submitting(books: PostgresBooks) -> PostgresBooks:
    """Books with the payout po_1, whose first attempt is claimed."""
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    await books.write(claimed("po_1"))
    return books


def event(number: int = 1, reference: str | None = "po_1-1", **fields: object) -> PartnerEvent:
    plain: dict[str, object] = {
        "partner": "bank",
        "event_id": f"evt_{number}",
        "kind": EventKind.PAID,
        "reference": reference,
        "partner_ref": "ref",
        "amount_minor": 100,
        "currency": "EUR",
        "occurred_at": datetime(2026, 11, 2, tzinfo=UTC) - timedelta(minutes=number),
    }
    return PartnerEvent.model_validate(plain | fields)


async def test_opening_an_account_again_changes_nothing(books: PostgresBooks) -> None:
    await books.write(deposit("d/1", 50))
    await books.open_accounts([wallet_account(ANA, "main"), wallet_account(ANA, "main")])
    account = await books.account(ANA)
    assert account is not None
    assert (account.posted_minor, account.floor_minor, account.tenant) == (50, 0, "main")


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "else"},
        {"kind": "asset"},
        {"floor_minor": 1},
        {"ceiling_minor": 5},
        {"soft": True},
    ],
)
async def test_opening_an_account_with_other_content_is_a_conflict(
    books: PostgresBooks, other: dict[str, object]
) -> None:
    differing = wallet_account(ANA, "main").model_copy(update=other)
    new = wallet_account("wallet/new/EUR", "main")
    with pytest.raises(ContentConflict, match=f"'{ANA}'"):
        await books.open_accounts([new, differing])
    assert await books.account(new.path) is None


async def test_fifty_callers_open_one_account(books: PostgresBooks) -> None:
    new = [wallet_account(f"wallet/new{n}/EUR", "main") for n in range(5)]
    await asyncio.gather(
        *(books.open_accounts(new if n % 2 else list(reversed(new))) for n in range(50))
    )
    assert await books.account("wallet/new4/EUR") is not None


@pytest.mark.parametrize(
    ("path", "currency"),
    [("wallet/a/EUR", "USD"), ("wallet/a/ABC", "ABC"), ("Wallet/a/EUR", "EUR"), ("EUR", "EUR")],
)
async def test_an_accounts_path_names_its_currency(
    books: PostgresBooks, path: str, currency: str
) -> None:
    sound = wallet_account("wallet/new/EUR", "main")
    wrong = AccountToOpen(path=path, kind="liability", currency=currency)
    with pytest.raises(ValueError, match="accounts_"):
        await books.open_accounts([sound, wrong])
    assert await books.account(sound.path) is None


async def allowed(books: PostgresBooks) -> int:
    """Ask for permission to send the attempt, and return its fence."""
    permit = await books.mark_sent("po_1-1")
    assert permit.fence is not None, permit.refusal
    return permit.fence


async def test_of_many_senders_one_may_send(submitting: PostgresBooks) -> None:
    answers = await asyncio.gather(*(submitting.mark_sent("po_1-1") for _ in range(20)))
    assert Counter(answer.refusal for answer in answers) == {None: 1, Unsendable.SENT: 19}
    assert [answer.fence for answer in answers if answer.refusal is None] == [1]
    (attempt,) = await submitting.attempts("po_1")
    assert attempt.sent_at == attempt.first_sent_at is not None
    assert attempt.fence == 1


async def test_what_certainly_never_left_may_be_sent_by_the_next_try(
    submitting: PostgresBooks,
) -> None:
    first = await allowed(submitting)
    assert await submitting.mark_unsent("po_1-1", first)
    (attempt,) = await submitting.attempts("po_1")
    assert attempt.sent_at is None
    assert attempt.first_sent_at is not None
    assert await allowed(submitting) > first
    assert (await submitting.mark_sent("po_1-1")).refusal is Unsendable.SENT


async def test_who_says_late_that_nothing_left_does_not_clear_the_mark_of_a_newer_send(
    submitting: PostgresBooks,
) -> None:
    old = await allowed(submitting)
    assert await submitting.mark_unsent("po_1-1", old)
    new = await allowed(submitting)
    assert not await submitting.mark_unsent("po_1-1", old)
    (attempt,) = await submitting.attempts("po_1")
    assert attempt.sent_at is not None
    assert attempt.fence == new


async def test_an_unknown_attempt_cannot_be_sent(books: PostgresBooks) -> None:
    with pytest.raises(ValueError, match="po_9-1: there is no such attempt"):
        await books.mark_sent("po_9-1")
    with pytest.raises(ValueError, match="po_9-1: there is no such attempt"):
        await books.mark_unsent("po_9-1", 1)
    with pytest.raises(ValueError, match="partner_words_attempt_key"):
        await books.add_word(PartnerWord(attempt_key="po_9-1", verb="find", kind="unknown"))


async def test_every_word_of_a_partner_is_kept_in_order(submitting: PostgresBooks) -> None:
    for kind in ("unknown", "not_found", "paid"):
        await submitting.add_word(
            PartnerWord(attempt_key="po_1-1", verb="find", kind=kind, evidence="as said")
        )
    words = await submitting.words("po_1")
    assert [(word.kind, word.evidence) for word in words] == [
        ("unknown", "as said"),
        ("not_found", "as said"),
        ("paid", "as said"),
    ]
    assert all(word.answered_at is not None for word in words)


async def test_a_note_is_kept_once_per_key(
    submitting: PostgresBooks, owner: asyncpg.Connection
) -> None:
    for payment in ("po_1", "po_not_yet_registered"):
        for _ in range(3):
            await submitting.add_note(payment, key="n/1", actor="ana", kind="wish", detail="stop")
    rows = await owner.fetch("select payment_id, detail from notes order by id")
    assert [tuple(row) for row in rows] == [("po_1", "stop"), ("po_not_yet_registered", "stop")]


async def test_an_event_is_stored_once_with_its_raw_bytes(
    submitting: PostgresBooks, owner: asyncpg.Connection
) -> None:
    raw = b'{"odd": "\xff\x00"}'
    row_id = await submitting.store_event(event(), raw, {"webhook-id": "evt_1"})
    assert row_id is not None
    assert await submitting.store_event(event(kind=EventKind.FAILED), b"other", {}) is None
    stored = await submitting.event(row_id)
    assert stored is not None
    assert (stored.event, stored.payment_id) == (event(), "po_1")
    assert await owner.fetchval("select raw from partner_events") == raw


@pytest.mark.parametrize("reference", [None, "po_unknown-1", "wallet/ana/EUR", "po_1", ""])
async def test_an_event_belongs_to_a_payment_only_if_the_register_knows_it(
    submitting: PostgresBooks, reference: str | None
) -> None:
    row_id = await submitting.store_event(event(reference=reference), b"", {})
    assert row_id is not None
    stored = await submitting.event(row_id)
    assert stored is not None
    assert stored.payment_id == ("po_1" if reference == "po_1" else None)


async def test_two_relays_share_the_events_and_none_is_given_twice(
    submitting: PostgresBooks,
) -> None:
    for number in range(40):
        await submitting.store_event(event(number), b"", {})
    pages = await asyncio.gather(*(submitting.events_to_relay(10) for _ in range(8)))
    given = [stored.row_id for page in pages for stored in page]
    assert len(given) == len(set(given)) == 40
    assert all(page == sorted(page, key=lambda stored: stored.row_id) for page in pages)


async def test_a_dead_relays_events_come_back_and_taken_ones_do_not(
    submitting: PostgresBooks, owner: asyncpg.Connection
) -> None:
    for number in range(2):
        await submitting.store_event(event(number), b"", {})
    first, second = await submitting.events_to_relay(10)
    await submitting.mark_taken(first.row_id)
    assert await submitting.events_to_relay(10) == []
    await let_time_pass(owner, "1 minute")
    (again,) = await submitting.events_to_relay(10)
    assert again.row_id == second.row_id
    taken = await submitting.event(first.row_id)
    assert taken is not None
    assert taken.taken_at is not None


async def let_time_pass(owner: asyncpg.Connection, interval: str) -> None:
    """Put every lease so much nearer to its end."""
    await owner.execute(
        "update partner_events set leased_until = leased_until - $1::text::interval", interval
    )


async def test_an_event_that_was_taken_comes_back_after_a_while_unless_it_is_in_the_books(
    submitting: PostgresBooks, owner: asyncpg.Connection
) -> None:
    for number in range(2):
        await submitting.store_event(event(number), b"", {})
    for stored in await submitting.events_to_relay(10):
        await submitting.mark_taken(stored.row_id)
    await submitting.set_event_aside(1, "repeated")
    await let_time_pass(owner, "4 minutes")
    assert await submitting.events_to_relay(10) == []
    await let_time_pass(owner, "2 minutes")
    assert [stored.row_id for stored in await submitting.events_to_relay(10)] == [2]


async def test_open_events_come_in_order_of_occurrence_until_they_are_set_aside(
    submitting: PostgresBooks, owner: asyncpg.Connection
) -> None:
    ids = [await submitting.store_event(event(number), b"", {}) for number in (1, 2, 3)]
    waiting = await submitting.open_events("po_1")
    assert [stored.row_id for stored in waiting] == list(reversed(ids))
    await submitting.set_event_aside(waiting[0].row_id, "repeated")
    await submitting.set_event_aside(waiting[0].row_id, "stale")
    assert [stored.row_id for stored in await submitting.open_events("po_1")] == [ids[1], ids[0]]
    verdicts = await owner.fetchval("select array_agg(verdict) from partner_events where id = 3")
    assert verdicts == ["repeated"]


async def test_a_persons_word_on_a_payment_is_kept_once_and_another_word_beside_it(
    submitting: PostgresBooks,
) -> None:
    word = ApprovalRow(
        payment_id="po_1",
        principal="ben",
        decision="approve",
        role="approve-l1",
        content_hash="c" * 64,
        rule_version="1",
        reason=None,
        channel="gateway",
        at=await submitting.now(),
    )
    assert await submitting.add_approval(word)
    assert not await submitting.add_approval(word.model_copy(update={"reason": "sure"}))
    later = {"decision": "deny", "at": word.at + timedelta(minutes=1)}
    denial = word.model_copy(update=later)
    assert await submitting.add_approval(denial)
    assert not await submitting.add_approval(denial)
    assert await submitting.approvals("po_1") == [word, denial]
    for shouted in ("Deny", "", "resolve paid", "a" * 41):
        with pytest.raises(ValueError, match="approvals_decision"):
            await submitting.add_approval(word.model_copy(update={"decision": shouted}))
    unknown = word.model_copy(update={"payment_id": "po_9"})
    with pytest.raises(ValueError, match="approvals_payment_id"):
        await submitting.add_approval(unknown)


async def test_what_is_not_there_is_none_or_empty(books: PostgresBooks) -> None:
    assert await books.account("wallet/nobody/EUR") is None
    assert await books.payment("po_9") is None
    assert await books.event(99) is None
    assert await books.attempts("po_9") == []
    assert await books.words("po_9") == []
    assert await books.approvals("po_9") == []
    assert await books.open_events("po_9") == []
    assert await books.open_cases("po_9") == []
