"""Access: each endpoint, with no token, with one that nobody knows, and with each role."""

from __future__ import annotations

import itertools

from bursar.gate import DisableBody
from tests.gateway.stand import TOKENS, Gateway, register_payout


def holders(*roles: str) -> frozenset[str]:
    """Return who holds one of some roles."""
    return frozenset(name for name, held in TOKENS.items() if set(roles) & set(held))


APPROVERS = holders("approve-l1", "approve-l2")
ENDPOINTS = [
    ("GET", "/v1/payments", holders("read")),
    ("GET", "/v1/payments/{id}", holders("read")),
    ("POST", "/v1/payments/{id}/approve", APPROVERS),
    ("POST", "/v1/payments/{id}/deny", APPROVERS),
    ("POST", "/v1/payments/{id}/cancel", holders("operate")),
    ("POST", "/v1/payments/{id}/resolve", holders("operate")),
    ("GET", "/v1/rails", holders("read")),
    ("POST", "/v1/rails/pause", holders("operate")),
    ("POST", "/v1/rails/resume", holders("operate")),
    ("POST", "/v1/limits", holders("admin")),
    ("POST", "/v1/people/disable", holders("admin")),
    ("GET", "/v1/no-send", holders("read")),
    ("GET", "/v1/cases", holders("read")),
    ("GET", "/v1/cases/{case_id}", holders("read")),
    ("POST", "/v1/cases/{case_id}/assign", holders("operate")),
    ("POST", "/v1/cases/{case_id}/resolve", holders("operate")),
    ("GET", "/v1/events", holders("read")),
    ("POST", "/v1/events/redrive", holders("operate")),
    ("GET", "/v1/accounts", holders("read")),
    ("POST", "/v1/accounts", holders("admin")),
    ("GET", "/v1/books/check", holders("read")),
    ("GET", "/v1/books/rounds", holders("read")),
    ("GET", "/v1/books/export", holders("read")),
]
OPEN = {"/health/live", "/health/ready", "/v1/partners/{partner}/events"}


async def test_the_matrix_below_knows_every_endpoint(alone: Gateway) -> None:
    paths = (await alone.http.get("/openapi.json")).json()["paths"]
    documented = {(verb.upper(), path) for path in paths for verb in paths[path]}
    known = {(verb, path.replace("{id}", "{payment_id}")) for verb, path, _ in ENDPOINTS}
    assert {pair for pair in documented if pair[1] not in OPEN} == known


UNKNOWN = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer nobody"},
    {"authorization": "Basic token-of-root"},
    {"authorization": "Bearer token-of-root x"},
]


async def test_without_a_known_token_nothing_is_shown_or_done(alone: Gateway) -> None:
    payment_id = await register_payout(alone.books)
    for (method, path, _), headers in itertools.product(ENDPOINTS, UNKNOWN):
        url = path.replace("{id}", payment_id).replace("{case_id}", "1")
        answer = await alone.http.request(method, url, headers=headers, content=b"not json")
        assert answer.status_code == 401, (method, path, headers)
        assert answer.json()["code"] == "not_authorised"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_does_what_its_roles_say_and_nothing_else(alone: Gateway) -> None:
    payment_id = await register_payout(alone.books)
    for (method, path, allowed), name in itertools.product(ENDPOINTS, TOKENS):
        url = path.replace("{id}", payment_id).replace("{case_id}", "1")
        answer = await alone.as_(name, method, url, content=b"not json")
        if name in allowed:  # and a body that is no JSON is the next thing that is wrong
            fine = {200, 404} if path == "/v1/cases/{case_id}" else {200, 415}
            assert answer.status_code in fine, (method, path, name)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "not_authorised")


async def test_a_weak_token_learns_nothing_about_what_exists(alone: Gateway) -> None:
    known = await register_payout(alone.books)
    answers = [
        await alone.as_("root", "GET", f"/v1/payments/{payment_id}")
        for payment_id in (known, "po_unknown", "%00")
    ]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].status_code == 403


async def test_a_disabled_persons_token_shows_and_does_nothing_a6(alone: Gateway) -> None:
    payment_id = await register_payout(alone.books)
    await alone.books.disable_person(DisableBody(name="CREATOR", reason="left"), "root")
    for (method, path, _), name in itertools.product(ENDPOINTS, ("creator", "Creator")):
        url = path.replace("{id}", payment_id).replace("{case_id}", "1")
        answer = await alone.as_(name, method, url, content=b"not json")
        assert (answer.status_code, answer.json()["code"]) == (403, "person_disabled")
    assert (await alone.as_("reader", "GET", "/v1/payments")).status_code == 200
