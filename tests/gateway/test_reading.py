"""Reading over HTTP: pages without gaps, payments whole, accounts, the check and the export."""

from __future__ import annotations

import pytest

from bursar.payments import PaymentState
from bursar.views import AccountList, BooksReport, PaymentPage, PaymentView
from tests.gateway.stand import Gateway, register_payout


async def all_pages(gateway: Gateway, query: str, limit: int) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor = ""
    while True:
        answer = await gateway.as_("reader", "GET", f"/v1/payments?limit={limit}{query}{cursor}")
        page = PaymentPage.model_validate_json(answer.content)
        pages.append([payment.id for payment in page.payments])
        if page.next_cursor is None:
            return pages
        cursor = f"&cursor={page.next_cursor}"


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
async def test_pages_hold_every_payment_once_newest_first(alone: Gateway, limit: int) -> None:
    made = [await register_payout(alone.books) for _ in range(7)]
    pages = await all_pages(alone, "", limit)
    assert [payment_id for page in pages for payment_id in page] == made[::-1]
    assert all(len(page) == limit for page in pages[:-1])


async def test_pages_stay_stable_while_payments_come_in(alone: Gateway) -> None:
    made = [await register_payout(alone.books) for _ in range(4)]
    first = PaymentPage.model_validate_json(
        (await alone.as_("reader", "GET", "/v1/payments?limit=2")).content
    )
    await register_payout(alone.books)
    path = f"/v1/payments?limit=2&cursor={first.next_cursor}"
    second = PaymentPage.model_validate_json((await alone.as_("reader", "GET", path)).content)
    assert [payment.id for payment in (*first.payments, *second.payments)] == made[::-1]


async def test_filters_narrow_a_list(alone: Gateway) -> None:
    waiting = await register_payout(alone.books)
    denied = await register_payout(alone.books, state=PaymentState.REFUSED)
    for query, expected in (
        ("&state=refused", [denied]),
        ("&state=awaiting_approval&kind=payout&tenant=main&partner=simulator", [waiting]),
        ("&account=wallet/acme/EUR", [denied, waiting]),
        ("&kind=transfer", []),
        ("&tenant=other", []),
        ("&batch_id=none", []),
    ):
        assert await all_pages(alone, query, 50) == [expected], query


NONSENSE = [
    ("limit=0", "limit"),
    ("limit=201", "limit"),
    ("limit=many", "limit"),
    ("state=lost", "state"),
    ("status=settled", "status"),
    ("tenant=%00", "tenant"),
    ("account=%00", "account"),
    ("account='; drop table payments; --", "account"),
    ("cursor=%00", "cursor"),
    ("cursor=nonsense", "cursor"),
    ("cursor=", "cursor"),
    ("cursor=MjAyNi0wMS0wMVQwMDowMDowMCswMDowMCwA", "cursor"),  # its id is a NUL
    ("cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzowMCxwb18x", "cursor"),  # year 1, +23:00
    ("cursor=OTk5OS0xMi0zMVQyMzo1OTo1OS0yMzowMCxwb18x", "cursor"),  # year 9999, -23:00
]


async def test_a_query_that_makes_no_sense_is_refused_by_field(alone: Gateway) -> None:
    for query, field in NONSENSE:
        answer = await alone.as_("reader", "GET", f"/v1/payments?{query}")
        assert (answer.status_code, answer.json()["field"]) == (422, field), query


async def test_a_payment_is_shown_whole_and_its_account_number_is_not(alone: Gateway) -> None:
    payment_id = await register_payout(alone.books)
    answer = await alone.as_("reader", "GET", f"/v1/payments/{payment_id}")
    view = PaymentView.model_validate_json(answer.content)
    assert (view.payment.id, view.payment.state) == (payment_id, "awaiting_approval")
    assert "DE89370400440532013000" not in answer.text


async def test_accounts_are_opened_once_and_listed(alone: Gateway) -> None:
    wanted = [
        {"path": "wallet/acme/EUR", "tenant": "main"},
        {"path": "wallet/bolt/JPY", "tenant": "other"},
    ]
    for _ in range(2):
        answer = await alone.as_("root", "POST", "/v1/accounts", json=wanted)
        opened = AccountList.model_validate_json(answer.content)
        assert [account.path for account in opened.accounts] == [item["path"] for item in wanted]
    for query, expected in (
        ("", ["wallet/acme/EUR", "wallet/bolt/JPY"]),
        ("?prefix=wallet/b", ["wallet/bolt/JPY"]),
        ("?tenant=main", ["wallet/acme/EUR"]),
        ("?prefix=wallet_", []),
    ):
        answer = await alone.as_("reader", "GET", f"/v1/accounts{query}")
        listed = AccountList.model_validate_json(answer.content)
        assert [account.path for account in listed.accounts] == expected, query


async def test_an_account_of_another_tenant_is_a_conflict_and_stays_as_it_is(
    alone: Gateway,
) -> None:
    for tenant, status in (("main", 200), ("other", 409), ("main", 200)):
        wanted = [{"path": "wallet/acme/EUR", "tenant": tenant}]
        answer = await alone.as_("root", "POST", "/v1/accounts", json=wanted)
        assert answer.status_code == status
        if status == 409:
            assert answer.json()["code"] == "content_conflict"
            assert "wallet/acme/EUR" in answer.json()["detail"]
    account = await alone.books.account("wallet/acme/EUR")
    assert account is not None
    assert account.tenant == "main"


NO_WALLETS: list[object] = [
    {"path": "nostro/simulator/EUR"},
    {"path": "wallet/acme/eur"},
    {"path": "wallet/acme/XXX"},
    {"path": "wallet/acme/ZZZ"},
    {"path": "wallet/Acme/EUR"},
    {"path": "wallet/acme/EUR", "kind": "asset"},
    {"path": "wallet/acme/EUR", "floor_minor": -100},
    {"path": "wallet/acme/EUR", "tenant": "Main"},
    {"tenant": "main"},
    "wallet/acme/EUR",
    None,
]


async def test_only_wallets_in_real_money_can_be_opened(alone: Gateway) -> None:
    for item in NO_WALLETS:
        answer = await alone.as_("root", "POST", "/v1/accounts", json=[item])
        assert answer.status_code == 422, item
    assert (await alone.as_("reader", "GET", "/v1/accounts")).json() == {"accounts": []}


async def test_the_books_are_checked_and_exported(alone: Gateway) -> None:
    await register_payout(alone.books)
    answer = await alone.as_("reader", "GET", "/v1/books/check")
    report = BooksReport.model_validate_json(answer.content)
    assert report.checks
    assert report.breaks == ()
    answer = await alone.as_("reader", "GET", "/v1/books/check?since_last=true")
    assert answer.json()["scope"] == "full", "there is no round that it could go on from"
    answer = await alone.as_("reader", "GET", "/v1/books/rounds")
    assert answer.json() == {
        "rounds": [],
        "last_full": None,
        "late": "the books have never been checked",
    }
    for style in ("ledger", "hledger"):
        answer = await alone.as_("reader", "GET", f"/v1/books/export?format={style}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    answer = await alone.as_("reader", "GET", "/v1/books/export?format=xml")
    assert (answer.status_code, answer.json()["field"]) == (422, "format")
