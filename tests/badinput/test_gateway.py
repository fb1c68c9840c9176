"""The gateway: every bad body, field, header and path is a problem with a code, and changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from bursar.inputs import WHAT_TO_DO
from bursar.views import Problem
from tests.badinput.actions import ACTIONS, Action
from tests.badinput.corpus import refused
from tests.badinput.files import BODIES, JSON, REASON
from tests.badinput.texts import CARDS
from tests.gateway.conftest import gateway_at
from tests.gateway.stand import Gateway, bearer, register_payout, token_of

AT_ONCE = 8


@pytest.fixture
async def gateway(books_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway on fresh books; what is refused never reaches Temporal, so there is none."""
    async with gateway_at(books_url, "127.0.0.1:1", tmp_path) as running:
        yield running


async def whole_books(admin_url: str) -> dict[str, str]:
    """Return what every table holds, as a digest of each."""
    connection = await asyncpg.connect(admin_url)
    try:
        tables = await connection.fetch(
            "select tablename from pg_tables where schemaname = 'public'"
        )
        return {
            name: await connection.fetchval(
                f"select count(*) || ' ' || md5(coalesce(string_agg(t::text, ',' order by t::text), ''))"  # noqa: S608
                f' from "{name}" t'
            )
            for (name,) in tables
        }
    finally:
        await connection.close()


async def in_turns(calls: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Make calls, a few at a time."""
    left = iter(calls)

    async def clerk() -> None:
        for call in left:
            await call()

    await asyncio.gather(*(clerk() for _ in range(AT_ONCE)))


def fault_in(
    answer: httpx.Response, status: int, code: str | None, field: str | None = None
) -> str:
    """Return what is wrong with an answer that should be a problem, or nothing."""
    if answer.headers.get("content-type") != "application/problem+json":
        return f"{answer.status_code} {answer.text[:100]}"
    problem = Problem.model_validate_json(answer.content)
    found = {(each.code, each.field) for each in problem.faults} | {(problem.code, problem.field)}
    as_said = any(
        (code in (None, its_code)) and (field in (None, its_field)) for its_code, its_field in found
    )
    if answer.status_code != status or problem.status != status or not as_said:
        return f"{answer.status_code} {sorted(map(str, found))}"
    if status in (400, 422) and problem.code not in WHAT_TO_DO:
        return f"no code of a fault: {problem.code}"
    if problem.code in WHAT_TO_DO and not problem.what_to_do:
        return "nothing says what to do"
    return (
        "" if answer.headers["x-request-id"] and len(answer.content) < 9_000 else "no id, or long"
    )


async def test_every_body_that_is_wrong_as_a_whole_is_refused_with_its_code(
    gateway: Gateway, admin_url: str
) -> None:
    payment_id = await register_payout(gateway.books)
    before = await whole_books(admin_url)
    wrong: dict[str, str] = {}

    async def send(number: int, path: str) -> None:
        body = BODIES[number]
        answer = await gateway.as_("operator", "POST", path, content=body.raw, headers=body.headers)
        if why := fault_in(answer, body.status, body.code):
            wrong[f"{body.raw[:60]!r} {body.headers}"] = why

    cancel = f"/v1/payments/{payment_id}/cancel"
    await in_turns(lambda n=n: send(n, cancel) for n in range(len(BODIES)))  # type: ignore[misc]
    assert not wrong
    assert await whole_books(admin_url) == before


async def test_every_action_that_cannot_be_read_is_refused_with_its_field(
    gateway: Gateway, admin_url: str
) -> None:
    payment_id = await register_payout(gateway.books)
    before = await whole_books(admin_url)
    wrong: dict[str, str] = {}

    async def send(action: Action) -> None:
        who = "ana" if action.verb in ("approve", "deny") else "operator"
        path = f"/v1/payments/{payment_id}/{action.verb}"
        body = action.body() if action.over_http else action.payload
        field = (action.field or None) if action.over_http else None
        answer = await gateway.as_(who, "POST", path, json=body)
        if why := fault_in(answer, 422, None, field):
            wrong[f"{action}"] = why
        if any(card in answer.text for card in CARDS):
            wrong[f"{action}"] = "told back"

    chosen = [each for each in ACTIONS if each.over_http or "by" in each.payload]
    await in_turns(lambda each=each: send(each) for each in chosen)  # type: ignore[misc]
    assert len(chosen) > 150
    assert not wrong
    assert await whole_books(admin_url) == before


async def test_every_text_that_no_name_may_hold_is_refused_as_a_reason_too(
    gateway: Gateway, admin_url: str
) -> None:
    payment_id = await register_payout(gateway.books)
    before = await whole_books(admin_url)
    wrong: dict[str, str] = {}
    texts = [
        each
        for each in refused()
        if each.family == "B-name"
        and each.code in {"charset", "card_number", "empty", "type_invalid"}
    ]

    async def send(value: Any, code: str | None, hidden: tuple[str, ...]) -> None:
        path = f"/v1/payments/{payment_id}/resolve"
        body = {"outcome": "paid", "evidence": value}
        raw = json.dumps(body).encode()
        answer = await gateway.as_("operator", "POST", path, content=raw, headers=JSON)
        if why := fault_in(answer, 422, code, "evidence"):
            wrong[repr(value)] = why
        if any(secret in answer.text for secret in hidden):
            wrong[repr(value)] = "told back"

    await in_turns(lambda each=each: send(each.value, each.code, each.hidden()) for each in texts)  # type: ignore[misc]
    assert len(texts) > 150
    assert not wrong
    assert await whole_books(admin_url) == before


async def test_accounts_that_cannot_be_are_refused_as_a_whole_list(
    gateway: Gateway, admin_url: str
) -> None:
    before = await whole_books(admin_url)
    good = {"path": "wallet/acme/EUR", "tenant": "main"}
    wrong: dict[str, str] = {}

    async def send(entry: dict[str, Any], field: str) -> None:
        answer = await gateway.as_("root", "POST", "/v1/accounts", json=[good, entry])
        if why := fault_in(answer, 422, None, field):
            wrong[repr(entry)] = why

    paths = [e.value for e in refused() if e.place == "account" and e.code == "account_invalid"]
    tenants = [e.value for e in refused() if e.place == "tenant"]
    calls = [({**good, "path": path}, "1.path") for path in (*paths, None, 1, [], "wallet/a/ZZZ")]
    calls += [({**good, "tenant": tenant}, "1.tenant") for tenant in (*tenants, None, 1, [])]
    calls += [
        ({**good, name: 1}, f"1.{name}") for name in ("kind", "posted_minor", "floor_minor", "id")
    ]
    await in_turns(lambda c=c: send(*c) for c in calls)  # type: ignore[misc]
    many = await gateway.as_("root", "POST", "/v1/accounts", json=[good] * 1_001)
    assert not fault_in(many, 422, "too_long")
    assert not wrong
    assert await whole_books(admin_url) == before


PATHS = (
    *(
        "po_",
        "po_1%00",
        "po_1%0a",
        "po-1",
        "PO_1",
        "..%2f..%2fetc",
        "%ff",
        "po_" + "a" * 30,
        "tr_%20",
        "1",
    ),
    *(
        "po_%E2%80%AE",
        "po_'",
        'po_"',
        "po_;select 1",
        "*",
        "%25",
        "po_%F0%9F%99%82",
        "po_1?x=1",
        "po_1#x",
    ),
)
QUERIES = (
    *(
        "state=gone",
        "state=",
        "kind=PAYOUT",
        "tenant=Main",
        "tenant=a%00",
        "account=%ff",
        "account=a b",
    ),
    *(
        "partner=1x",
        "batch_id=a b",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=1e3",
        "limit=１",
        "limit=x",
    ),
    *(
        "limit=",
        "limit=9" + "9" * 5_000,
        "cursor=x y",
        "cursor=%00",
        "cursor=AAAA",
        "cursor=" + "a" * 201,
    ),
    *(
        "order=desc",
        "sort=1;drop",
        "filter=x",
        "STATE=settled",
        "state[]=settled",
        "=x",
        "cursor=MjAyNg==",
    ),
    *("cursor=OTk5OS0xMi0zMVQyMzo1OTo1OS0xMjowMCxwb18x", "limit=1&limit=x", "tenant='or 1=1--"),
)


async def test_every_odd_path_and_query_is_answered_with_a_problem(gateway: Gateway) -> None:
    await register_payout(gateway.books)
    wrong: dict[str, str] = {}
    for path in PATHS:
        for method, rest in (("GET", ""), ("POST", "/approve"), ("POST", "/cancel")):
            who = {"": "reader", "/approve": "ana", "/cancel": "operator"}[rest]
            url = (
                f"/v1/payments/{path}{rest}"
                if "?" not in path and "#" not in path
                else f"/v1/payments/{path}"
            )
            answer = await gateway.as_(
                who, method, url, **({"json": {"reason": "x"}} if rest else {})
            )
            if answer.status_code not in (404, 405) or "json" not in answer.headers["content-type"]:
                wrong[f"{method} {url}"] = f"{answer.status_code}"
    for query in QUERIES:
        answer = await gateway.as_("reader", "GET", f"/v1/payments?{query}")
        problem = Problem.model_validate_json(answer.content) if answer.status_code == 422 else None
        if problem is None or not problem.field or len(answer.content) > 2_000:
            wrong[query[:60]] = f"{answer.status_code} {answer.text[:200]}"
    assert not wrong


TOKENS = (
    *("", "Bearer", "Basic dXNlcjpwYXNz", "bearer x", "Bearer x y", "Bearer token-of-nobody"),
    *(
        "Token token-of-reader",
        "token-of-reader",
        "Bearer " + "x" * 8_000,
        "Bearer \xff\xfe",
        "Bearer ;",
    ),
    *(
        f"Bearer {token_of('reader')}x",
        f"Bearer {token_of('Reader')}",
        f"Bearer,{token_of('reader')}",
    ),
)


async def test_no_odd_token_opens_the_door_or_is_told_back(gateway: Gateway) -> None:
    for token in TOKENS:
        headers = [(b"authorization", token.encode("latin-1"))]
        answer = await gateway.http.get("/v1/payments", headers=headers)
        assert answer.status_code == 401, token
        assert "token-of" not in answer.text


async def raw_request(gateway: Gateway, head: bytes, body: bytes) -> bytes:
    """Send bytes as they are and return the first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(head + body)
        await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read(65_536)
    finally:
        writer.close()


FRAMINGS = (
    b"Content-Length: 22\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 22\r\n",
    b"Content-Length: 22\r\nContent-Length: 23\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: +22\r\n",
    b"Content-Length: 0x16\r\n",
    b"Content-Length: 22, 23\r\n",
    b"Content-Length: 99999999999999999999999999\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Content-Length : 22\r\n",
    b"X-Folded: a\r\n b\r\nContent-Length: 22x\r\n",
    b"Bad Header: x\r\nContent-Length: 22\r\n",
    b"Content-Length: 22\r\nX: \x00\r\n",
)


async def test_a_request_whose_length_is_said_in_two_ways_does_nothing(
    gateway: Gateway, admin_url: str
) -> None:
    payment_id = await register_payout(gateway.books)
    before = await whole_books(admin_url)
    for framing in FRAMINGS:
        for body in (REASON, b"16\r\n" + REASON + b"\r\n0\r\n\r\n"):
            head = (
                f"POST /v1/payments/{payment_id}/deny HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: {bearer('ana')['authorization']}\r\n"
                "Content-Type: application/json\r\n"
            ).encode()
            answer = await raw_request(gateway, head + framing + b"\r\n", body)
            assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")) or not answer, (
                framing,
                answer,
            )
    assert await whole_books(admin_url) == before
    assert (await gateway.http.get("/health/live")).status_code == 200


async def test_a_deep_or_long_body_is_refused_and_the_gateway_goes_on(gateway: Gateway) -> None:
    payment_id = await register_payout(gateway.books)
    for raw in (b"[" * 200_000, b'{"a":' * 40_000, b'{"reason": "' + b"\\u0301" * 40_000 + b'"}'):
        answer = await gateway.as_(
            "operator", "POST", f"/v1/payments/{payment_id}/cancel", content=raw, headers=JSON
        )
        assert answer.status_code in (400, 413, 422)
    assert (await gateway.http.get("/health/live")).status_code == 200
