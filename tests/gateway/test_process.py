"""The process: starts without Temporal, says clearly why it cannot start, and ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bursar.faults import MISCONFIGURED, UNAVAILABLE
from tests.gateway.stand import BANK_SECRET, bearer, credit, signed, until, write_tokens


def environment(books_url: str, directory: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a gateway process: secrets in files, all else in variables."""
    secrets = directory / "secrets"
    secrets.mkdir()
    (secrets / "bursar_database_url").write_text(books_url)
    (secrets / "partner_simulator_webhook_secret").write_text(BANK_SECRET)
    (secrets / "partner_simulator_api_key").write_text("unused")
    return {
        "PATH": os.environ["PATH"],
        "BURSAR_SECRETS_DIR": str(secrets),
        "BURSAR_PARTNERS": '["simulator"]',
        "BURSAR_TOKENS_FILE": str(write_tokens(directory)),
        "BURSAR_TEMPORAL_ADDRESS": "127.0.0.1:1",
        "PARTNER_SIMULATOR_URL": "http://127.0.0.1:9",
        **changes,
    }


async def start(variables: dict[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=variables, stdout=PIPE, stderr=PIPE
    )


@contextlib.asynccontextmanager
async def running(variables: dict[str, str]) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """Run a gateway process until left; wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    process = await start({**variables, "BURSAR_GATEWAY_PORT": str(port)})
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:

            async def answers() -> bool:
                assert process.returncode is None
                with contextlib.suppress(httpx.ConnectError):
                    return (await http.get("/health/live")).status_code == 200
                return False

            await until(answers)
            yield process, http
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_takes_events_without_temporal_and_ends_cleanly_when_told(
    books_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    async with running(environment(books_url, tmp_path)) as (process, http):
        raw = credit("c-1")
        answer = await http.post(
            "/v1/partners/simulator/events", content=raw, headers=signed(raw, "evt_1")
        )
        assert answer.json() == {"stored": 1, "known": 0}
        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        process.send_signal(number)
        out, complaints = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert complaints == b""
    records = [json.loads(line) for line in out.splitlines()]
    assert records[-1]["event"] == "stopped"


async def test_a_request_under_way_is_answered_before_the_process_ends(
    books_url: str, tmp_path: Path
) -> None:
    async with running(environment(books_url, tmp_path)) as (process, http):
        raw = credit("c-1")
        half = asyncio.Event()
        go_on = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield raw[:10]
            half.set()
            await go_on.wait()
            yield raw[10:]

        path = "/v1/partners/simulator/events"
        request = asyncio.create_task(
            http.post(path, content=slowly(), headers=signed(raw, "evt_1"))
        )
        await half.wait()
        process.send_signal(signal.SIGTERM)

        async def refuses_others() -> bool:
            try:
                async with httpx.AsyncClient(trust_env=False) as other:
                    await other.get(f"{http.base_url}/health/live")
            except httpx.TransportError:
                return True
            return False

        await until(refuses_others)
        go_on.set()
        assert (await request).json() == {"stored": 1, "known": 0}
        await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0


async def test_the_log_is_json_and_tells_no_token_body_or_account(
    books_url: str, tmp_path: Path
) -> None:
    iban = "DE89370400440532013000"
    async with running(environment(books_url, tmp_path)) as (process, http):
        headers = {**bearer("operator"), "x-request-id": "request-one"}
        await http.post("/v1/payments/po_1/cancel", json={"reason": iban}, headers=headers)
        await http.get(f"/{iban}")
        await http.get(f"/v1/payments?account={iban}", headers=bearer("reader"))
        raw = credit(iban)
        await http.post("/v1/partners/simulator/events", content=raw, headers=signed(raw, "evt_1"))
        await http.post("/v1/partners/simulator/events", content=iban.encode())
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    records = [json.loads(line) for line in out.splitlines()]
    answered = [record for record in records if record["event"] == "answered"]
    assert any(
        (record["request_id"], record["route"], record["status"])
        == ("request-one", "/v1/payments/{payment_id}/cancel", 404)
        for record in answered
    )
    for secret in (iban, "token-of-", BANK_SECRET, "evt_1"):
        assert secret.encode() not in out


@pytest.mark.parametrize(
    ("changes", "word", "status"),
    [
        ({"BURSAR_PARTNERS": '["nobody"]'}, "nobody", MISCONFIGURED),
        ({"BURSAR_TOKENS_FILE": "/nothing/tokens.toml"}, "/nothing/tokens.toml", MISCONFIGURED),
        ({"BURSAR_DATABASE_URL": "postgresql://a:hidden@127.0.0.1:1/x"}, "books", UNAVAILABLE),
        ({"PARTNER_SIMULATOR_URL": "hidden"}, "PARTNER_SIMULATOR_URL", MISCONFIGURED),
        ({"BURSAR_PARTNERS": "hidden"}, "partners", MISCONFIGURED),
        ({"BURSAR_GATEWAY_PORT": "hidden"}, "BURSAR_GATEWAY_PORT", MISCONFIGURED),
    ],
)
async def test_what_stops_a_start_is_said_in_one_line_and_without_secrets(
    books_url: str, tmp_path: Path, changes: dict[str, str], word: str, status: int
) -> None:
    process = await start(environment(books_url, tmp_path, **changes))
    _, complaints = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status
    (line,) = complaints.decode().splitlines()
    assert line.startswith("the gateway cannot ")
    assert word in line
    assert "hidden" not in line
