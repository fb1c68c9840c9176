"""The reader: views come back typed, and every kind of wrong answer has its own error."""

from __future__ import annotations

import pytest

from bursar.actions import Verdict
from bursar.errors import (
    ActionRefused,
    BursarError,
    InvalidRequest,
    NotAuthorised,
    PaymentConflict,
    PaymentNotFound,
    ServiceUnavailable,
)
from bursar.payments import PaymentKind, PaymentState
from bursar.reader import Reader
from bursar.views import Problem
from ops.ports import free_port
from tests.cli import sample
from tests.cli.small_gateway import JOURNAL, SmallGateway


def reader_of(gateway: SmallGateway) -> Reader:
    return Reader(gateway.url, gateway.token)


async def test_a_payment_comes_back_as_it_was_told(gateway: SmallGateway) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    async with reader_of(gateway) as reader:
        assert await reader.payment("po_1") == sample.payout("po_1")


async def test_pages_are_followed_by_their_cursor_to_the_end(gateway: SmallGateway) -> None:
    gateway.payments = {f"po_{n}": sample.payout(f"po_{n}") for n in range(5)}
    gateway.payments["tr_1"] = sample.payout("tr_1")
    seen, cursor = [], None
    async with reader_of(gateway) as reader:
        for _ in range(3):
            page = await reader.payments(
                state=PaymentState.SETTLED, kind=PaymentKind.PAYOUT, limit=2, cursor=cursor
            )
            seen += [payment.id for payment in page.payments]
            cursor = page.next_cursor
    assert seen == ["po_0", "po_1", "po_2", "po_3", "po_4"]
    assert cursor is None
    assert gateway.asked[0][1] == "/v1/payments?state=settled&kind=payout&limit=2"


async def test_accounts_are_opened_and_read(gateway: SmallGateway) -> None:
    async with reader_of(gateway) as reader:
        opened = await reader.open_accounts([("wallet/a/EUR", "main"), ("wallet/b/EUR", "acme")])
        assert [account.path for account in opened.accounts] == ["wallet/a/EUR", "wallet/b/EUR"]
        found = await reader.accounts(prefix="wallet/b/")
        assert [account.tenant for account in found.accounts] == ["acme"]


async def test_an_action_carries_its_body_and_not_its_actor(gateway: SmallGateway) -> None:
    gateway.payments["po_1"] = sample.payout("po_1")
    async with reader_of(gateway) as reader:
        answer = await reader.act("po_1", "approve", {"reason": "fine"})
    assert answer.verdict is Verdict.APPROVED
    assert gateway.asked == [("POST", "/v1/payments/po_1/approve", {"reason": "fine"})]


async def test_the_books_are_checked_and_exported(gateway: SmallGateway) -> None:
    gateway.report = sample.sound_books()
    async with reader_of(gateway) as reader:
        assert await reader.books_check() == gateway.report
        export = b"".join([piece async for piece in reader.books_export("hledger")])
    assert export.decode() == JOURNAL
    assert gateway.asked[1][1] == "/v1/books/export?format=hledger"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "not_authorised", NotAuthorised),
        (403, "not_authorised", NotAuthorised),
        (404, "payment_not_found", PaymentNotFound),
        (404, "not_found", ServiceUnavailable),
        (409, "payment_conflict", PaymentConflict),
        (409, "already_final", ActionRefused),
        (400, "malformed_json", InvalidRequest),
        (422, "invalid_request", InvalidRequest),
        (429, "too_many", ServiceUnavailable),
        (408, "too_slow", ServiceUnavailable),
        (500, "internal_error", ServiceUnavailable),
        (503, "service_unavailable", ServiceUnavailable),
    ],
)
async def test_a_problem_is_raised_as_the_error_it_stands_for(
    gateway: SmallGateway, status: int, code: str, expected: type[BursarError]
) -> None:
    problem = Problem(
        type="t", title="t", status=status, detail="the detail", code=code, field="state"
    )
    gateway.canned = (status, "application/problem+json", problem.model_dump_json().encode())
    async with reader_of(gateway) as reader:
        for call in (reader.payment("po_1"), anext(aiter(reader.books_export("ledger")))):
            with pytest.raises(expected) as raised:
                await call
            if isinstance(raised.value, InvalidRequest):
                assert raised.value.field == "state"
            if isinstance(raised.value, ActionRefused):
                assert raised.value.code == "already_final"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>Welcome to nginx</html>", ServiceUnavailable),
        (200, b'{"accounts": 7}', ServiceUnavailable),
        (200, b"", ServiceUnavailable),
        (302, b"", ServiceUnavailable),
        (404, b"<html>", ServiceUnavailable),
        (502, b"<html>bad gateway</html>", ServiceUnavailable),
        (401, b"<html>", NotAuthorised),
    ],
)
async def test_an_answer_that_is_not_a_gateways_is_never_taken_for_one(
    gateway: SmallGateway, status: int, body: bytes, expected: type[BursarError]
) -> None:
    gateway.canned = (status, "text/html", body)
    async with reader_of(gateway) as reader:
        with pytest.raises(expected):
            await reader.accounts()


async def test_a_cut_connection_and_a_closed_port_are_unavailable(gateway: SmallGateway) -> None:
    gateway.cut = {1}
    async with reader_of(gateway) as reader:
        with pytest.raises(ServiceUnavailable, match="did not answer in full"):
            await reader.accounts()
    async with Reader(f"http://127.0.0.1:{free_port()}", "token") as reader:
        with pytest.raises(ServiceUnavailable, match="does not answer at"):
            await reader.accounts()


async def test_a_wrong_token_is_not_authorised(gateway: SmallGateway) -> None:
    async with Reader(gateway.url, "another") as reader:
        with pytest.raises(NotAuthorised, match="known token"):
            await reader.payments()


@pytest.mark.parametrize(
    ("url", "token"),
    [("localhost:80", None), ("ftp://a", None), ("http://", None), ("http://a", "bad\ntoken")],
)
def test_an_address_or_token_that_cannot_be_one_is_refused_at_once(
    url: str, token: str | None
) -> None:
    with pytest.raises(InvalidRequest):
        Reader(url, token)
