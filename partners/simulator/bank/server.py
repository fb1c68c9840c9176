"""The server: uvicorn on a socket of its own, with a way to cut a connection off."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from partners.simulator.bank.bank import Bank
from partners.simulator.bank.logs import log
from partners.simulator.bank.settings import BankSettings

_STOP_SECONDS_MAX = 2
_BACKLOG = 2048


class _CutProtocol(H11Protocol):
    """Speaks HTTP, and lets the application drop the line: `request.state.cut()`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it likewise
        super().connection_made(transport)

        def cut() -> None:
            peer = transport.get_extra_info("socket")
            # Lingering for 0 s makes the kernel send a reset instead of an orderly end.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

        self.app_state = {**self.app_state, "cut": cut}


async def cut_off(request: Request) -> None:
    """Reset the connection of a request, so that no answer reaches the client."""
    request.state.cut()
    await gone(request, 1.0)


async def gone(request: Request, seconds: float) -> bool:
    """Wait until the client has left, at most so many seconds; tell whether it has."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                continue
            return True
    return False


class _Server(uvicorn.Server):
    """Names the address once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for one in sockets or []:
            host, port = one.getsockname()[:2]
            log("listening", host=host, port=port, pid=os.getpid())


def serve(app: FastAPI, settings: BankSettings) -> bool:
    """Serve until SIGTERM or SIGINT; held answers do not delay the end for long.

    Returns:
        Whether the bank came up and nothing in it broke down.
    """
    options: dict[str, Any] = {
        "http": _CutProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "timeout_graceful_shutdown": _STOP_SECONDS_MAX,
    }
    listener = socket.create_server(
        (settings.host, settings.port),
        family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
        backlog=_BACKLOG,
    )
    with listener:
        server = _Server(uvicorn.Config(app, **options))

        def stop(_number: int, _frame: FrameType | None) -> None:
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again at its end
            signal.signal(number, stop)
        server.run(sockets=[listener])
    bank: Bank | None = getattr(app.state, "bank", None)
    return bank is not None and not bank.broken
