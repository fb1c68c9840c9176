"""A line between two processes that can be cut and mended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Forwarder:
    """Passes TCP connections on to a port on loopback, while it is not cut."""

    def __init__(self, target_port: int, port: int) -> None:
        self._target_port = target_port
        self.port = port
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, target: str, *, mended: bool = True) -> AsyncIterator[Forwarder]:
        """Open a line to an address (host:port) or URL; cut it on leaving."""
        port = urlsplit(target if "://" in target else f"tcp://{target}").port
        assert port is not None
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            own = reserved.getsockname()[1]
        line = cls(port, own)
        if mended:
            await line.mend()
        try:
            yield line
        finally:
            await line.cut()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, target: str) -> str:
        """Return a URL of the target, over this line."""
        return target.replace(f":{self._target_port}/", f":{self.port}/")

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Refuse new connections and break those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for end in self._ends:
            end.transport.abort()
        if server is not None:
            await server.wait_closed()

    async def _serve(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writing.transport.abort()
            return
        ends = {writing, there[1]}
        self._ends |= ends
        try:
            await asyncio.gather(_pass_on(reading, there[1]), _pass_on(there[0], writing))
        finally:
            self._ends -= ends
            for end in ends:
                end.close()


async def _pass_on(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):  # one end is gone; the other one follows
        while part := await reading.read(65536):
            writing.write(part)
            await writing.drain()
    writing.close()
