"""A customer's webhook endpoint: a real little HTTP server that checks signatures and remembers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET_BYTES = b"thirty-two bytes known to both.."
SECRET = "whsec_" + base64.b64encode(SECRET_BYTES).decode()
WAIT_SECONDS_MAX = 90.0  # much more than any of it takes, for a machine that is busy


@dataclass(frozen=True)
class Received:
    """One call of the webhook endpoint."""

    id: str
    rightly_signed: bool
    status: int
    """What it was answered."""
    at: float
    body: dict[str, Any]

    @property
    def type(self) -> str:
        """The event's type."""
        return str(self.body["type"])

    @property
    def reference(self) -> str:
        """The reference of the payout or credit that the event tells about."""
        return str(self.body["data"]["reference"])


class Receiver:
    """Takes webhooks that are rightly signed, refuses others with 401, and remembers them all."""

    def __init__(self, port: int = 0) -> None:
        self._received: list[Received] = []
        self._changed = threading.Condition()
        self.answer: Callable[[Received], int] = lambda received: 200
        """What a rightly signed call is answered."""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where the bank has to send webhooks."""
        return f"http://127.0.0.1:{self.port}/events"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of(self, reference: str) -> list[Received]:
        """Return what came for a reference, in the order of coming."""
        with self._changed:
            return [one for one in self._received if one.reference == reference]

    def types(self, reference: str) -> list[str]:
        """Return the types of what was taken (2xx) for a reference, in the order of coming."""
        return [one.type for one in self.of(reference) if one.status < 300]

    def wait_for(self, reference: str, enough: Callable[[list[Received]], bool]) -> list[Received]:
        """Wait until what came for a reference is enough, and return it."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        with self._changed:
            while not enough(self.of(reference)):
                left = deadline - time.monotonic()
                assert self._changed.wait(left), f"only {self.types(reference)} came"
        return self.of(reference)

    def wait_for_types(self, reference: str, *types: str) -> list[Received]:
        """Wait until each of the types was taken for a reference."""
        return self.wait_for(reference, lambda _: set(types) <= set(self.types(reference)))

    def _remember(self, call: dict[str, str], raw: bytes) -> int:
        body = json.loads(raw)
        signed = _rightly_signed(call, raw)
        heard = Received(call["webhook-id"], signed, 0, time.time(), body)
        status = self.answer(heard) if signed else 401
        with self._changed:
            self._received.append(Received(heard.id, signed, status, heard.at, body))
            self._changed.notify_all()
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        remember = self._remember

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                status = remember({k.lower(): v for k, v in self.headers.items()}, raw)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler


def _rightly_signed(headers: dict[str, str], raw: bytes) -> bool:
    """Check a signature by the Standard Webhooks text, not by the library that made it."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        return False
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    expected = hmac.new(SECRET_BYTES, signed, hashlib.sha256).digest()
    version, _, text = headers["webhook-signature"].partition(",")
    try:
        given = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return version == "v1" and hmac.compare_digest(given, expected)
