"""The door: every request gets an id, an answer even to a bug of ours, and one line in the log."""

from __future__ import annotations

import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.logs import place_of
from gateway.problems import problem

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")

_log = structlog.get_logger("gateway.requests")


class Door:
    """The outermost layer around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        started = time.perf_counter()
        answer = _Answer(send, request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                if _said_in_two_ways(scope):
                    twice = "Say the body's length once: Content-Length or chunked, not both."
                    await problem(400, twice)(scope, receive, answer.send)
                else:
                    await self._app(scope, receive, answer.send)
            except Exception as error:  # a bug: no detail for the caller, the place for the log
                _log.error("a request failed", **place_of(error))
                if answer.status is None:
                    sorry = problem(500, "Something went wrong here; nothing more is known.")
                    await sorry(scope, receive, answer.send)
            _log.info(
                "answered",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                status=answer.status,
                seconds=round(time.perf_counter() - started, 4),
            )


def _said_in_two_ways(scope: Scope) -> bool:
    """Tell whether two readers of a request could see two bodies (RFC 9112 §6.1: smuggling)."""
    names = [name for name, _ in scope["headers"]]
    return b"transfer-encoding" in names and b"content-length" in names


class _Answer:
    """Passes an answer on with the request's id in it, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["x-request-id"] = self._request_id
        await self._send(message)
