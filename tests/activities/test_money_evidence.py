"""Money evidence wins: what a partner moved is booked once, and what does not fit moves nothing."""

from __future__ import annotations

import pytest
from temporalio.testing import ActivityEnvironment

from activities.conclusions import Conclusions, Evidence
from activities.events import EventActivities
from activities.terms import Judged, Standing
from bursar import PaymentState
from bursar.actions import Outcome
from bursar.reports import EventKind, Paid, PartnerEvent
from ledger import accounts
from ledger.postgres import PostgresBooks
from ledger.reading import Reader
from tests.activities.telling import (
    AMOUNT,
    PAYOUT,
    an_event,
    balance,
    cases,
    settled,
    store,
    submitted,
    take,
    two_say,
)
from tests.ledger.driving import ACME, BANK, Driver

S = PaymentState
PAID, BACK, NO = EventKind.PAID, EventKind.RETURNED, EventKind.FAILED
NOSTRO = accounts.nostro(BANK, "EUR")
GONE = accounts.suspense_out(BANK, "EUR")
FOUND = accounts.suspense_in(BANK, "EUR")
FUNDS = 1_000_00


async def state(books: PostgresBooks, payout_id: str = PAYOUT) -> PaymentState:
    payment = await books.payment(payout_id)
    assert payment is not None
    return payment.state


async def breaks(url: str) -> list[str]:
    reader = Reader(url)
    try:
        return [f"{found.check}: {found.detail}" for found in (await reader.check()).breaks]
    finally:
        await reader.aclose()


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": AMOUNT + 1},
        {"currency": "JPY"},
        {"payee_account": "DE89…9999"},
        {"reference": f"{PAYOUT}-7", "kind": NO},
        {"partner": "other"},
    ],
    ids=["amount", "currency", "payee", "reference", "partner"],
)
async def test_a_word_that_echoes_something_else_moves_nothing_and_calls_a_person_w6(
    books: PostgresBooks, driver: Driver, auditor_url: str, wrong: dict[str, object]
) -> None:
    await submitted(driver)
    await store(books, an_event(PAID, "evt_1").model_copy(update=wrong))
    standing: Standing = await ActivityEnvironment().run(
        EventActivities(books).apply_events, PAYOUT
    )
    assert (standing.state, standing.open_cases) == (S.SUBMITTED, 1)
    assert await balance(books, NOSTRO) == FUNDS
    assert await cases(auditor_url) == [("mismatch", PAYOUT)]
    assert await books.open_events(PAYOUT) == []


async def test_the_payee_is_compared_as_the_partner_masks_it(
    books: PostgresBooks, driver: Driver
) -> None:
    await submitted(driver)
    await take(books, an_event(PAID, "evt_1", payee_account="DE89…3000"))
    assert await state(books) is S.SETTLED


async def test_names_that_are_swapped_between_two_payments_quarantine_both_p12(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await submitted(driver)
    await submitted_as(driver, "po_2", "b-po_2")
    await take(books, an_event(PAID, "evt_1", partner_ref="b-po_2"))
    assert await state(books) is S.SUBMITTED
    assert await state(books, "po_2") is S.SUBMITTED
    assert await cases(auditor_url) == [("mismatch", PAYOUT), ("mismatch", "po_2")]


async def submitted_as(driver: Driver, payout_id: str, partner_ref: str) -> None:
    """Have the bank accept a payout, which it gives its own name."""
    await driver.open_payout(payout_id)
    await driver.claim(payout_id)
    await take(
        driver.books,  # type: ignore[arg-type]  # the driver's books are these
        an_event(EventKind.ACCEPTED, f"acc_{payout_id}", payout_id, partner_ref=partner_ref),
    )


@pytest.mark.parametrize("kind", [NO, EventKind.ACCEPTED])
async def test_a_word_of_another_payout_than_was_accepted_gives_no_money_back_and_calls_a_person(
    books: PostgresBooks, driver: Driver, auditor_url: str, kind: EventKind
) -> None:
    await submitted_as(driver, PAYOUT, "b-1")
    await take(books, an_event(EventKind.ACCEPTED, "evt_0", partner_ref="b-1"))
    await take(books, an_event(kind, "evt_1", partner_ref="b-9"))
    assert await state(books) is S.SUBMITTED
    assert await cases(auditor_url) == [("mismatch", PAYOUT)]


@pytest.mark.parametrize("ended", ["settled", "failed"])
async def test_a_second_debit_of_one_payout_waits_in_suspense_as_the_partners_breach_p13(
    books: PostgresBooks, driver: Driver, auditor_url: str, ended: str
) -> None:
    await submitted(driver)
    if ended == "failed":
        await driver.fail(PAYOUT)
    await take(books, an_event(PAID, "evt_1", line_ref="bl_1"))
    await take(books, an_event(PAID, "evt_2", line_ref="bl_2"))
    for n, again in enumerate(("bl_1", "bl_2", "bl_2")):  # told once more, by other events
        await take(books, an_event(PAID, f"again_{n}", line_ref=again))
    late = AMOUNT if ended == "failed" else 0
    assert await balance(books, NOSTRO) == FUNDS - 2 * AMOUNT
    assert await balance(books, GONE) == AMOUNT + late
    kinds = [kind for kind, _ in await cases(auditor_url)]
    assert kinds == (["contradiction"] if late else []) + ["paid_twice"]
    assert await breaks(auditor_url) == []


async def test_one_debit_that_is_told_of_two_payments_settles_the_first_only(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await submitted(driver)
    await submitted(driver, "po_2")
    await take(books, an_event(PAID, "evt_1", line_ref="bl_1"))
    await take(books, an_event(PAID, "evt_2", "po_2", line_ref="bl_1"))
    assert await state(books) is S.SETTLED
    assert await state(books, "po_2") is S.SUBMITTED
    assert await cases(auditor_url) == [("mismatch", PAYOUT), ("mismatch", "po_2")]


@pytest.mark.parametrize("reference", ["phantom-1", f"{PAYOUT}-7"])
async def test_a_debit_that_we_never_asked_for_is_booked_once_to_suspense_p13(
    books: PostgresBooks, driver: Driver, auditor_url: str, reference: str
) -> None:
    await submitted(driver)
    for event_id in ("evt_1", "evt_2"):
        await take(
            books,
            an_event(PAID, event_id, reference=reference, line_ref="bl_9", partner_ref="b-9"),
        )
    assert await balance(books, NOSTRO) == FUNDS - AMOUNT
    assert await balance(books, GONE) == AMOUNT
    owner = PAYOUT if reference.startswith(PAYOUT) else None
    assert await cases(auditor_url) == [("phantom_debit", owner)]
    assert await state(books) is S.SUBMITTED


async def test_deciding_a_payment_never_closes_a_case_whose_money_is_in_suspense(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await submitted(driver)
    await take(books, an_event(PAID, "evt_1", reference=f"{PAYOUT}-7", line_ref="bl_9"))
    await take(books, an_event(PAID, "evt_2", amount_minor=AMOUNT + 1))
    assert len(await cases(auditor_url)) == 2
    await two_say(books, Outcome.PAID)
    decided = Evidence(actor="ana with ben", id=f"resolution/{PAYOUT}", closes_cases=True)
    conclusions = Conclusions(books)
    payment = await conclusions.payment(PAYOUT)
    await conclusions.conclude(payment, Paid(partner_ref=""), decided)
    assert await state(books) is S.SETTLED
    assert await cases(auditor_url) == [("phantom_debit", PAYOUT)]
    assert await breaks(auditor_url) == []


async def test_a_known_debit_under_a_wrong_name_is_not_booked_again(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await submitted(driver)
    await take(books, an_event(PAID, "evt_1", line_ref="bl_1"))
    await take(books, an_event(PAID, "evt_2", reference="phantom-1", line_ref="bl_1"))
    assert await balance(books, NOSTRO) == FUNDS - AMOUNT
    assert [kind for kind, _ in await cases(auditor_url)] == ["mismatch"]


async def test_a_status_that_goes_backward_is_noted_and_changes_nothing_w4(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await settled(driver)
    await take(books, an_event(EventKind.ACCEPTED, "evt_1"))
    assert await state(books) is S.SETTLED
    assert await cases(auditor_url) == []
    reader = Reader(auditor_url)
    view = await reader.payment(PAYOUT)
    await reader.aclose()
    assert view is not None
    assert any("known: settled" in entry.text for entry in view.timeline)


async def test_a_no_after_the_money_has_left_calls_a_person_and_gives_nothing_back(
    books: PostgresBooks, driver: Driver, auditor_url: str
) -> None:
    await settled(driver)
    row = await store(books, an_event(NO, "evt_1"))
    judged = await ActivityEnvironment().run(EventActivities(books).judge_late, row)
    assert judged == Judged(needs_ops=True)
    assert await balance(books, NOSTRO) == FUNDS - AMOUNT
    assert await cases(auditor_url) == [("contradiction", PAYOUT)]


def a_return(event_id: str, arrived: int, *, kept: int, line: str) -> PartnerEvent:
    return an_event(
        BACK,
        event_id,
        amount_minor=arrived,
        fee_minor=kept,
        line_ref=line,
        payment_amount_minor=AMOUNT,
    )


@pytest.mark.parametrize(
    ("parts", "ends", "given_back", "excess"),
    [
        ([(AMOUNT, 0, "a")], S.RETURNED, AMOUNT, 0),
        ([(99_00, 1_00, "a")], S.RETURNED, AMOUNT, 0),
        ([(40_00, 0, "a")], S.SETTLED, 40_00, 0),
        ([(40_00, 0, "a"), (60_00, 0, "b")], S.RETURNED, AMOUNT, 0),
        ([(40_00, 0, "a"), (59_00, 1_00, "b")], S.RETURNED, AMOUNT, 0),
        ([(40_00, 0, "a"), (40_00, 0, "a")], S.SETTLED, 40_00, 0),
        ([(AMOUNT, 0, "a"), (AMOUNT, 0, "a")], S.RETURNED, AMOUNT, 0),
        ([(AMOUNT, 0, "a"), (AMOUNT, 0, "b")], S.RETURNED, AMOUNT, AMOUNT),
        ([(40_00, 0, "a"), (70_00, 0, "b")], S.SETTLED, 40_00, 70_00),
    ],
    ids=[
        "full",
        "less-a-fee",
        "partial",
        "two-parts",
        "two-parts-less-a-fee",
        "one-part-told-twice",
        "told-twice",
        "twice",
        "too-much",
    ],
)
@pytest.mark.parametrize("before", ["settled", "submitted"])
async def test_returns_never_come_to_more_than_was_paid_inv_16_p16(
    books: PostgresBooks,
    driver: Driver,
    auditor_url: str,
    parts: list[tuple[int, int, str]],
    ends: PaymentState,
    given_back: int,
    excess: int,
    before: str,
) -> None:
    await (settled(driver) if before == "settled" else submitted(driver))
    for number, (arrived, kept, line) in enumerate(parts):
        await take(books, a_return(f"evt_{number}", arrived, kept=kept, line=line))
    await take(books, an_event(PAID, "paid_late", line_ref="bl_1"))
    assert await state(books) is ends
    arrived_in_all = sum(arrived for arrived, _, _ in dict.fromkeys(parts))
    assert await balance(books, NOSTRO) == FUNDS - AMOUNT + arrived_in_all
    assert await balance(books, FOUND) == excess
    assert await balance(books, ACME) == FUNDS - AMOUNT - 50 + given_back
    assert [kind for kind, _ in await cases(auditor_url)] == (["excess_return"] if excess else [])
    assert await breaks(auditor_url) == []
    reader = Reader(auditor_url)
    view = await reader.payment(PAYOUT)
    await reader.aclose()
    assert view is not None
    assert view.returned_minor == given_back


async def test_a_return_for_a_payment_that_nobody_knows_waits_in_suspense_once(
    books: PostgresBooks, auditor_url: str
) -> None:
    for event_id in ("evt_1", "evt_2"):
        event = an_event(BACK, event_id, "po_never", line_ref="bl_1", fee_minor=0)
        await take(books, event)
    assert await balance(books, FOUND) == AMOUNT
    assert await cases(auditor_url) == [("unowned_returned", None)]
