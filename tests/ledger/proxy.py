"""A TCP proxy between the books and PostgreSQL that loses what a test wants lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Loss = Literal["request", "reply"]
READY = b"Z\x00\x00\x00\x05I"
"""The server's "ready for query" outside a transaction: what came before it is committed."""


class LossyProxy:
    """Forwards everything until it is armed; then it loses one request or its reply, and cuts."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._armed: dict[bytes, Loss] = {}
        self.lost: list[Loss] = []

    def lose(self, what: Loss, *, holding: bytes) -> None:
        """Lose the next request that holds these bytes, or what the server answers to it."""
        self._armed[holding] = what

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until it ends or is cut."""
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        down = asyncio.create_task(_carry(up_reader, writer))
        try:
            while chunk := await reader.read(1 << 20):
                loss = self._loss_of(chunk)
                if loss is None:
                    up_writer.write(chunk)
                    continue
                if loss == "reply":
                    down.cancel()
                    await asyncio.wait([down])
                    up_writer.write(chunk)
                    await up_reader.readuntil(READY)
                self.lost.append(loss)
                return
        except ConnectionError:
            return
        finally:
            down.cancel()
            writer.close()
            up_writer.close()

    def _loss_of(self, chunk: bytes) -> Loss | None:
        for holding, loss in self._armed.items():
            if holding in chunk:
                del self._armed[holding]
                return loss
        return None


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(1 << 20):
            writer.write(chunk)
    except ConnectionError:
        pass  # The other side is gone: so is this one, below.
    writer.close()


@asynccontextmanager
async def lossy_proxy(url: str) -> AsyncIterator[tuple[LossyProxy, str]]:
    """Run a proxy before a database; gives it and the database's address through it."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"{url!r} names no host and port")
    proxy = LossyProxy(parts.hostname, parts.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        login = parts.netloc.rpartition("@")[0]
        yield proxy, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
    finally:
        server.close()
