"""What people see of a payment is what happened to it, and pages neither skip nor repeat."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from bursar.beneficiaries import Beneficiary, IbanAccount, MobileWallet, UsAccount
from bursar.errors import InvalidRequest
from bursar.payments import PaymentKind, PaymentState
from bursar.reports import EventKind, PartnerEvent
from bursar.views import PaymentPage
from ledger.accounts import wallet, wallet_account
from ledger.books import ApprovalRow, PartnerWord
from ledger.reading import PAGE_SIZE_MAX, Reader
from ops.ports import LOOPBACK, free_port
from tests.ledger.driving import ACME, Driver, S, driving, live_every_life

NEEDS_TWO = {"approvals": {"number": 2, "role": "approve-l1", "version": "v1"}}


@pytest.fixture
async def driver(books_url: str) -> AsyncIterator[Driver]:
    async with driving(books_url) as driver:
        yield driver


@pytest.fixture
async def reader(auditor_url: str) -> AsyncIterator[Reader]:
    reader = Reader(auditor_url)
    yield reader
    await reader.aclose()


def an_approval(principal: str, *, content_hash: str, role: str = "approve-l1") -> ApprovalRow:
    return ApprovalRow(
        payment_id="po_1",
        principal=principal,
        decision="approve",
        role=role,
        content_hash=content_hash,
        rule_version="v1",
        reason="as ordered",
        channel="gateway",
        at=datetime.now(UTC),
    )


async def all_pages(reader: Reader, limit: int, **wanted: str) -> list[PaymentPage]:
    pages = [await reader.payments(limit=limit, **wanted)]  # type: ignore[arg-type]  # filters of any kind
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(await reader.payments(limit=limit, cursor=cursor, **wanted))  # type: ignore[arg-type]  # as above
    return pages


async def test_a_settled_payout_shows_its_whole_life(driver: Driver, reader: Reader) -> None:
    await driver.open_payout("po_1", amount_minor=100_00, fee_minor=50)
    await driver.claim("po_1")
    await driver.books.mark_sent("po_1-1")
    await driver.books.add_word(
        PartnerWord(attempt_key="po_1-1", verb="submit", kind="accepted", partner_ref="ref-1")
    )
    await driver.capture("po_1")
    await driver.settle("po_1", cost_minor=7)
    view = await reader.payment("po_1")
    assert view is not None
    assert (view.payment.state, view.payment.kind) == (S.SETTLED, PaymentKind.PAYOUT)
    assert (view.payment.amount_minor, view.payment.fee_minor) == (100_00, 50)
    assert (view.payment.account, view.payment.partner) == (ACME, "bank")
    assert (view.payment.reference, view.payment.code) == ("Invoice of po_1", None)
    assert [entry.text for entry in view.timeline] == [
        "received",
        "received → reserved",
        "reserved → submitting",
        "submitting → submitted",
        "submitted → settled",
    ]
    assert [entry.actor for entry in view.timeline][-2:] == ["partner:bank"] * 2
    assert view.timeline[-1].reason == "because of settle"
    assert view.timeline[-1].evidence_id == "event/paid"
    (attempt,) = view.attempts
    assert (attempt.key, attempt.result, attempt.partner_ref) == ("po_1-1", "accepted", "ref-1")
    assert attempt.sent_at is not None
    assert [(word.verb, word.kind) for word in view.words] == [("submit", "accepted")]
    assert (view.destination, view.approvals_needed, view.execute_at) == (None, 0, None)


async def test_a_payouts_postings_are_shown_with_their_entries(
    driver: Driver, reader: Reader
) -> None:
    await driver.settle_whole_payout("po_1", amount_minor=100_00, fee_minor=50)
    view = await reader.payment("po_1")
    assert view is not None
    hold, capture, settle = view.postings
    assert [posting.key for posting in view.postings] == [
        "po_1/hold",
        "po_1/capture/1",
        "po_1/settle/1",
    ]
    assert [(e.delta_minor, e.held_minor, e.held_after_minor) for e in hold.entries] == [
        (0, 100_50, 100_50)
    ]
    assert {e.account: e.delta_minor for e in capture.entries} == {
        ACME: -100_50,
        "transit/out/bank/EUR": 100_00,
        "fees/payout/EUR": 50,
    }
    assert sum(e.delta_minor for e in settle.entries) == 0
    assert (settle.effective_on, settle.evidence_id) == ("2026-03-02", "event/paid")
    assert settle.refusal is None


async def test_a_timeline_puts_everything_in_order_of_time(driver: Driver, reader: Reader) -> None:
    opened = await driver.open_payout("po_1")
    await driver.books.add_note(
        "po_1", key="po_1/cancel", actor="ben", kind="cancel_wish", detail="please"
    )
    await driver.claim("po_1")
    event = PartnerEvent(
        partner="bank",
        event_id="evt_9",
        kind=EventKind.ACCEPTED,
        reference="po_1-1",
        detail="queued",
        occurred_at=datetime.now(UTC) - timedelta(days=1),
    )
    row_id = await driver.books.store_event(event, b"{}", {})
    assert row_id is not None
    await driver.lose_track("po_1")
    await driver.review("po_1")
    await driver.books.set_event_aside(row_id, "says nothing new")
    view = await reader.payment("po_1")
    assert opened.state is S.RESERVED
    assert view is not None
    assert [(entry.what, entry.text, entry.actor) for entry in view.timeline] == [
        ("transition", "received", "orders"),
        ("transition", "received → reserved", "orders"),
        ("note", "cancel_wish: please", "ben"),
        ("transition", "reserved → submitting", "bursar"),
        ("event", "accepted: queued (says nothing new)", "partner:bank"),
        ("transition", "submitting → outcome_unknown", "bursar"),
        ("transition", "outcome_unknown → in_review", "bursar"),
        ("case", "opened: outcome_unknown", "bursar"),
    ]
    assert [entry.at for entry in view.timeline] == sorted(entry.at for entry in view.timeline)
    assert view.payment.code == "outcome_unknown"


async def test_only_approvals_of_others_for_this_very_content_count(
    driver: Driver, reader: Reader
) -> None:
    terms: dict[str, object] = {**NEEDS_TWO, "execute_at": "2026-03-02T09:00:00Z"}
    await driver.open_payout("po_1", S.AWAITING_APPROVAL, terms=terms)
    payment = await driver.books.payment("po_1")
    assert payment is not None
    for approval in (
        an_approval("ana", content_hash=payment.content_hash),
        an_approval("orders", content_hash=payment.content_hash),
        an_approval("ben", content_hash="f" * 64),
        an_approval("cleo", content_hash=payment.content_hash, role="read"),
    ):
        assert await driver.books.add_approval(approval)
    view = await reader.payment("po_1")
    assert view is not None
    assert (view.approvals_given, view.approvals_needed) == (1, 2)
    assert view.execute_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    words = [entry for entry in view.timeline if entry.what == "approval"]
    assert words[0].text == "approve as approve-l1 by gateway"
    assert (words[0].actor, words[0].reason) == ("ana", "as ordered")


@pytest.mark.parametrize(
    ("beneficiary", "shown"),
    [
        (
            IbanAccount(name="Ana Lima", iban="DE89370400440532013000"),
            {"name": "Ana Lima", "kind": "iban", "iban": "DE89…3000", "bic": None},
        ),
        (
            UsAccount(name="Bo Ray", routing_number="021000021", account_number="123456"),
            {
                "name": "Bo Ray",
                "kind": "us_account",
                "routing_number": "021000021",
                "account_number": "…56",
            },
        ),
        (
            MobileWallet(name="Cleo", msisdn="+254712345678"),
            {"name": "Cleo", "kind": "mobile_wallet", "msisdn": "+254…5678"},
        ),
    ],
)
async def test_no_view_shows_a_beneficiarys_whole_number(
    driver: Driver, reader: Reader, beneficiary: Beneficiary, shown: dict[str, object]
) -> None:
    await driver.open_payout("po_1", beneficiary=beneficiary)
    view = await reader.payment("po_1")
    assert view is not None
    assert view.beneficiary == shown
    secret = beneficiary.account().rpartition("/")[2]
    assert secret not in view.model_dump_json()
    assert secret not in (await reader.payments()).model_dump_json()


async def test_a_transfer_shows_where_it_went(driver: Driver, reader: Reader) -> None:
    await driver.open_transfer("tr_1")
    view = await reader.payment("tr_1")
    assert view is not None
    assert (view.destination, view.beneficiary) == ("wallet/zenith/EUR", None)
    assert (view.payment.kind, view.payment.partner) == (PaymentKind.TRANSFER, None)


async def test_a_payment_says_why_where_its_state_does_not(driver: Driver, reader: Reader) -> None:
    await live_every_life(driver)
    codes = {p.id: p.code for p in (await reader.payments(limit=PAGE_SIZE_MAX)).payments}
    assert codes["po_refused"] == "insufficient_funds"
    assert codes["po_failed"] == "account_closed"
    assert codes["po_review"] == "outcome_unknown"
    assert {codes[name] for name in ("po_settled", "po_voided", "po_held", "tr_booked")} == {None}


async def test_a_refusal_by_the_books_is_shown_among_the_postings(
    driver: Driver, reader: Reader
) -> None:
    await driver.open_payout("po_1", amount_minor=10**9)
    view = await reader.payment("po_1")
    assert view is not None
    assert [(p.key, p.refusal, p.entries) for p in view.postings] == [
        ("po_1/hold", "insufficient_funds", ())
    ]


async def test_a_payment_that_does_not_exist_is_none(driver: Driver, reader: Reader) -> None:
    assert await reader.payment("po_nobody") is None


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 200])
async def test_pages_show_every_payment_once_newest_first(
    driver: Driver, reader: Reader, limit: int
) -> None:
    ids = [f"po_{number}" for number in range(7)]
    for payout_id in ids:
        await driver.open_payout(payout_id, amount_minor=1)
    pages = await all_pages(reader, limit)
    assert [p.id for page in pages for p in page.payments] == ids[::-1]
    assert all(len(page.payments) == limit for page in pages[:-1])
    assert pages[-1].payments


async def test_payments_of_one_moment_are_paged_by_their_ids(
    driver: Driver, reader: Reader, admin_url: str
) -> None:
    for number in range(6):
        await driver.open_payout(f"po_{number}", amount_minor=1)
    connection = await asyncpg.connect(admin_url)
    await connection.execute("set session_replication_role = replica")
    await connection.execute("update payments set created_at = '2026-03-02 10:00:00.123456+00'")
    await connection.close()
    pages = await all_pages(reader, 2)
    assert [p.id for page in pages for p in page.payments] == [f"po_{n}" for n in range(5, -1, -1)]


async def test_payments_that_come_in_between_two_pages_shift_neither(
    driver: Driver, reader: Reader
) -> None:
    for number in range(4):
        await driver.open_payout(f"po_{number}", amount_minor=1)
    first = await reader.payments(limit=2)
    await driver.open_payout("po_new", amount_minor=1)
    second = await reader.payments(limit=2, cursor=first.next_cursor)
    assert [p.id for p in first.payments + second.payments] == ["po_3", "po_2", "po_1", "po_0"]
    assert second.next_cursor is None


async def test_filters_show_what_fits_all_of_them(driver: Driver, reader: Reader) -> None:
    await live_every_life(driver)
    await driver.open_payout("po_batch", amount_minor=1, batch_id="march")

    async def ids(**wanted: str) -> set[str]:
        pages = await all_pages(reader, 3, **wanted)
        return {p.id for page in pages for p in page.payments}

    everything = await ids()
    assert await ids(kind="transfer") == {"tr_booked"}
    assert await ids(kind="payout") == everything - {"tr_booked"}
    assert await ids(state="settled") == {"po_settled", "tr_booked"}
    assert await ids(state=PaymentState.SETTLED, kind="payout") == {"po_settled"}
    assert await ids(account=wallet("acme", "JPY")) == {"po_yen"}
    assert await ids(batch_id="march") == {"po_batch"}
    assert await ids(partner="bank") == everything - {"tr_booked"}
    assert await ids(tenant="main") == everything
    assert await ids(tenant="other") == set()


@pytest.mark.parametrize(
    "plain",
    [
        None,
        "2026-03-02T10:00:00+00:00",
        "2026-03-02T10:00:00+00:00,",
        "2026-03-02T10:00:00,po_1",
        "yesterday,po_1",
        "0001-01-01T00:00:00+23:59,po_1",
        ",po_1",
        "2026-03-02T10:00:00+00:00,po_\x00",
        "",
    ],
)
async def test_a_cursor_that_no_page_gave_is_refused(
    driver: Driver, reader: Reader, plain: str | None
) -> None:
    cursor = "!!" if plain is None else base64.urlsafe_b64encode(plain.encode()).decode()
    with pytest.raises(InvalidRequest, match="not one that a page gave") as refused:
        await reader.payments(cursor=cursor)
    assert refused.value.field == "cursor"


@pytest.mark.parametrize("limit", [0, -1, PAGE_SIZE_MAX + 1])
async def test_a_page_has_a_size_that_can_be_shown(
    driver: Driver, reader: Reader, limit: int
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await reader.payments(limit=limit)
    assert refused.value.field == "limit"


async def test_accounts_are_listed_on_their_own_side(driver: Driver, reader: Reader) -> None:
    await driver.open_payout("po_1", amount_minor=100_00, fee_minor=50)
    shown = {account.path: account for account in (await reader.accounts()).accounts}
    assert list(shown) == sorted(shown)
    acme = shown[ACME]
    assert (acme.posted_minor, acme.held_minor) == (2_000_00, 100_50)
    assert acme.available_minor == 1_899_50
    assert (acme.kind, acme.tenant, acme.floor_minor) == ("liability", "main", 0)
    assert shown["nostro/bank/EUR"].posted_minor == 2_000_00
    for path, account in shown.items():
        assert (await driver.books.account(path)) is not None
        assert account.model_dump() == (await driver.books.account(path)).model_dump()  # type: ignore[union-attr]  # asserted above


async def test_accounts_are_found_by_prefix_and_tenant(driver: Driver, reader: Reader) -> None:
    await driver.books.open_accounts([wallet_account("wallet/acme-two/EUR", "other")])

    async def paths(**wanted: str) -> list[str]:
        return [account.path for account in (await reader.accounts(**wanted)).accounts]

    assert await paths(prefix="wallet/acme/") == [
        "wallet/acme/EUR",
        "wallet/acme/JPY",
        "wallet/acme/KWD",
    ]
    assert await paths(tenant="other") == ["wallet/acme-two/EUR"]
    assert await paths(prefix="nostro/", tenant="main") == []
    assert await paths(prefix="wallet/%") == []
    assert await paths(prefix="wallet_acme") == []


async def test_a_database_that_does_not_answer_is_a_connection_error() -> None:
    reader = Reader(f"postgresql://nobody:nothing@{LOOPBACK}:{free_port()}/books")
    for call in (reader.payments(), reader.payment("po_1"), reader.accounts(), reader.check()):
        with pytest.raises(ConnectionError):
            await call
    with pytest.raises(ConnectionError):
        await anext(reader.export("ledger"))
    await reader.aclose()


async def test_a_database_that_was_restarted_is_read_again(
    driver: Driver, reader: Reader, admin_url: str
) -> None:
    before = await reader.accounts()
    connection = await asyncpg.connect(admin_url)
    ended = await connection.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'bursar reader' and datname = current_database()"
    )
    await connection.close()
    assert len(ended) == 1
    assert await reader.accounts() == before
