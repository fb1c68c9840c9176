"""A gateway as it runs for real, on loopback, with tokens for every role and a bank's signature."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import AnyHttpUrl, SecretStr
from standardwebhooks.webhooks import Webhook

from bursar.payments import PaymentKind, PaymentState
from gateway.app import create_app
from gateway.resources import Resources
from ledger.accounts import wallet_account
from ledger.books import Books
from ledger.changes import Change, Move, Registration
from partners.simulator.adapter import Simulator
from partners.simulator.settings import Settings as BankSettings

BANK_SECRET = "whsec_" + base64.b64encode(b"a secret that only the tests know").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret, of somebody else").decode()
WAIT_SECONDS_MAX = 30.0

TOKENS = {
    "reader": ["read"],
    "operator": ["operate"],
    "second": ["operate"],
    "ana": ["read", "approve-l1"],
    "ben": ["approve-l1", "approve-l2"],
    "chief": ["approve-l2"],
    "creator": ["read", "operate", "approve-l1"],
    "Creator": ["read", "operate", "approve-l1"],
    "root": ["admin"],
}
"""Who holds which roles; the token of each is "token-of-<name>"."""


def token_of(name: str) -> str:
    return f"token-of-{name}"


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token_of(name)}"}


def write_tokens(directory: Path) -> Path:
    """Write the tokens file with only the hashes in it."""
    path = directory / "tokens.toml"
    tables = (
        f"[[tokens]]\nprincipal = {json.dumps(name)}\n"
        f'sha256 = "{hashlib.sha256(token_of(name).encode()).hexdigest()}"\n'
        f"roles = {json.dumps(roles)}\n"
        for name, roles in TOKENS.items()
    )
    path.write_text("\n".join(tables))
    return path


def simulator() -> Simulator:
    """The real adapter of the simulated bank; nothing answers at its address."""
    return Simulator(
        BankSettings(
            url=AnyHttpUrl("http://127.0.0.1:9/"),
            api_key=SecretStr("unused"),
            webhook_secret=SecretStr(BANK_SECRET),
        )
    )


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs, and what stands behind it."""

    http: httpx.AsyncClient
    port: int
    resources: Resources

    @property
    def books(self) -> Books:
        return self.resources.books

    async def as_(self, name: str, method: str, path: str, **given: Any) -> httpx.Response:
        """Send a request with somebody's token."""
        headers = {**bearer(name), **given.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **given)

    async def deliver(self, raw: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Send a message as the simulated bank would."""
        return await self.http.post(
            "/v1/partners/simulator/events", content=raw, headers=dict(headers)
        )


@asynccontextmanager
async def serving(resources: Resources) -> AsyncIterator[Gateway]:
    """Serve the application on a free loopback port, with its relay, until left."""
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    config = uvicorn.Config(create_app(resources), log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await until(lambda: server.started)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False
        ) as http:
            yield Gateway(http, port, resources)
    finally:
        server.should_exit = True
        await task
        listening.close()


async def until(
    holds: Callable[[], bool | Awaitable[bool]], seconds_max: float = WAIT_SECONDS_MAX
) -> None:
    """Wait until a condition holds; fail when it does not come to hold."""
    async with asyncio.timeout(seconds_max):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


def new_payout_id() -> str:
    return "po_" + uuid.uuid4().hex[:26]


async def register_payout(
    books: Books,
    *,
    payment_id: str | None = None,
    state: PaymentState = PaymentState.AWAITING_APPROVAL,
    tenant: str = "main",
    approvals: dict[str, Any] | None = None,
) -> str:
    """Put a payout into the register, in a state in which nothing is booked; return its id."""
    payment_id = payment_id or new_payout_id()
    account = wallet_account("wallet/acme/EUR", "main")
    await books.open_accounts([account])
    moves = [Move(before=None, after=PaymentState.RECEIVED)]
    if state is not PaymentState.RECEIVED:
        moves.append(Move(before=PaymentState.RECEIVED, after=state))
    await books.write(
        Change(
            key=f"{payment_id}/open",
            kind="open",
            actor="creator",
            payment_id=payment_id,
            opens=_registration(payment_id, tenant, account.path, approvals),
            moves=tuple(moves),
            effective_on=date(2026, 1, 31),
        )
    )
    return payment_id


def _registration(
    payment_id: str, tenant: str, account: str, approvals: dict[str, Any] | None
) -> Registration:
    beneficiary = {"kind": "iban", "name": "Jane Roe", "iban": "DE89370400440532013000"}
    return Registration(
        kind=PaymentKind.PAYOUT,
        tenant=tenant,
        account=account,
        currency="EUR",
        amount_minor=1250,
        fee_minor=0,
        partner="simulator",
        content_hash=hashlib.sha256(payment_id.encode()).hexdigest(),
        request={
            "id": payment_id,
            "tenant": tenant,
            "account": account,
            "amount": {"amount_minor": 1250, "currency": "EUR"},
            "beneficiary": beneficiary,
            "partner": "simulator",
            "reference": "invoice 7",
            "created_by": "creator",
            "metadata": {},
        },
        terms={
            "content_hash": hashlib.sha256(payment_id.encode()).hexdigest(),
            "approvals": approvals or {"number": 1, "role": "approve-l1", "version": "v7"},
        },
        created_by="creator",
    )


def message(kind: str, data: dict[str, Any]) -> bytes:
    """Write an event as the simulated bank writes it."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"id": "evt", "type": kind, "timestamp": now, "data": data}).encode()


def paid(payment_id: str) -> bytes:
    """Write the event that a payout's first attempt is paid."""
    return message("payout.paid", payout_data(payment_id, "paid"))


def payout_data(payment_id: str, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "bp_1",
        "reference": f"{payment_id}-1",
        "status": status,
        "amount_minor": 1250,
        "currency": "EUR",
        "beneficiary": {"kind": "iban", "name": "Jane Roe", "account": "DE89…3000"},
        "code": None,
        "value_on": "2026-01-31",
        **more,
    }


def credit(credit_id: str) -> bytes:
    """Write the event that money came in for a wallet."""
    return message(
        "credit.received",
        {
            "credit_id": credit_id,
            "reference": "wallet/acme/EUR",
            "amount_minor": 100_000,
            "currency": "EUR",
            "value_on": "2026-01-31",
        },
    )


def signed(
    raw: bytes, event_id: str, *, secret: str = BANK_SECRET, age: timedelta = timedelta()
) -> dict[str, str]:
    """Return the headers with which the bank signs a message."""
    at = datetime.now(UTC) - age
    signature = Webhook(secret).sign(event_id, at, raw.decode())
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
