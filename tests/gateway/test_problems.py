"""Problems: whatever is sent, an error is problem+json with a stable code, and never a 500."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from bursar.views import BooksReport, Problem
from gateway.bodies import JSON_BYTES_MAX, json_body
from gateway.payments import ApproveBody, CancelBody, DenyBody, ResolveBody
from gateway.problems import Refused
from ledger.reading import Reader
from tests.gateway.stand import Gateway, register_payout, serving

JSON = {"content-type": "application/json"}


def is_problem(answer: httpx.Response, status: int, code: str) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.status, problem.code) == (status, status, code)
    assert problem.type == f"urn:bursar:problem:{code}"
    return problem


async def test_what_the_router_refuses_is_a_problem_too(alone: Gateway) -> None:
    for method, path, status, code in (
        ("GET", "/", 404, "not_found"),
        ("GET", "/v2/payments", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/v1/payments/po_1/approve/x", 404, "not_found"),
        ("GET", "/v1/%00/%ff/../..", 404, "not_found"),
        ("DELETE", "/v1/payments", 405, "method_not_allowed"),
        ("PUT", "/v1/accounts", 405, "method_not_allowed"),
        ("GET", "/v1/partners/simulator/events", 405, "method_not_allowed"),
        ("TRACE", "/health/live", 405, "method_not_allowed"),
    ):
        answer = await alone.http.request(method, path)
        problem = is_problem(answer, status, code)
        assert problem.title
        if status == 405:
            assert answer.headers["allow"]


BODIES_REFUSED: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"", JSON, 400, "malformed_json"),
    (b"not json", JSON, 400, "malformed_json"),
    (b'{"reason": "x"', JSON, 400, "malformed_json"),
    (b'{"reason": "x"} {}', JSON, 400, "malformed_json"),
    (b'\xef\xbb\xbf{"reason": "x"}', JSON, 400, "malformed_json"),
    (b'{"reason": "\xff"}', JSON, 400, "malformed_json"),
    (b'{"reason": "\\ud800"}', JSON, 400, "malformed_json"),
    (b"[" * 100_000, JSON, 400, "malformed_json"),
    (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, JSON, 400, "malformed_json"),
    (b"NaN", JSON, 422, "type_invalid"),
    (b'{"reason": NaN}', JSON, 422, "type_invalid"),
    (b'{"reason": Infinity}', JSON, 422, "type_invalid"),
    (b'{"reason": 1' + b"0" * 10_000 + b"}", JSON, 400, "malformed_json"),
    (b'{"reason": 1e999999}', JSON, 422, "type_invalid"),
    (b"null", JSON, 422, "type_invalid"),
    (b"[]", JSON, 422, "type_invalid"),
    (b'"reason"', JSON, 422, "type_invalid"),
    (b"{}", JSON, 422, "missing"),
    (b'{"reason": null}', JSON, 422, "type_invalid"),
    (b'{"reason": "\\u0000"}', JSON, 422, "charset"),
    (b'{"reason": "a\\nb"}', JSON, 422, "charset"),
    (json.dumps({"reason": "x" * 301}).encode(), JSON, 422, "too_long"),
    (b'{"reason": "x", "status": "settled"}', JSON, 422, "unknown_field"),
    (b'{"reason": "x", "by": "chief"}', JSON, 422, "unknown_field"),
    (b'{"reason": "x", "verb": "approve"}', JSON, 422, "unknown_field"),
    (json.dumps({str(n): n for n in range(10_000)}).encode(), JSON, 422, "missing"),
    (b" " * (JSON_BYTES_MAX + 1), JSON, 413, "too_large"),
    (b'{"reason": "x"}', {}, 415, "unsupported_media_type"),
    (b'{"reason": "x"}', {"content-type": "text/plain"}, 415, "unsupported_media_type"),
    (b"reason=x", {"content-type": "multipart/form-data"}, 415, "unsupported_media_type"),
    (b"{}", {"content-type": "application/json; charset=utf-7"}, 415, "unsupported_media_type"),
    (b"{}", {"content-type": ";;;=" * 50}, 415, "unsupported_media_type"),
    (b"{}", {**JSON, "content-encoding": "gzip"}, 415, "unsupported_media_type"),
]


async def test_a_body_that_makes_no_sense_is_refused_with_its_own_code(alone: Gateway) -> None:
    payment_id = await register_payout(alone.books)
    for content, headers, status, code in BODIES_REFUSED:
        path = f"/v1/payments/{payment_id}/cancel"
        answer = await alone.as_("operator", "POST", path, content=content, headers=headers)
        problem = is_problem(answer, status, code)
        assert len(problem.detail) < 300, content[:40]


async def test_what_was_sent_is_never_told_back(alone: Gateway) -> None:
    payment_id = await register_payout(alone.books)
    secret = "DE89370400440532013000"
    for body in (
        {"reason": secret + "\n"},
        {"reason": [secret]},
        {"reason": {"iban": secret}},
        {"outcome": secret, "evidence": secret},
    ):
        for verb in ("cancel", "resolve"):
            path = f"/v1/payments/{payment_id}/{verb}"
            answer = await alone.as_("operator", "POST", path, json=body)
            assert answer.status_code == 422
            assert secret not in answer.text
    for path in (f"/v1/payments?tenant={secret}", f"/v1/accounts?prefix={secret}%00"):
        answer = await alone.as_("reader", "GET", path)
        assert answer.status_code == 422
        assert secret not in answer.text


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["reason", "content_hash", "outcome", "evidence", "by", "x"]), inner
        )
    ),
    max_leaves=10,
)
ANY_BODY = st.binary(max_size=60) | ANY_JSON.map(lambda value: json.dumps(value).encode())


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=ANY_BODY, model=st.sampled_from([ApproveBody, CancelBody, DenyBody, ResolveBody]))
def test_any_bytes_are_a_valid_body_or_a_refusal(raw: bytes, model: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    request = Request(
        {"type": "http", "headers": [(b"content-type", b"application/json")]}, receive
    )

    async def refusal() -> Refused | None:
        try:
            await json_body(model)(request)
        except Refused as refused:
            return refused
        return None

    refused = asyncio.run(refusal())
    if refused is not None:
        assert refused.status in (400, 422)
        assert refused.response().media_type == "application/problem+json"


async def test_every_answer_has_a_request_id_and_a_good_one_of_the_callers_is_kept(
    alone: Gateway,
) -> None:
    for path in ("/health/live", "/nothing", "/v1/payments"):
        made = (await alone.http.get(path)).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)
        given_id = "order-4711.retry_2"
        kept = await alone.http.get(path, headers={"x-request-id": given_id})
        assert kept.headers["x-request-id"] == given_id
        for bad in ("short", "x" * 65, "a b c d e f", 'x","y":"z'):
            replaced = await alone.http.get(path, headers={"x-request-id": bad})
            assert re.fullmatch(r"[0-9a-f]{32}", replaced.headers["x-request-id"])


class BrokenReader(Reader):
    """A reader with a bug in it."""

    async def check(self, *, since_last: bool = False) -> BooksReport:
        raise AssertionError("row 7 holds DE89370400440532013000")


async def test_a_bug_of_ours_is_a_500_without_any_detail(alone: Gateway, books_url: str) -> None:
    async with serving(replace(alone.resources, reader=BrokenReader(books_url))) as broken:
        answer = await broken.as_("reader", "GET", "/v1/books/check")
        problem = is_problem(answer, 500, "internal_error")
        assert "row 7" not in problem.detail
        assert answer.headers["x-request-id"]
        assert (await broken.http.get("/health/live")).status_code == 200
