"""Events in: authentic ones are stored once before they are answered, all others change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx

from gateway.bodies import EVENT_BYTES_MAX
from tests.gateway.conftest import gateway_at
from tests.gateway.stand import (
    OTHER_SECRET,
    Gateway,
    credit,
    paid,
    register_payout,
    signed,
)
from tests.links import Link


async def rows(admin_url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(admin_url)
    try:
        found: list[asyncpg.Record] = await connection.fetch(
            "select * from partner_events order by id"
        )
        return found
    finally:
        await connection.close()


async def test_an_event_is_stored_raw_with_what_proves_it_and_no_credentials(
    alone: Gateway, admin_url: str
) -> None:
    payment_id = await register_payout(alone.books)
    raw = paid(payment_id)
    proof = signed(raw, "evt_1")
    answer = await alone.deliver(raw, {**proof, "authorization": "Bearer x", "cookie": "y"})
    assert (answer.status_code, answer.json()) == (200, {"stored": 1, "known": 0})
    (row,) = await rows(admin_url)
    assert (row["partner"], row["event_id"], row["kind"]) == ("simulator", "evt_1", "paid")
    assert (row["payment_id"], bytes(row["raw"])) == (payment_id, raw)
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert proof[name] in row["headers"]
    assert "Bearer" not in row["headers"]
    assert "cookie" not in row["headers"]


async def test_fifty_copies_at_once_are_stored_once_and_all_answered_with_success(
    alone: Gateway, admin_url: str
) -> None:
    raw = credit("c-1")
    headers = signed(raw, "evt_1")
    answers = await asyncio.gather(*(alone.deliver(raw, headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["stored"] for answer in answers) == 1
    assert len(await rows(admin_url)) == 1


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


RAW = credit("c-1")


def not_authentic() -> list[tuple[str, bytes, dict[str, str]]]:
    """Return what no bank has sent now; made now, since signatures age."""
    authentic = signed(RAW, "evt_1")
    return [
        ("unsigned", RAW, {}),
        ("no-signature", RAW, _without(authentic, "webhook-signature")),
        ("no-time", RAW, _without(authentic, "webhook-timestamp")),
        ("no-id", RAW, _without(authentic, "webhook-id")),
        ("other-secret", RAW, signed(RAW, "evt_1", secret=OTHER_SECRET)),
        ("changed-body", RAW + b" ", authentic),
        ("no-body", b"", authentic),
        ("changed-id", RAW, {**authentic, "webhook-id": "evt_2"}),
        ("replayed", RAW, signed(RAW, "evt_1", age=timedelta(minutes=10))),
        ("from-the-future", RAW, signed(RAW, "evt_1", age=timedelta(minutes=-10))),
        ("no-number", RAW, {**authentic, "webhook-timestamp": "soon"}),
        ("no-base64", RAW, {**authentic, "webhook-signature": "v1,%%%"}),
        ("no-comma", RAW, {**authentic, "webhook-signature": "v1"}),
    ]


async def test_what_is_not_authentic_is_refused_and_not_stored(
    alone: Gateway, admin_url: str
) -> None:
    for what, raw, headers in not_authentic():
        answer = await alone.deliver(raw, headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "event_refused"), what
        assert answer.headers["content-type"] == "application/problem+json"
    assert await rows(admin_url) == []


async def test_an_unknown_partner_gets_a_404_and_nothing_is_stored(
    alone: Gateway, admin_url: str
) -> None:
    headers = signed(RAW, "evt_1")
    for partner in ("nobody", "Simulator", "simulator%00", "..", "port", ""):
        path = f"/v1/partners/{partner}/events"
        answer = await alone.http.post(path, content=RAW, headers=headers)
        gone = 405 if partner == ".." else 404  # the client makes /v1/events of it, to be read only
        assert answer.status_code == gone, partner
        assert answer.headers["content-type"] == "application/problem+json"
    assert await rows(admin_url) == []


async def test_an_event_that_says_it_is_too_large_is_refused_before_it_is_sent(
    alone: Gateway, admin_url: str
) -> None:
    reading, writing = await asyncio.open_connection("127.0.0.1", alone.port)
    writing.write(
        b"POST /v1/partners/simulator/events HTTP/1.1\r\nhost: here\r\n"
        b"content-length: %d\r\n\r\n" % (EVENT_BYTES_MAX + 1)
    )
    await writing.drain()  # and not a byte of the body
    head = await asyncio.wait_for(reading.readuntil(b"\r\n\r\n"), 10)
    writing.close()
    assert head.startswith(b"HTTP/1.1 413 ")
    assert await rows(admin_url) == []


async def test_an_event_that_grows_too_large_is_cut_off_while_it_comes(
    alone: Gateway, admin_url: str
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * EVENT_BYTES_MAX:
            sent += 65536
            yield b"x" * 65536

    try:
        answer = await alone.http.post("/v1/partners/simulator/events", content=endless())
    except httpx.NetworkError:
        pass  # the connection was closed on us while we were still sending
    else:
        assert answer.status_code == 413
    assert sent < 64 * EVENT_BYTES_MAX
    assert await rows(admin_url) == []


async def test_the_largest_event_that_is_allowed_is_taken(alone: Gateway, admin_url: str) -> None:
    raw = RAW + b" " * (EVENT_BYTES_MAX - len(RAW))
    assert (await alone.deliver(raw, signed(raw, "evt_1"))).status_code == 200
    (row,) = await rows(admin_url)
    assert len(row["raw"]) == EVENT_BYTES_MAX


async def test_authentic_nonsense_is_kept_as_unrecognised_and_never_an_error(
    alone: Gateway, admin_url: str
) -> None:
    strange = [b"null", b"[" * 100_000, b'{"type": "\\u0000"}', b"NaN", b"{}", b'{"a":1,"a":2}']
    for number, raw in enumerate(strange):
        answer = await alone.deliver(raw, signed(raw, f"evt_{number}"))
        assert answer.status_code == 200, raw[:20]
    assert {row["kind"] for row in await rows(admin_url)} == {"unrecognised"}
    assert len(await rows(admin_url)) == len(strange)


async def test_an_event_is_not_acknowledged_while_the_database_is_away(
    books_url: str, tmp_path: Path
) -> None:
    async with (
        Link.to(books_url) as line,
        gateway_at(line.url(books_url), "127.0.0.1:1", tmp_path) as gateway,
    ):
        headers = signed(RAW, "evt_1")
        await line.cut()
        answer = await gateway.deliver(RAW, headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert "retry-after" in answer.headers
        assert (await gateway.http.get("/health/ready")).json()["code"] == "not_ready"
        assert (await gateway.http.get("/health/live")).status_code == 200
        await line.mend()
        answer = await gateway.deliver(RAW, headers)
        assert (answer.status_code, answer.json()["stored"]) == (200, 1)
