"""What people decide counts as they say it now, and where they are asked (INV-20, A5, A6)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from activities.conclusions import Conclusions, Evidence
from activities.decisions import Decisions
from activities.rules import Rules
from activities.terms import Acted, Wish
from bursar.actions import Approve, Deny, Outcome, Resolve, Verdict
from bursar.gate import DisableBody
from bursar.payments import PaymentState
from bursar.reports import Accepted, EventKind
from ledger.books import ApprovalRow, Books, Payment
from ledger.changes import CaseOpened, Change, Move, Written
from ledger.poison import FAILURES_MAX, count_failure
from ledger.postgres import PostgresBooks
from ledger.resolutions import changes_nothing, decision_of, due_since
from tests.activities.telling import PAYOUT, an_event, cases, store, submitted
from tests.ledger.driving import Driver
from tests.ledger.steps import breaks

S, V = PaymentState, Verdict
GONE, PAID, TAKEN = Outcome.NEVER_MOVED, Outcome.PAID, Outcome.ACCEPTED
NEED = {"number": 1, "role": "approve-l1", "version": "v7"}


async def the_payment(books: PostgresBooks) -> Payment:
    payment = await books.payment(PAYOUT)
    assert payment is not None
    return payment


async def keep_word(books: PostgresBooks, who: str, decision: str, role: str = "operate") -> None:
    """Keep a word as the gateway does, that is, before the run is told."""
    payment = await the_payment(books)
    row = ApprovalRow(
        payment_id=PAYOUT,
        principal=who,
        decision=decision,
        role=role,
        content_hash=payment.content_hash,
        rule_version="v7",
        reason=None,
        channel="gateway",
        at=await books.now(),
    )
    await books.add_approval(row, due_since(payment, await books.open_cases(PAYOUT)))


async def act(books: PostgresBooks, action: Approve | Deny | Resolve) -> Acted:
    decisions = Decisions(books, Rules(), Conclusions(books))
    return await decisions.act(Wish(payment_id=PAYOUT, action=action, channel="update"))


async def says(books: PostgresBooks, who: str, outcome: Outcome) -> Verdict:
    """Say what became of the payment, as somebody with a token does; return the answer."""
    if not changes_nothing(await the_payment(books), outcome):
        await keep_word(books, who, decision_of(outcome))
    told = await act(books, Resolve(by=who, outcome=outcome, evidence="ticket 4711"))
    return told.answer.verdict


async def a_case(books: PostgresBooks, evidence: str) -> None:
    conclusions = Conclusions(books)
    proof = Evidence(actor="bursar", id=evidence)
    await conclusions.open_case(await the_payment(books), "overdue", "long ago", proof)


async def close(books: PostgresBooks, case_id: int) -> bool:
    return await books.close_case(
        case_id, by="ana", decision="none", resolution="seen", posting=None
    )


async def in_review(driver: Driver) -> None:
    await driver.open_payout(PAYOUT)
    await driver.claim(PAYOUT)
    await driver.lose_track(PAYOUT)
    await driver.review(PAYOUT)


async def test_a_word_from_before_anybody_was_asked_counts_for_no_later_case(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await submitted(driver)
    assert await says(books, "ana", GONE) is V.NOT_WAITING
    await a_case(books, "overdue/1")
    assert await says(books, "ben", GONE) is V.RECORDED
    assert (await the_payment(books)).state is S.SUBMITTED
    assert await says(books, "ana", GONE) is V.RESOLVED, "now she has been asked"
    assert (await the_payment(books)).state is S.FAILED
    assert await breaks(auditor_url) == []


async def test_a_word_from_before_the_partners_yes_counts_for_no_case_that_is_older_inv_20(
    books: PostgresBooks, driver: Driver
) -> None:
    """A6: she has said "never moved" of what nobody knew; her partner has accepted it since."""
    await in_review(driver)
    await a_case(books, "outcome/1")
    assert await says(books, "ana", GONE) is V.RECORDED
    accepted = Evidence(actor="partner:bank", id="event/evt_1")
    await Conclusions(books).conclude(await the_payment(books), Accepted(partner_ref=""), accepted)
    assert await says(books, "ben", GONE) is V.RECORDED
    assert (await the_payment(books)).state is S.SUBMITTED
    assert await says(books, "ana", GONE) is V.RESOLVED, "now she says it of what was accepted"
    assert (await the_payment(books)).state is S.FAILED


async def test_a_word_that_was_taken_back_counts_no_more_until_it_is_said_again(
    books: PostgresBooks, driver: Driver
) -> None:
    await in_review(driver)
    assert [await says(books, "ana", outcome) for outcome in (GONE, PAID)] == [V.RECORDED] * 2
    assert await says(books, "ben", GONE) is V.RECORDED
    assert await says(books, "Ana", GONE) is V.RESOLVED
    assert (await the_payment(books)).state is S.FAILED


@pytest.mark.parametrize("spelt", ["ana", "Ana"])
async def test_a_disabled_persons_word_does_not_decide_a_payment(
    books: PostgresBooks, driver: Driver, spelt: str
) -> None:
    await in_review(driver)
    assert await says(books, "ana", GONE) is V.RECORDED
    await books.disable_person(DisableBody(name=spelt, reason="left"), "chief")
    assert await says(books, "ben", GONE) is V.RECORDED
    assert await says(books, "carl", GONE) is V.RESOLVED


class Meanwhile:
    """The books as a worker reaches them: before it writes, somebody is disabled."""

    def __init__(self, books: PostgresBooks, name: str) -> None:
        self._books = books
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._books, name)

    async def write(self, change: Change) -> Written:
        await self._books.disable_person(DisableBody(name=self._name, reason="left"), "chief")
        return await self._books.write(change)


async def test_who_is_disabled_after_they_were_counted_decides_no_payment_inv_20(
    books: PostgresBooks, driver: Driver
) -> None:
    await in_review(driver)
    assert await says(books, "ana", GONE) is V.RECORDED
    await keep_word(books, "ben", decision_of(GONE))
    meanwhile = cast(Books, Meanwhile(books, "ANA"))
    action = Resolve(by="ben", outcome=GONE, evidence="ticket 4711")
    wish = Wish(payment_id=PAYOUT, action=action, channel="update")
    told = await Decisions(meanwhile, Rules(), Conclusions(meanwhile)).act(wish)
    assert told.answer.verdict is V.NOT_WAITING
    assert (await the_payment(books)).state is S.IN_REVIEW
    assert await says(books, "carl", GONE) is V.RESOLVED


async def test_deciding_a_payment_keeps_the_case_of_an_event_that_waits_for_a_person(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await in_review(driver)
    row = await store(books, an_event(EventKind.PAID, "evt_bad"))
    for _ in range(FAILURES_MAX):
        stored = await books.event(row.row_id)
        assert stored is not None
        await count_failure(books, stored, "ValueError", actor="bursar")
    await books.write(
        Change(
            key=f"event/{row.row_id}/waits/0",
            kind="case",
            actor="bursar:sweeper",
            payment_id=PAYOUT,
            effective_on=(await books.now()).date(),
            case=CaseOpened(kind="event_waits", detail="its run is gone"),
        )
    )
    assert [await says(books, who, GONE) for who in ("ana", "ben")] == [V.RECORDED, V.RESOLVED]
    assert await cases(auditor_url) == [("event_set_aside", PAYOUT), ("event_waits", PAYOUT)]
    assert await breaks(auditor_url) == []
    for case in await books.open_cases(PAYOUT):
        await books.add_case_word(case.id, "ana", "none", "seen")
        assert await close(books, case.id) is (case.kind == "event_waits")
    await books.redrive_events(None, "ana")
    (case,) = await books.open_cases(PAYOUT)
    assert await close(books, case.id), "it is on its way again"


async def test_accepted_says_nothing_new_of_what_is_accepted(
    books: PostgresBooks, driver: Driver
) -> None:
    await submitted(driver)
    await a_case(books, "overdue/1")
    assert [await says(books, who, TAKEN) for who in ("ana", "ben")] == [V.NOT_WAITING] * 2
    assert (await the_payment(books)).open_cases == 1


async def test_a_repeated_word_hears_that_it_has_counted_when_its_answer_was_lost(
    books: PostgresBooks, driver: Driver
) -> None:
    await driver.open_payout(
        PAYOUT, S.AWAITING_APPROVAL, terms={"content_hash": "c" * 64, "approvals": NEED}
    )
    await keep_word(books, "ana", "approve", "approve-l1")
    payment = await the_payment(books)
    await books.write(
        Change(
            key=f"{PAYOUT}/scheduled",
            kind="schedule",
            actor="bursar",
            payment_id=PAYOUT,
            moves=(Move(before=S.AWAITING_APPROVAL, after=S.SCHEDULED),),
            effective_on=payment.created_at.date(),
        )
    )
    assert (await act(books, Approve(by="ana"))).answer.verdict is V.APPROVED
    assert (await act(books, Approve(by="ben"))).answer.verdict is V.NOT_WAITING
    late = await act(books, Deny(by="ana", reason="no"))
    assert late.answer.verdict is V.NOT_WAITING


async def test_a_repeated_decision_hears_that_it_has_counted_when_its_answer_was_lost(
    books: PostgresBooks, driver: Driver
) -> None:
    await in_review(driver)
    assert [await says(books, who, PAID) for who in ("ana", "ben")] == [V.RECORDED, V.RESOLVED]
    paid = Resolve(by="ana", outcome=PAID, evidence="ticket 4711")
    assert (await act(books, paid)).answer.verdict is V.RESOLVED
    for other in (
        paid.model_copy(update={"by": "carl"}),
        paid.model_copy(update={"outcome": GONE}),
    ):
        assert (await act(books, other)).answer.verdict is V.ALREADY_FINAL
