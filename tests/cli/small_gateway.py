"""A small gateway of the tests' own: real HTTP on a real port, the views' JSON, few payments."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bursar.payments import FINAL, PaymentState
from bursar.views import (
    AccountList,
    AccountView,
    BooksReport,
    PaymentPage,
    PaymentView,
    Problem,
)

JOURNAL = (
    "; journal\n2026-11-21 * po_a/hold\n    wallet/acme/EUR  1.00 EUR\n    own/EUR  -1.00 EUR\n"
)


@dataclass
class SmallGateway:
    """What the gateway answers from, and what it was asked."""

    url: str = ""
    token: str = "secret-token"
    payments: dict[str, PaymentView] = field(default_factory=dict)
    accounts: dict[str, AccountView] = field(default_factory=dict)
    report: BooksReport | None = None
    answer: str = '{"verdict": "approved", "detail": "1 of 1"}'
    canned: tuple[int, str, bytes] | None = None
    """A status, content type and body that every request gets instead of an answer."""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path with query, and body of each request."""
    still: bool = False
    """Whether payments stay where they are; else one that was looked at goes on to its end."""
    cut: set[int] = field(default_factory=set)
    """Which requests, counted from 1, are cut off without an answer."""


class _Handler(BaseHTTPRequestHandler):
    gateway: SmallGateway

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self._serve(json.loads(self.rfile.read(length) or b"null"))

    def _serve(self, body: Any) -> None:
        gateway = self.gateway
        gateway.asked.append((self.command, self.path, body))
        if len(gateway.asked) in gateway.cut:
            self.close_connection = True
            return
        if gateway.canned:
            self._send(*gateway.canned)
        elif self.headers.get("authorization") != f"Bearer {gateway.token}":
            self._problem(401, "not_authorised", "Send a known token.")
        else:
            self._answer(body)

    def _answer(self, body: Any) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match (self.command, *parts.path.strip("/").split("/")):
            case ("GET", "v1", "payments"):
                self._json(self._page(query))
            case ("GET", "v1", "payments", payment_id):
                self._payment(payment_id)
            case ("POST", "v1", "payments", payment_id, _):
                known = payment_id in self.gateway.payments
                self._send(200, "application/json", self.gateway.answer.encode()) if known else (
                    self._problem(404, "payment_not_found", "There is no such payment.")
                )
            case (_, "v1", "accounts"):
                self._accounts(query, body)
            case ("GET", "v1", "books", "check"):
                assert self.gateway.report
                self._json(self.gateway.report)
            case ("GET", "v1", "books", "export"):
                self._send(200, "text/plain; charset=utf-8", JOURNAL.encode())
            case _:
                self._problem(404, "not_found", "Not Found")

    def _page(self, query: dict[str, str]) -> PaymentPage:
        found = [
            view.payment
            for view in self.gateway.payments.values()
            if view.payment.state == query.get("state", view.payment.state)
            and view.payment.kind == query.get("kind", view.payment.kind)
            and view.payment.account == query.get("account", view.payment.account)
        ]
        start, limit = int(query.get("cursor", "0")), int(query["limit"])
        more = str(start + limit) if len(found) > start + limit else None
        return PaymentPage(payments=tuple(found[start : start + limit]), next_cursor=more)

    def _payment(self, payment_id: str) -> None:
        view = self.gateway.payments.get(payment_id)
        if view is None:
            self._problem(404, "payment_not_found", "There is no such payment.")
            return
        self._json(view)
        if view.payment.state not in FINAL and not self.gateway.still:
            state = PaymentState.SETTLED
            payment = view.payment.model_copy(update={"state": state})
            last = view.timeline[-1].model_copy(update={"text": "submitted → settled"})
            self.gateway.payments[payment_id] = view.model_copy(
                update={"payment": payment, "timeline": (*view.timeline, last)}
            )

    def _accounts(self, query: dict[str, str], body: Any) -> None:
        known = self.gateway.accounts
        if body is None:
            prefix = query.get("prefix", "")
            found = [account for path, account in known.items() if path.startswith(prefix)]
        else:
            for wanted in body:
                known.setdefault(wanted["path"], empty_account(wanted["path"], wanted["tenant"]))
            found = [known[wanted["path"]] for wanted in body]
        self._json(AccountList(accounts=tuple(found)))

    def _json(self, view: PaymentPage | PaymentView | AccountList | BooksReport) -> None:
        self._send(200, "application/json", view.model_dump_json().encode())

    def _problem(self, status: int, code: str, detail: str) -> None:
        problem = Problem(type="about:blank", title=code, status=status, detail=detail, code=code)
        self._send(status, "application/problem+json", problem.model_dump_json().encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def empty_account(path: str, tenant: str = "main") -> AccountView:
    """Return an account in which nothing has moved yet."""
    return AccountView(
        path=path,
        kind="liability",
        tenant=tenant,
        currency=path.rpartition("/")[2],
        posted_minor=0,
        held_minor=0,
        available_minor=0,
        floor_minor=0,
        ceiling_minor=None,
        closed=False,
    )


@contextmanager
def serving(gateway: SmallGateway) -> Iterator[SmallGateway]:
    """Serve a gateway on a port of the machine's choice until the end of the block."""
    handler = type("Handler", (_Handler,), {"gateway": gateway})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
