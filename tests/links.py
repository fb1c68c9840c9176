"""A line between two processes: it can be slow, clogged, deaf or cut, and lose what it carries."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16
READY = b"Z\x00\x00\x00\x05I"
"""PostgreSQL's "ready for query" outside a transaction: what came before it is committed."""

Loss = Literal["request", "reply"]


class Way(StrEnum):
    """What a line does with bytes."""

    OPEN = "open"
    CLOGGED = "clogged"
    """Holds everything back, and delivers it once it is open again."""
    DEAF = "deaf"
    """Takes bytes and delivers none: a black hole. What was swallowed breaks its connection once
    the line is well again."""
    CUT = "cut"
    """Breaks what is connected and refuses what is new."""


@dataclass
class Weather:
    """How a line is at the moment."""

    way: Way = Way.OPEN
    latency: float = 0.0
    """Seconds by which each piece is late, in both directions."""
    slice: int = 0
    """Bytes of the pieces that are passed on; 0: as they come."""
    answers_to_drop: int = 0
    """How many answers are dropped after their requests were delivered; each breaks its line."""


class Link:
    """Passes TCP connections on to one address."""

    def __init__(self, target: str, *, port: int = 0) -> None:
        parts = urlsplit(target if "://" in target else f"tcp://{target}")
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"{target!r} names no host and port")
        self._target = (parts.hostname, parts.port)
        self.port = port or _free_port()
        self.weather = Weather()
        self.lost: list[Loss] = []
        self.dropped = 0
        self._armed: dict[bytes, Loss] = {}
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, target: str, *, mended: bool = True) -> AsyncIterator[Link]:
        """Open a line to an address (host:port) or URL; cut it on leaving."""
        link = cls(target)
        if mended:
            await link.mend()
        try:
            yield link
        finally:
            await link.cut()

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def url(self, target: str) -> str:
        """Return a URL of the target, over this line."""
        host, port = self._target
        return target.replace(f"{host}:{port}", self.address, 1)

    async def mend(self) -> None:
        """Listen, and pass everything on."""
        self.weather = Weather()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def cut(self) -> None:
        """Refuse new connections and break those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for end in self._ends:
            end.transport.abort()
        if server is not None:
            await server.wait_closed()

    async def change(self, weather: Weather) -> None:
        """Let the line be otherwise from now on."""
        if weather.way is Way.CUT:
            await self.cut()
        else:
            await self.mend()
        self.weather = weather

    def lose(self, what: Loss, *, holding: bytes) -> None:
        """Lose the next request to PostgreSQL that holds these bytes, or the answer to it."""
        self._armed[holding] = what

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, up_writer}
        self._ends |= ends
        down = asyncio.create_task(self._carry_down(up_reader, writer))
        up = asyncio.create_task(self._carry_up(reader, up_reader, up_writer, down))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            if down.done() and not up.done():  # what the server said last may still be on its way
                await asyncio.wait([up], timeout=0.05)
        finally:
            up.cancel()
            down.cancel()
            await asyncio.wait([up, down])
            self._ends -= ends
            for end in ends:
                end.close()

    async def _carry_up(
        self,
        reader: asyncio.StreamReader,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        down: asyncio.Task[None],
    ) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                loss = self._loss_of(chunk)
                if loss is None:
                    await self._pass_on(chunk, up_writer)
                    continue
                if loss == "reply":
                    down.cancel()
                    await asyncio.wait([down])
                    up_writer.write(chunk)
                    await up_reader.readuntil(READY)
                self.lost.append(loss)
                return
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # one end is gone; the other one follows

    async def _carry_down(
        self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while chunk := await up_reader.read(CHUNK):
                if self.weather.answers_to_drop:
                    self.weather.answers_to_drop -= 1
                    self.dropped += 1
                    writer.transport.abort()
                    return
                await self._pass_on(chunk, writer)
        except ConnectionError:
            return  # one end is gone; the other one follows

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        if self.weather.latency:
            await asyncio.sleep(self.weather.latency)
        heard = self.weather.way is not Way.DEAF
        while self.weather.way in (Way.CLOGGED, Way.DEAF):  # noqa: ASYNC110  no event says so
            await asyncio.sleep(0.05)
        if not heard:
            raise ConnectionError("these bytes went into a black hole, and nobody sends them again")
        size = self.weather.slice or len(chunk)
        for start in range(0, len(chunk), size):
            writer.write(chunk[start : start + size])
            await writer.drain()
            if size < len(chunk):
                await asyncio.sleep(0)  # a piece of its own on the wire

    def _loss_of(self, chunk: bytes) -> Loss | None:
        for holding, loss in self._armed.items():
            if holding in chunk:
                del self._armed[holding]
                return loss
        return None


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as reserved:
        return int(reserved.getsockname()[1])
