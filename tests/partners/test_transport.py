"""The seam in front of the network, against real sockets that behave badly."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from bursar.reports import NotSent, Unknown
from partners.evidence import LENGTH_MAX, told
from partners.transport import BODY_BYTES_MAX, Below, Reply, Transport
from tests.partners.faults import Answers, BreaksOff, Fails

KEY = "key-of-the-partner-0123456789"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def a_transport(
    url: str = "http://127.0.0.1:9", below: Below | None = None, timeout_seconds: float = 0.5
) -> Transport:
    return Transport(url, bearer=SecretStr(KEY), timeout_seconds=timeout_seconds, below=below)


@asynccontextmanager
async def a_server(serve: Serve) -> AsyncIterator[str]:
    """Run a server of raw bytes; each connection is served by `serve`, then closed."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass  # the client went first, which is what some of these tests make it do
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


async def ask(url: str, timeout_seconds: float = 0.5) -> Reply | NotSent | Unknown:
    transport = a_transport(url, timeout_seconds=timeout_seconds)
    try:
        return await transport.send("POST", "/x", body=b'{"a":1}')
    finally:
        await transport.aclose()


async def test_an_answer_comes_whole_with_status_headers_and_body() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 201 Created\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with a_server(serve) as url:
        reply = await ask(url)

    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (201, b"ok", "3")


async def test_one_request_goes_out_with_the_key_and_exactly_the_given_bytes() -> None:
    below = Answers(200, b"{}")
    await a_transport(below=below).send(
        "POST", "/v1/payouts", body=b'{"a":1}', headers={"Idempotency-Key": "po_1-1"}
    )

    (request,) = below.seen
    assert request.content == b'{"a":1}'
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["idempotency-key"] == "po_1-1"


async def test_where_nobody_listens_nothing_has_left() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert isinstance(await ask(f"http://127.0.0.1:{port}"), NotSent)


async def test_a_name_that_does_not_resolve_means_that_nothing_has_left() -> None:
    assert isinstance(await ask("http://partner.invalid", timeout_seconds=5), NotSent)


async def test_a_connection_that_is_never_made_is_given_up_as_not_sent() -> None:
    # A full backlog: the kernel leaves further connections unanswered.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        answer = await ask(f"http://127.0.0.1:{address[1]}")
        for filler in fillers:
            filler.close()

    assert isinstance(answer, NotSent)


async def _says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await reader.read()  # until the client gives up


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def _closes_before_it_reads(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def _stops_in_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b'HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"id": "bp_1"')
    await writer.drain()


async def _drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
    while True:  # each byte comes well before the client would give up reading
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await writer.drain()


async def _speaks_no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"+OK hello\r\n\r\n")
    await writer.drain()


async def _breaks_the_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")
    await writer.drain()


async def _compresses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


@pytest.mark.parametrize(
    "serve",
    [
        _says_nothing,
        _resets,
        _closes,
        _closes_before_it_reads,
        _stops_in_the_body,
        _drips,
        _floods,
        _speaks_no_http,
        _breaks_the_chunks,
        _compresses,
    ],
)
async def test_once_connected_no_trouble_is_ever_a_proof_that_nothing_was_read(
    serve: Serve,
) -> None:
    async with a_server(serve) as url:
        answer = await ask(url, timeout_seconds=1.0)

    assert isinstance(answer, Unknown)
    assert answer.evidence


async def test_a_kept_connection_that_the_partner_closes_is_unknown_and_not_tried_again() -> None:
    requests = 0
    two_asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(OK)
        await writer.drain()
        await read_request(reader)  # taken over the same connection, then dropped
        requests += 1
        two_asked.set()

    async with a_server(serve) as url:
        transport = a_transport(url)
        first = await transport.send("POST", "/x", body=b"{}")
        second = await transport.send("POST", "/x", body=b"{}")
        await transport.aclose()

    assert isinstance(first, Reply)
    assert isinstance(second, Unknown)
    assert two_asked.is_set()
    assert requests == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    below = Answers(status, headers={"Location": "http://127.0.0.1:1/elsewhere"})

    reply = await a_transport(below=below).send("POST", "/x", body=b"{}")

    assert isinstance(reply, Reply)
    assert reply.status == status
    assert len(below.seen) == 1


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await writer.drain()

    async with a_server(serve) as url:
        assert isinstance(await ask(url), Reply)


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (httpx.ConnectError("refused"), NotSent),
        (httpx.ConnectTimeout("no answer"), NotSent),
        (httpx.PoolTimeout("no connection free"), NotSent),
        (httpx.ReadTimeout("no reply"), Unknown),
        (httpx.WriteTimeout("stuck"), Unknown),
        (httpx.ReadError("reset"), Unknown),
        (httpx.WriteError("broken pipe"), Unknown),
        (httpx.CloseError("reset"), Unknown),
        (httpx.RemoteProtocolError("cut off"), Unknown),
        (httpx.LocalProtocolError("bad header"), Unknown),
        (httpx.ProxyError("proxy"), Unknown),
        (httpx.UnsupportedProtocol("ftp"), Unknown),
        (httpx.NetworkError("network"), Unknown),
        (httpx.DecodingError("gzip"), Unknown),
        (httpx.TooManyRedirects("loop"), Unknown),
        (ConnectionResetError("reset"), Unknown),
        (TimeoutError("late"), Unknown),
        (OSError("other"), Unknown),
    ],
)
async def test_only_a_connection_that_was_never_made_is_not_sent(
    fault: Exception, meaning: type[NotSent] | type[Unknown]
) -> None:
    below = Fails(fault)

    answer = await a_transport(below=below).send("POST", "/x", body=b"{}")

    assert type(answer) is meaning
    assert below.requests == 1


@pytest.mark.parametrize(
    "below",
    [
        BreaksOff(201, b"{}", reading=httpx.ReadError("reset"), closing=None),
        BreaksOff(201, b"{}", reading=httpx.RemoteProtocolError("cut off"), closing=None),
        BreaksOff(201, b"{}", reading=None, closing=httpx.CloseError("reset")),
        BreaksOff(422, b"{}", reading=httpx.ReadTimeout("stuck"), closing=None),
    ],
)
async def test_an_answer_that_breaks_off_is_unknown_whatever_its_status_said(
    below: BreaksOff,
) -> None:
    assert isinstance(await a_transport(below=below).send("POST", "/x"), Unknown)


async def test_an_answer_of_exactly_the_limit_is_read() -> None:
    below = Answers(200, b" " * BODY_BYTES_MAX)

    assert isinstance(await a_transport(below=below).send("GET", "/x"), Reply)


async def test_a_cancelled_call_is_not_swallowed() -> None:
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await reader.read()

    async with a_server(serve) as url:
        transport = a_transport(url, timeout_seconds=30)
        call = asyncio.create_task(transport.send("POST", "/x", body=b"{}"))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await transport.aclose()


async def test_evidence_tells_no_key_and_no_account_number() -> None:
    error = httpx.RemoteProtocolError(f"{KEY} ES9121000418450200051332 +254712345678\x00\n" * 40)

    answer = await a_transport(below=Fails(error)).send("POST", "/x")

    assert isinstance(answer, Unknown)
    assert "RemoteProtocolError" in answer.evidence
    assert len(answer.evidence) <= LENGTH_MAX
    for secret in (KEY, "ES9121000418450200051332", "254712345678", "\x00", "\n"):
        assert secret not in answer.evidence


@pytest.mark.parametrize(
    "number",
    [
        "de89370400440532013000",
        "DE89-3704-0044-0532-0130-00",
        "1234-5678-9012",
        "DE89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "021000021 123456789",
        "4111 1111 1111 1111",
        "+254712345678",
    ],
)
def test_numbers_that_look_like_accounts_are_hidden_wherever_they_stand(number: str) -> None:
    assert number not in told(f"account {number} is closed")


def test_payment_ids_and_dates_stay_readable_in_evidence() -> None:
    words = "po_01kacw8x4v1h2c3d4e5f6g7h8j-1 was booked on 2026-01-31 at 10:00:00"

    assert told(words) == words
