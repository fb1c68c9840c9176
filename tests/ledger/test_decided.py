"""What people have decided is counted in the commit that does it, by either engine (INV-20)."""

from __future__ import annotations

import pytest

from bursar.gate import DisableBody
from bursar.payments import PaymentState
from bursar.reports import EventKind, PartnerEvent
from ledger import postings
from ledger.books import Books, StoredEvent
from ledger.changes import AttemptClosed, CaseOpened, Change
from ledger.evidence import GIVEN_UP
from ledger.memory import MemoryBooks
from ledger.poison import count_failure
from ledger.postgres import PostgresBooks
from tests.ledger.conftest import open_usual_accounts
from tests.ledger.gate import say
from tests.ledger.steps import ANA, BEN, captured, change, claimed, deposit, moves, opened
from tests.ledger.test_memory_gate import lost

S = PaymentState
PAID, GONE = "resolve_paid", "resolve_never_moved"


def decided(step: Change, before: S, after: S) -> Change:
    """Return a step as people have it done who say that the payout is paid."""
    paid = AttemptClosed(key="po_1-1", result="paid", partner_ref="b-1")
    return step._replace(
        payment_id="po_1",
        moves=moves(before, after),
        attempt=paid,
        closes_cases=True,
        evidence_id="resolution/po_1",
    )


@pytest.fixture(params=["memory", "postgres"])
def either(request: pytest.FixtureRequest, books: PostgresBooks) -> Books:
    return MemoryBooks() if request.param == "memory" else books


async def test_both_steps_of_what_two_people_decide_count_them_as_they_speak_then_inv_20(
    either: Books,
) -> None:
    """Nobody counts twice, nor the creator, nor who is disabled, nor a word from before."""
    if isinstance(either, MemoryBooks):
        await open_usual_accounts(either)
    for step in (deposit("d/1", 1_000), opened("po_1", 100), claimed("po_1")):
        await either.write(step)
    await say(either, "po_1", "early", decision=PAID)
    await either.write(lost(1, None))
    asked = moves(S.OUTCOME_UNKNOWN, S.IN_REVIEW)
    await either.write(change("po_1/review/1", payment_id="po_1", moves=asked))
    take = decided(captured("po_1/capture/1", "po_1/hold", 100), S.IN_REVIEW, S.SUBMITTED)
    for who, decision, is_few in (
        ("ben", PAID, True),
        ("carl", GONE, True),
        ("Ben", PAID, True),
        ("shop", PAID, True),
        ("carl", PAID, False),
    ):
        await say(either, "po_1", who, decision=decision)
        assert (await either.write(take)).stale is is_few, (who, decision)
    booked_out = postings.settle("bank", "EUR", amount_minor=100)
    settle = decided(change("po_1/settle/1", *booked_out), S.SUBMITTED, S.SETTLED)
    await either.disable_person(DisableBody(name="BEN", reason="left"), "chief")
    assert (await either.write(settle)).stale
    await say(either, "po_1", "dora", decision=PAID)
    written = await either.write(settle)
    assert (written.stale, written.state) == (False, S.SETTLED)
    assert (await either.write(settle)).repeated


@pytest.mark.parametrize("first", ["accepted", "paid"])
async def test_a_word_from_before_a_payout_was_captured_takes_nothing_back_inv_20(
    either: Books, first: str
) -> None:
    """Ana's, that it never moved: two others had it captured, and it is asked anew."""
    if isinstance(either, MemoryBooks):
        await open_usual_accounts(either)
    for step in (deposit("d/1", 1_000), opened("po_1", 100), claimed("po_1"), lost(1, None)):
        await either.write(step)
    asked = moves(S.OUTCOME_UNKNOWN, S.IN_REVIEW)
    await either.write(change("po_1/review/1", payment_id="po_1", moves=asked))
    said = {"ana": GONE, "bob": f"resolve_{first}", "carl": f"resolve_{first}"}
    for who, decision in said.items():
        await say(either, "po_1", who, decision=decision)
    take = decided(captured("po_1/capture/1", "po_1/hold", 100), S.IN_REVIEW, S.SUBMITTED)
    closed = AttemptClosed(key="po_1-1", result=first, partner_ref="b-1")
    assert not (await either.write(take._replace(attempt=closed))).stale
    overdue = CaseOpened(kind="overdue", detail="neither paid nor refused since")
    await either.write(change("po_1/case/overdue", payment_id="po_1", case=overdue))
    back = postings.uncapture(ANA, "bank", "EUR", amount_minor=100)
    fail = decided(change("po_1/uncapture/1", *back), S.SUBMITTED, S.FAILED)
    fail = fail._replace(attempt=AttemptClosed(key="po_1-1", result="never_moved"))
    for who, is_few in (("dan", True), ("eve", False)):
        await say(either, "po_1", who, decision=GONE)
        assert (await either.write(fail)).stale is is_few, who


async def test_money_leaves_suspense_by_the_word_of_two_who_count_in_that_commit_inv_20(
    either: Books,
) -> None:
    """To where they say, and of nobody who is disabled or has taken it back."""
    if isinstance(either, MemoryBooks):
        await open_usual_accounts(either)
    came = postings.deposit_unowned("bank", "EUR", amount_minor=70)
    found = CaseOpened(kind="unowned_credit", detail="whose is it?")
    await either.write(change("came/1", *came, evidence_id="event/1", case=found))
    (waits,) = (leg for leg in came if leg.account.startswith("suspense/"))
    legs = postings.out_of_suspense(waits.account, ANA, "EUR", delta=waits.delta)
    taking = change("case/1/1", *legs, evidence_id="case/1")
    for who, to, is_few in (
        ("ana", ANA, True),
        ("ben", BEN, True),
        ("Ana", ANA, True),
        ("ben", ANA, False),
    ):
        await either.add_case_word(1, who, to, "a letter")
        if not is_few:
            await either.disable_person(DisableBody(name="Ana", reason="left"), "chief")
            assert (await either.write(taking)).stale, "one of two is disabled"
            await either.add_case_word(1, "carl", to, "a letter")
        assert (await either.write(taking)).stale is is_few, (who, to)
    assert (await either.write(taking)).repeated


async def an_event_set_aside(books: Books) -> StoredEvent:
    """Store an event that fails for the last time, so that case 1 calls people to it."""
    event = PartnerEvent(
        partner="bank", event_id="evt_1", kind=EventKind.CREDIT, occurred_at=await books.now()
    )
    row_id = await books.store_event(event, b"", {})
    stored = await books.event(row_id or 0)
    assert stored is not None
    await count_failure(books, stored, "a bug", actor="bursar", failures_max=1)
    return stored


async def test_an_event_is_given_up_once_by_two_who_count_and_waits_on_no_case_then(
    either: Books,
) -> None:
    await an_event_set_aside(either)
    for who, answer in (("ana", "few"), ("Ana", "few"), ("ben", "given_up"), ("ben", "given_up")):
        await either.add_case_word(1, who, GIVEN_UP, "booked by hand")
        assert await either.give_up_event(1, "ana with ben", "booked by hand") == answer
    assert await either.redrive_events(None, "ana") == []
    end = {"by": "ana with ben", "decision": GIVEN_UP, "resolution": "booked by hand"}
    assert await either.close_case(1, **end, posting=None)
    assert await either.give_up_event(7, "ana with ben", "booked by hand") == "gone"


async def test_an_event_that_was_applied_after_all_is_not_given_up(either: Books) -> None:
    """A run had it in hand while it was set aside elsewhere, and has booked what it tells."""
    stored = await an_event_set_aside(either)
    await either.write(change("evt_1/booked", applies_events=(stored.row_id,)))
    for who in ("ana", "ben"):
        await either.add_case_word(1, who, GIVEN_UP, "booked by hand")
    assert await either.give_up_event(1, "ana with ben", "booked by hand") == "gone"
