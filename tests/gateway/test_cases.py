"""Cases over HTTP: found page by page, given to people, and closed by two where money moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, cast

import httpx
import pytest

from bursar.gate import DisableBody
from bursar.reports import EventKind, PartnerEvent
from gateway.closing import Closing
from gateway.tokens import Principal
from ledger import accounts, postings
from ledger.changes import CaseOpened, Change
from ledger.poison import count_failure
from tests.gateway.stand import Gateway, register_payout

AMOUNT = 12_50
LOSS = {"to": "loss/partner/EUR", "evidence": "ticket 4711"}
WALLET = {"to": "wallet/acme/EUR", "evidence": "the remittance names acme"}
SEEN = {"evidence": "ticket 4711"}


async def open_case(
    gateway: Gateway, kind: str, number: int = 1, *, payment_id: str | None = None
) -> dict[str, Any]:
    """Open a case as the steps on the books do, with its money in suspense; return its view."""
    await gateway.books.open_accounts(
        [
            *accounts.rail_accounts("simulator", ["EUR"]),
            accounts.wallet_account("wallet/acme/EUR", "main"),
        ]
    )
    legs = {
        "unowned_credit": postings.deposit_unowned("simulator", "EUR", amount_minor=AMOUNT),
        "paid_twice": postings.paid_after_failed("simulator", "EUR", amount_minor=AMOUNT),
    }.get(kind, ())
    await gateway.books.write(
        Change(
            key=f"made/{kind}/{number}",
            kind=kind,
            actor="partner:simulator",
            payment_id=payment_id,
            legs=legs,
            effective_on=date(2026, 3, 2),
            evidence_id=f"event/{kind}_{number}",
            case=CaseOpened(kind=kind, detail=f"number {number}"),
        )
    )
    page = (await gateway.as_("reader", "GET", f"/v1/cases?kind={kind}")).json()
    last: dict[str, Any] = page["cases"][-1]
    return last


async def resolve(
    gateway: Gateway, case: dict[str, Any], by: str, body: dict[str, str]
) -> httpx.Response:
    return await gateway.as_(by, "POST", f"/v1/cases/{case['id']}/resolve", json=body)


async def balance(gateway: Gateway, path: str) -> int:
    account = await gateway.books.account(path)
    assert account is not None
    return account.posted_minor


async def test_cases_come_page_by_page_with_amount_age_and_ways(alone: Gateway) -> None:
    for number in range(3):
        await open_case(alone, "unowned_credit", number)
    seen, cursor = [], ""
    while True:
        page = (await alone.as_("reader", "GET", f"/v1/cases?limit=2{cursor}")).json()
        seen += page["cases"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [case["detail"] for case in seen] == ["number 0", "number 1", "number 2"]
    for case in seen:
        assert (case["amount_minor"], case["currency"]) == (AMOUNT, "EUR")
        assert case["suspense"] == "suspense/in/simulator/EUR"
        assert case["age_seconds"] >= 0
        assert case["ways"]


async def test_a_credit_without_an_owner_is_assigned_by_two_people_inv_20(alone: Gateway) -> None:
    case = await open_case(alone, "unowned_credit")
    first = await resolve(alone, case, "operator", WALLET)
    again = await resolve(alone, case, "operator", WALLET)
    assert first.json()["verdict"] == again.json()["verdict"] == "recorded"
    assert await balance(alone, "wallet/acme/EUR") == 0
    other = await resolve(alone, case, "second", {**WALLET, "to": "wallet/nobody/EUR"})
    assert other.status_code == 422
    done = await resolve(alone, case, "second", {**WALLET, "evidence": "seen it too"})
    assert done.json()["verdict"] == "resolved"
    assert await balance(alone, "wallet/acme/EUR") == AMOUNT
    assert await balance(alone, "suspense/in/simulator/EUR") == 0
    assert (await resolve(alone, case, "second", WALLET)).json()["code"] == "case_closed"
    view = (await alone.as_("reader", "GET", f"/v1/cases/{case['id']}")).json()
    assert view["closed_by"] == "operator with second"
    assert not (await alone.resources.reader.check()).breaks


class Meanwhile:
    """The books as a gateway reaches them: before one of its calls somebody is disabled."""

    def __init__(self, books: Any, call: str) -> None:
        self._books = books
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return self._disable_first if name == self._call else getattr(self._books, name)

    async def _disable_first(self, *given: Any, **named: Any) -> Any:
        await self._books.disable_person(DisableBody(name="operator", reason="left"), "chief")
        return await getattr(self._books, self._call)(*given, **named)


@pytest.mark.parametrize(("call", "moved"), [("write", 0), ("close_case", AMOUNT)])
async def test_who_is_disabled_after_they_were_counted_decides_no_case_inv_20(
    alone: Gateway, call: str, moved: int
) -> None:
    """Until the money has moved that is undone; after that a third person closes the case."""
    case = await open_case(alone, "unowned_credit")
    await resolve(alone, case, "operator", WALLET)
    closing = Closing(replace(alone.resources, books=cast(Any, Meanwhile(alone.books, call))))
    second = Principal("second", frozenset({"operate"}))
    told = await closing.resolve(case["id"], second, WALLET["to"], "seen it too")
    assert told.verdict == "recorded"
    assert await balance(alone, "wallet/acme/EUR") == moved
    third = Principal("third", frozenset({"operate"}))
    told = await Closing(alone.resources).resolve(case["id"], third, WALLET["to"], "and I")
    assert told.verdict == "resolved"
    assert await balance(alone, "wallet/acme/EUR") == AMOUNT
    assert await balance(alone, "suspense/in/simulator/EUR") == 0


async def test_what_the_partner_took_is_charged_or_borne_and_a_refused_way_can_be_tried_again(
    alone: Gateway,
) -> None:
    case = await open_case(alone, "paid_twice")
    await resolve(alone, case, "operator", WALLET)
    short = await resolve(alone, case, "second", WALLET)
    assert (short.status_code, short.json()["code"]) == (409, "insufficient_funds")
    await resolve(alone, case, "operator", LOSS)
    done = await resolve(alone, case, "second", LOSS)
    assert done.json()["verdict"] == "resolved"
    assert await balance(alone, "loss/partner/EUR") == AMOUNT
    assert await balance(alone, "suspense/out/simulator/EUR") == 0
    assert not (await alone.resources.reader.check()).breaks


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("unowned_credit", SEEN),
        ("unowned_credit", {**WALLET, "to": "loss/partner/USD"}),
        ("unowned_credit", {**WALLET, "to": "wallet/acme/USD"}),
        ("unowned_credit", {**WALLET, "to": "nostro/simulator/EUR"}),
        ("paid_twice", {**LOSS, "to": "fees/payout/EUR"}),
        ("mismatch", LOSS),
        ("mismatch", {"evidence": "no"}),
        ("mismatch", {**SEEN, "by": "ana"}),
    ],
)
async def test_a_way_that_does_not_fit_the_case_is_refused_and_nothing_moves(
    alone: Gateway, kind: str, body: dict[str, str]
) -> None:
    case = await open_case(alone, kind)
    answer = await resolve(alone, case, "operator", body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    view = (await alone.as_("reader", "GET", f"/v1/cases/{case['id']}")).json()
    assert view["words"] == []


async def test_a_case_without_money_is_closed_by_one_person_but_never_by_its_payments_creator(
    alone: Gateway,
) -> None:
    payment_id = await register_payout(alone.books)
    case = await open_case(alone, "mismatch", payment_id=payment_id)
    refused = await resolve(alone, case, "Creator", SEEN)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert (await resolve(alone, case, "reader", SEEN)).status_code == 403
    done = await resolve(alone, case, "operator", SEEN)
    assert done.json() == {"id": case["id"], "verdict": "resolved", "detail": "nothing moved"}


async def test_a_case_is_given_to_somebody_and_who_did_so_is_kept(alone: Gateway) -> None:
    case = await open_case(alone, "mismatch")
    path = f"/v1/cases/{case['id']}"
    answer = await alone.as_("operator", "POST", f"{path}/assign", json={"owner": "ana"})
    assert answer.json()["verdict"] == "assigned"
    view = (await alone.as_("reader", "GET", path)).json()
    assert view["owner"] == "ana"
    assert [(word["principal"], word["decision"]) for word in view["words"]] == [
        ("operator", "ana")
    ]
    mine = (await alone.as_("reader", "GET", "/v1/cases?owner=ana")).json()
    assert [one["id"] for one in mine["cases"]] == [case["id"]]


@pytest.mark.parametrize("case_id", ["999999", "x", "-1", "1" * 30])
async def test_a_case_that_is_not_there_is_a_404(alone: Gateway, case_id: str) -> None:
    answer = await alone.as_("reader", "GET", f"/v1/cases/{case_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "case_not_found")


@pytest.mark.parametrize("query", ["cursor=x", "cursor=aWQseA==", "limit=0", "state=odd", "a=1"])
async def test_a_list_asked_for_wrongly_says_what_is_wrong(alone: Gateway, query: str) -> None:
    for path in ("/v1/cases", "/v1/events"):
        answer = await alone.as_("reader", "GET", f"{path}?{query}")
        assert answer.status_code == 422, path
        assert answer.json()["field"]


async def test_an_event_that_nothing_will_ever_apply_is_given_up_by_two_people_inv_20(
    alone: Gateway,
) -> None:
    """It keeps its verdict, comes back no more, and its case is closed."""
    row_id, case = await set_aside(alone)
    up = {"to": "given-up", "evidence": "booked by hand, ticket 4711"}
    told = [await resolve(alone, case, who, up) for who in ("operator", "operator", "second")]
    assert [one.json()["verdict"] for one in told] == ["recorded", "recorded", "resolved"]
    (event,) = (await alone.as_("reader", "GET", "/v1/events")).json()["events"]
    assert event["verdict"] == "given up by operator with second: booked by hand, ticket 4711"
    assert await alone.books.redrive_events([row_id], "operator") == []
    assert await alone.books.events_set_aside() == 0
    assert (await alone.as_("reader", "GET", "/v1/cases")).json()["cases"] == []
    assert not (await alone.resources.reader.check()).breaks


async def test_what_is_brought_back_or_no_event_is_not_given_up(alone: Gateway) -> None:
    row_id, case = await set_aside(alone)
    up = {"to": "given-up", "evidence": "ticket 4711"}
    assert (await resolve(alone, case, "operator", up)).json()["verdict"] == "recorded"
    await alone.books.redrive_events([row_id], "operator")
    late = await resolve(alone, case, "second", up)
    assert (late.status_code, late.json()["code"]) == (409, "not_waiting")
    other = await open_case(alone, "mismatch")
    assert (await resolve(alone, other, "operator", up)).status_code == 422


async def test_the_case_of_an_event_that_is_set_aside_is_closed_once_the_event_is_brought_back(
    alone: Gateway,
) -> None:
    row_id, case = await set_aside(alone)
    refused = await resolve(alone, case, "operator", SEEN)
    assert (refused.status_code, refused.json()["code"]) == (409, "event_set_aside")
    await alone.books.redrive_events([row_id], "operator")
    assert (await resolve(alone, case, "operator", SEEN)).json()["verdict"] == "resolved"


async def set_aside(alone: Gateway) -> tuple[int, dict[str, Any]]:
    """Have an event fail for good; return its row's id and its case."""
    event = PartnerEvent(
        partner="simulator",
        event_id="evt_bad",
        kind=EventKind.CREDIT,
        occurred_at=datetime.now(UTC),
    )
    row_id = await alone.books.store_event(event, b"", {})
    assert row_id is not None
    stored = await alone.books.event(row_id)
    assert stored is not None
    assert await count_failure(alone.books, stored, "a bug", actor="bursar", failures_max=1)
    (case,) = (await alone.as_("reader", "GET", "/v1/cases")).json()["cases"]
    return row_id, case
