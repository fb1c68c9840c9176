"""The line between two processes does to their bytes what it is told to, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.links import LOOPBACK, Link, Way, Weather


class Server:
    """Answers each request of five bytes, and remembers them."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.pieces = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = b""
        while piece := await reader.read(100):
            self.pieces += 1
            request += piece
            while len(request) >= 5:
                self.heard.append(request[:5])
                request = request[5:]
                writer.write(b"ok")
        writer.close()


@asynccontextmanager
async def a_line() -> AsyncIterator[tuple[Server, Link]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, LOOPBACK, 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening, Link.to(f"{LOOPBACK}:{port}") as link:
        yield server, link


async def ask(link: Link, request: bytes = b"hello", seconds: float = 5.0) -> bytes:
    """Return the answer; b"" where the line broke, and b"?" where nothing came in time."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, link.port)
    except ConnectionError:
        return b""
    try:
        writer.write(request)
        async with asyncio.timeout(seconds):
            return await reader.read(2)
    except ConnectionError:
        return b""
    except TimeoutError:
        return b"?"
    finally:
        writer.close()


async def test_an_open_line_delivers_requests_and_answers() -> None:
    async with a_line() as (server, link):
        assert await ask(link) == b"ok"
    assert server.heard == [b"hello"]


async def test_a_request_is_delivered_and_its_answer_dropped() -> None:
    async with a_line() as (server, link):
        await link.change(Weather(answers_to_drop=1))
        assert await ask(link) == b""
        assert await ask(link) == b"ok"
    assert server.heard == [b"hello", b"hello"]
    assert link.dropped == 1


async def test_a_sliced_line_delivers_byte_by_byte() -> None:
    async with a_line() as (server, link):
        await link.change(Weather(slice=1))
        assert await ask(link, b"hello" * 20) != b""
        await asyncio.sleep(0)
    assert server.heard[0] == b"hello"
    assert server.pieces > 1


async def test_a_deaf_line_delivers_nothing_and_breaks_once_it_is_well_again() -> None:
    async with a_line() as (server, link):
        await link.change(Weather(way=Way.DEAF))
        asking = asyncio.create_task(ask(link))
        await asyncio.sleep(0.1)
        assert not asking.done()
        await link.mend()
        assert await asking == b""
        assert server.heard == []
        assert await ask(link) == b"ok"


async def test_a_clogged_line_delivers_late_what_it_was_given() -> None:
    async with a_line() as (server, link):
        await link.change(Weather(way=Way.CLOGGED))
        asking = asyncio.create_task(ask(link))
        await asyncio.sleep(0.1)
        assert server.heard == []
        await link.change(Weather())
        assert await asking == b"ok"


async def test_a_cut_line_breaks_and_refuses_until_it_is_mended() -> None:
    async with a_line() as (server, link):
        await link.change(Weather(way=Way.CLOGGED))
        asking = asyncio.create_task(ask(link))
        await asyncio.sleep(0.1)
        await link.change(Weather(way=Way.CUT))
        assert await asking == b""
        assert await ask(link) == b""
        await link.change(Weather())
        assert await ask(link) == b"ok"
    assert server.heard == [b"hello"]


def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match="names no host and port"):
        Link("nowhere")
