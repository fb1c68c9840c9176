"""Writing changes: what is booked, what is refused, what is remembered."""

from __future__ import annotations

import asyncpg
import pytest

from bursar.errors import ContentConflict
from bursar.payments import PaymentState
from ledger.books import AccountToOpen
from ledger.changes import AttemptClosed, AttemptReopened, CaseOpened, Change, Leg, Refusal
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
    transfer,
    voided,
)

S = PaymentState


async def available(books: PostgresBooks, path: str = ANA) -> int:
    account = await books.account(path)
    assert account is not None
    return account.available_minor


async def test_a_change_moves_money_once_however_often_it_is_written(
    books: PostgresBooks, books_url: str
) -> None:
    await books.write(deposit("d/1", 1_000))
    first = await books.write(transfer("t/1", 300))
    again = await books.write(transfer("t/1", 300))
    assert (first.refusal, first.repeated) == (None, False)
    assert (again.refusal, again.repeated) == (None, True)
    assert (await available(books), await available(books, BEN)) == (700, 300)
    assert await breaks(books_url) == []


async def test_a_known_key_with_other_content_is_a_conflict_and_writes_nothing(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(transfer("t/1", 300))
    with pytest.raises(ContentConflict, match="t/1"):
        await books.write(transfer("t/1", 301))
    assert await available(books) == 700
    assert await owner.fetchval("select count(*) from transactions") == 2


async def test_dates_actor_reason_and_evidence_are_no_content(books: PostgresBooks) -> None:
    await books.write(deposit("d/1", 1_000))
    other = deposit("d/1", 1_000)._replace(
        evidence_id="another line", actor="poll", reason="found by polling"
    )
    assert (await books.write(other)).repeated


async def test_a_refusal_for_want_of_funds_is_remembered_when_funds_have_come(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    refused = await books.write(transfer("t/1", 300))
    await books.write(deposit("d/1", 1_000))
    again = await books.write(transfer("t/1", 300))
    assert refused.refusal is Refusal.FUNDS
    assert (again.refusal, again.repeated) == (Refusal.FUNDS, True)
    assert (await books.write(transfer("t/2", 300))).refusal is None
    assert await owner.fetchval("select count(*) from entries") == 4


async def test_held_money_cannot_be_spent(books: PostgresBooks) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 800))
    assert (await books.write(transfer("t/1", 201))).refusal is Refusal.FUNDS
    assert (await books.write(transfer("t/2", 200))).refusal is None
    assert await available(books) == 0


async def test_a_ceiling_refuses_what_would_pass_it(books: PostgresBooks) -> None:
    capped = AccountToOpen(
        path="owed/cap/EUR", kind="asset", currency="EUR", floor_minor=0, ceiling_minor=500
    )
    await books.open_accounts([capped])
    await books.write(deposit("d/1", 1_000))

    def owe(key: str, amount: int) -> Change:
        return transfer(key, amount, source="owed/cap/EUR", destination=BEN)

    assert (await books.write(owe("o/1", 501))).refusal is Refusal.CEILING
    assert (await books.write(owe("o/2", 500))).refusal is None
    assert (await books.write(owe("o/3", 1))).refusal is Refusal.CEILING


async def test_a_closed_account_takes_no_changes(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    await owner.execute(
        "update balances set closed = true from accounts a where a.id = account_id and path = $1",
        BEN,
    )
    assert (await books.write(transfer("t/1", 5))).refusal is Refusal.ACCOUNT_CLOSED
    assert await available(books) == 1_000


async def test_a_soft_floor_books_facts_and_refuses_new_holds(books: PostgresBooks) -> None:
    nostro = "nostro/bank/EUR"
    await books.write(deposit("d/1", 100))
    legs = (
        Leg(account="cost/bank/EUR", currency="EUR", delta=-150),
        Leg(account=nostro, currency="EUR", delta=150),
    )
    assert (await books.write(change("line/1", *legs, evidence_id="line-1"))).refusal is None
    assert await available(books, nostro) == -50
    hold = change("fund/1", Leg(account=nostro, currency="EUR", held=1))
    assert (await books.write(hold)).refusal is Refusal.FUNDS


async def test_a_refused_opening_registers_the_payment_and_says_why(
    books: PostgresBooks, owner: asyncpg.Connection, books_url: str
) -> None:
    written = await books.write(opened("po_1", 100))
    again = await books.write(opened("po_1", 100))
    assert (written.refusal, written.state) == (Refusal.FUNDS, S.REFUSED)
    assert (again.refusal, again.state, again.repeated) == (Refusal.FUNDS, S.REFUSED, True)
    rows = await owner.fetch("select before, after, reason from transitions order by seq")
    assert [tuple(row) for row in rows] == [
        (None, "received", None),
        ("received", "refused", "insufficient_funds"),
    ]
    assert await breaks(books_url) == []


async def test_a_payment_that_is_elsewhere_makes_the_change_stale_and_writes_nothing(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    await books.write(claimed("po_1"))
    before = await owner.fetchval("select count(*) from transactions")
    stale = await books.write(voided("po_1", 100))
    assert (stale.stale, stale.refusal, stale.state) == (True, None, S.SUBMITTING)
    assert await owner.fetchval("select count(*) from transactions") == before
    assert await available(books) == 900


async def test_one_payment_id_is_never_registered_with_two_contents(books: PostgresBooks) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    other = opened("po_1", 200, content="d" * 64)._replace(key="po_1/hold/2")
    with pytest.raises(ContentConflict):
        await books.write(other)
    same = opened("po_1", 100)._replace(key="po_1/hold/3")
    assert (await books.write(same)).stale
    payment = await books.payment("po_1")
    assert payment is not None
    assert (payment.amount_minor, payment.state) == (100, S.RESERVED)


async def test_each_transition_has_one_event_in_the_outbox_with_a_stable_id(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    await books.write(opened("po_1", 100))
    await books.write(voided("po_1", 100))
    rows = await owner.fetch("select event_id, seq, before, after, xid from outbox order by id")
    assert [tuple(row)[:4] for row in rows] == [
        ("po_1/1", 1, None, "received"),
        ("po_1/2", 2, "received", "reserved"),
        ("po_1/3", 3, "reserved", "cancelled"),
    ]
    booked = await owner.fetch(
        "select t.xid from transitions join transactions t on t.id = transaction_id order by seq"
    )
    assert [row["xid"] for row in rows] == [row["xid"] for row in booked]


async def test_an_attempt_is_opened_once_and_only_one_is_alive(books: PostgresBooks) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    await books.write(claimed("po_1"))

    def unknown(key: str, result: str) -> Change:
        return change(
            key,
            payment_id="po_1",
            moves=moves(S.SUBMITTING, S.OUTCOME_UNKNOWN),
            attempt=AttemptClosed(key="po_1-1", result=result, partner_ref="ref", code="c"),
        )

    def second(key: str) -> Change:
        again = moves(S.OUTCOME_UNKNOWN, S.SUBMITTING)
        return claimed("po_1", 2)._replace(key=key, moves=again)

    await books.write(unknown("po_1/unknown/1", "unknown"))
    with pytest.raises(ValueError, match="attempts_one_live"):
        await books.write(second("po_1/claim/2"))
    closed = AttemptClosed(key="po_1-1", result="not_found")
    await books.write(change("po_1/absent/1", payment_id="po_1", attempt=closed))
    assert (await books.write(second("po_1/claim/2"))).state is S.SUBMITTING
    first, last = await books.attempts("po_1")
    assert (first.result, first.partner_ref, last.result) == ("not_found", "ref", None)


async def test_an_attempt_is_reopened_in_the_commit_of_the_move_that_sends_it_again(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    await books.write(deposit("d/1", 1_000))
    for payment in ("po_1", "po_2"):
        await books.write(opened(payment, 100))
        await books.write(claimed(payment))
    first = (await books.mark_sent("po_1-1")).fence
    (attempt,) = await books.attempts("po_1")
    sent_first = attempt.sent_at

    def step(key: str, before: S, after: S, **fields: object) -> Change:
        return change(key, payment_id="po_1", moves=moves(before, after), **fields)

    await books.write(step("po_1/unknown/1", S.SUBMITTING, S.OUTCOME_UNKNOWN))
    back = (S.OUTCOME_UNKNOWN, S.SUBMITTING)
    with pytest.raises(ValueError, match="its payment has no attempt po_2-1"):
        await books.write(step("po_1/resend/1", *back, attempt=AttemptReopened(key="po_2-1")))
    again = step("po_1/resend/1", *back, attempt=AttemptReopened(key="po_1-1"))
    assert (await books.write(again)).state is S.SUBMITTING
    (attempt,) = await books.attempts("po_1")
    assert (attempt.sent_at, attempt.first_sent_at) == (None, sent_first)
    second = (await books.mark_sent("po_1-1")).fence
    assert (first, attempt.fence, second) == (1, 2, 3)
    assert (await books.write(again)).repeated
    elsewhere = again._replace(key="po_1/resend/2")
    assert (await books.write(elsewhere)).stale
    (attempt,) = await books.attempts("po_1")
    assert (attempt.fence, attempt.first_sent_at) == (second, sent_first)
    registered = await books.payment("po_1")
    assert registered is not None
    assert registered.seq == 5 == await owner.fetchval("select max(seq) from transitions")


async def test_a_case_is_opened_with_its_change_and_closed_by_a_person(
    books: PostgresBooks,
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    found = CaseOpened(kind="contradiction", detail="paid after failed")
    await books.write(change("po_1/case/1", payment_id="po_1", case=found))
    (case,) = await books.open_cases("po_1")
    assert (case.kind, case.detail, case.opened_by) == (found.kind, found.detail, "test")
    settled = voided("po_1", 100, closes_cases=True, actor="ana", reason="never moved")
    await books.write(settled)
    assert await books.open_cases("po_1") == []


async def test_a_reversal_names_what_it_undoes_and_undoes_it_once(books: PostgresBooks) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(transfer("t/1", 300))
    back = transfer("rev/t/1", 300, source=BEN, destination=ANA)
    await books.write(back._replace(reverses="t/1"))
    assert await available(books) == 1_000
    again = transfer("rev/t/2", 1, source=ANA, destination=BEN)
    with pytest.raises(ValueError, match="transactions_reverses_key"):
        await books.write(again._replace(reverses="t/1"))
    with pytest.raises(ValueError, match="no change t/none to reverse"):
        await books.write(again._replace(reverses="t/none"))


async def came(owner: asyncpg.Connection, event_id: str) -> int:
    """Store a credit that the bank told of; return its row's id."""
    row_id: int = await owner.fetchval(
        "insert into partner_events (partner, event_id, kind, detail, occurred_at, raw, headers)"
        " values ('bank', $1, 'credit', '', now(), '', '{}') returning id",
        event_id,
    )
    return row_id


async def test_an_events_row_is_applied_in_the_changes_own_commit(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    row_id = await came(owner, "e1")
    refused = transfer("t/1", 5)._replace(applies_events=(row_id,))
    await books.write(refused)
    assert await owner.fetchval("select applied_at from partner_events") is None
    await books.write(deposit("d/1", 9)._replace(applies_events=(row_id,)))
    assert await owner.fetchval("select applied_at from partner_events") is not None


async def test_an_event_that_is_taken_account_of_makes_any_other_change_stale(
    books: PostgresBooks, owner: asyncpg.Connection
) -> None:
    applied, aside, new = [await came(owner, name) for name in ("applied", "aside", "new")]
    first = deposit("d/1", 9)._replace(applies_events=(applied,))
    await books.write(first)
    await books.set_event_aside(aside, "stale")
    for number, rows in enumerate([(applied,), (aside,), (new, applied)]):
        late = deposit(f"late/{number}", 5)._replace(applies_events=rows)
        assert (await books.write(late)).stale
    assert (await books.write(first)).repeated
    assert await available(books) == 9
    assert await owner.fetchval("select count(*) from transactions") == 1
    row = await books.event(new)
    assert row is not None
    assert row.applied_at is None
    unknown = deposit("d/2", 1)._replace(applies_events=(99,))
    with pytest.raises(ValueError, match="d/2: there is no partner event 99"):
        await books.write(unknown)


LEGS_THAT_ARE_BUGS = {
    "there is no account wallet/nobody/EUR": [
        Leg(account="wallet/nobody/EUR", currency="EUR", held=1)
    ],
    "account wallet/ana/EUR holds EUR, not USD": [Leg(account=ANA, currency="USD", held=1)],
    "account nostro/bank/EUR moves only with an evidence_id": [
        Leg(account=ANA, currency="EUR", delta=1),
        Leg(account="nostro/bank/EUR", currency="EUR", delta=-1),
    ],
    "its legs in EUR sum to 2 minor units, not to 0": [
        Leg(account=ANA, currency="EUR", delta=3),
        Leg(account=BEN, currency="EUR", delta=-1),
    ],
    "there is no hold h/none": [
        Leg(account=ANA, currency="EUR", held=-1, hold="h/none", releases=True)
    ],
    "it takes from a hold on wallet/ana/EUR and does not say which": [
        Leg(account=ANA, currency="EUR", held=-1, releases=True)
    ],
    "a capture on wallet/ana/EUR has to move what it takes": [
        Leg(account=ANA, currency="EUR", held=-5, hold="h/1")
    ],
    "its leg on wallet/ana/EUR moves nothing": [Leg(account=ANA, currency="EUR")],
}


@pytest.mark.parametrize("reason", LEGS_THAT_ARE_BUGS)
async def test_a_callers_bug_is_an_error_that_names_key_and_reason_and_is_not_remembered(
    books: PostgresBooks, owner: asyncpg.Connection, reason: str
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(change("h/1", Leg(account=ANA, currency="EUR", held=5)))
    with pytest.raises(ValueError, match=f"bug/1: {reason}"):
        await books.write(change("bug/1", *LEGS_THAT_ARE_BUGS[reason]))
    assert await owner.fetchval("select count(*) from transactions where key = 'bug/1'") == 0


async def test_an_unknown_payment_is_a_callers_bug(books: PostgresBooks) -> None:
    with pytest.raises(ValueError, match="po_none/x: there is no payment po_none"):
        await books.write(change("po_none/x", payment_id="po_none"))


async def test_a_move_that_no_payment_may_make_is_refused_by_the_database(
    books: PostgresBooks,
) -> None:
    await books.write(deposit("d/1", 1_000))
    await books.write(opened("po_1", 100))
    leap = change("po_1/leap", payment_id="po_1", moves=moves(S.RESERVED, S.SETTLED))
    with pytest.raises(ValueError, match=r"(?s)po_1/leap: .*payout reserved>settled"):
        await books.write(leap)
    payment = await books.payment("po_1")
    assert payment is not None
    assert payment.state is S.RESERVED
