"""A proxy before PostgreSQL that answers some statements with an error in the server's place."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import urlsplit, urlunsplit

READY = b"Z\x00\x00\x00\x05"
"""The server's "ready for query"; one byte follows: I outside a transaction, T in one."""
AFTER_AN_ERROR = {b"I": b"I", b"T": b"E"}
"""What follows in the answer to a statement that failed; in a transaction, nothing else does."""
BIND = b"B"
"""The first byte of a message that runs a prepared statement."""
OURS = b"bursar"
"""In the name that our own connections give at the start: only they are treated badly."""
ERRORS = {
    "40P01": "deadlock detected",
    "40001": "could not serialize access due to concurrent update",
    "55P03": "canceling statement due to lock timeout",
    "57014": "canceling statement due to statement timeout",
}


class FaultyWire:
    """Carries statements to the server, but for the share that it answers with an error."""

    def __init__(self, host: str, port: int, rng: Random) -> None:
        self._target = (host, port)
        self._rng = rng
        self.share = 0.0
        self.seen = 0
        self.injected: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until it ends."""
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        status, ours = [b""], False
        down = asyncio.create_task(_carry(up_reader, writer, status))
        try:
            while chunk := await reader.read(1 << 20):
                ours = ours or OURS in chunk[:500]
                after = AFTER_AN_ERROR.get(status[0])
                if ours and after and chunk.startswith(BIND) and self._wants_one():
                    writer.write(self._error() + READY + after)
                    continue
                status[0] = b""
                up_writer.write(chunk)
                await up_writer.drain()
        except ConnectionError:
            return
        finally:
            down.cancel()
            writer.close()
            up_writer.close()

    def _wants_one(self) -> bool:
        self.seen += 1
        return self._rng.random() < self.share

    def _error(self) -> bytes:
        """Return an ErrorResponse as the server writes it; nothing has been done."""
        state = self._rng.choice(sorted(ERRORS))
        self.injected[state] += 1
        parts = [("S", "ERROR"), ("V", "ERROR"), ("C", state), ("M", ERRORS[state])]
        body = b"".join(name.encode() + text.encode() + b"\0" for name, text in parts) + b"\0"
        return b"E" + (len(body) + 4).to_bytes(4, "big") + body


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: list[bytes]
) -> None:
    try:
        while chunk := await reader.read(1 << 20):
            status[0] = chunk[-1:] if chunk[-6:-1] == READY else b""
            writer.write(chunk)
    except ConnectionError:
        pass  # The other side is gone: so is this one, below.
    writer.close()


@asynccontextmanager
async def faulty_wire(url: str, seed: int) -> AsyncIterator[tuple[FaultyWire, str]]:
    """Run a proxy before a database; gives it and the database's address through it."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"{url!r} names no host and port")
    wire = FaultyWire(parts.hostname, parts.port, Random(seed))  # noqa: S311  repeatable
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        login = parts.netloc.rpartition("@")[0]
        yield wire, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
    finally:
        server.close()
