"""The gateway's own OpenAPI document: no generated request gets a 5xx or a status that is not in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from ops.temporal import LocalTemporal
from tests.gateway.conftest import gateway_at
from tests.gateway.stand import Gateway, bearer, register_payout

LONG = "BURSAR_FUZZ_CASES" in os.environ
ROLES = ("reader", "operator", "ana", "root")
CASES = int(os.environ.get("BURSAR_FUZZ_CASES", "8"))
"""Requests for each operation, each in some role; `make fuzz` makes many more."""


@pytest.fixture
async def gateway(
    books_url: str, temporal: LocalTemporal, tmp_path: Path
) -> AsyncIterator[Gateway]:
    """A gateway on fresh books with a Temporal server behind it."""
    async with gateway_at(books_url, temporal.address, tmp_path) as running:
        yield running


@pytest.mark.timeout(0 if LONG else 240)
async def test_generated_requests_are_answered_as_documented(gateway: Gateway) -> None:
    for number in range(3):
        await register_payout(gateway.books, payment_id=f"po_{number}")
    asked = await asyncio.to_thread(_ask_everything, str(gateway.http.base_url))
    assert asked >= 10
    assert (await gateway.http.get("/health/live")).status_code == 200


def _ask_everything(url: str) -> int:
    """Send requests for every operation; return for how many operations that was done."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    checks: list[Any] = [not_a_server_error, status_code_conformance, content_type_conformance]
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        _ask(operation, checks)
        asked += 1
    return asked


def _ask(operation: Any, checks: list[Any]) -> None:
    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize=not LONG,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), role=strategies.sampled_from(ROLES))
    def ask(case: Any, role: str) -> None:
        case.call_and_validate(headers=bearer(role), checks=checks)

    ask()
