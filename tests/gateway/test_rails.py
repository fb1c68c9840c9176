"""Rails: who stops, bounds and disables is the token's holder, and each act is on record."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ledger.accounts import rail_accounts, wallet_account
from tests.gateway.stand import Gateway, register_payout

EUR = {"scope": "currency", "name": "EUR", "reason": "wrong rates"}
LIMIT = {"currency": "EUR", "per_day_minor": 5_000_00, "reason": "new rail"}
PAUSE = "/v1/rails/pause"
UNKNOWN = ("invalid_request", "name")  # of the right form, but nothing of that name is there


@pytest.fixture
async def rail(alone: Gateway) -> Gateway:
    """A gateway whose books know one rail and one wallet."""
    await alone.books.open_accounts(
        [*rail_accounts("simulator", ["EUR"]), wallet_account("wallet/acme/EUR", "main")]
    )
    return alone


async def test_a_pause_and_its_lifting_are_recorded_in_the_name_of_the_token(
    rail: Gateway, admin_url: str
) -> None:
    for path, outcome in (
        ("pause", "paused"),
        ("pause", "paused_already"),
        ("resume", "resumed"),
        ("resume", "not_paused"),
    ):
        body = {**EUR, "on_behalf_of": "ana"}
        answer = await rail.as_("operator", "POST", f"/v1/rails/{path}", json=body)
        assert (answer.status_code, answer.json()) == (200, {"outcome": outcome})
    owner = await asyncpg.connect(admin_url)
    try:
        rows = await owner.fetch("select paused_by, paused_for, resumed_by, reason from pauses")
    finally:
        await owner.close()
    assert [tuple(row) for row in rows] == [("operator", "ana", "operator", "wrong rates")]


async def test_another_operator_may_not_lift_a_pause(rail: Gateway) -> None:
    await rail.as_("operator", "POST", "/v1/rails/pause", json=EUR)
    answer = await rail.as_("creator", "POST", "/v1/rails/resume", json=EUR)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    (pause,) = (await rail.as_("reader", "GET", "/v1/rails")).json()["pauses"]
    assert (pause["scope"], pause["name"], pause["paused_by"]) == ("currency", "EUR", "operator")


async def test_the_rails_are_shown_with_what_waits_and_what_is_in_force(rail: Gateway) -> None:
    await register_payout(rail.books)
    await rail.as_("operator", "POST", "/v1/rails/pause", json={"scope": "all", "reason": "stop"})
    await rail.as_("root", "POST", "/v1/limits", json=LIMIT)
    shown = (await rail.as_("reader", "GET", "/v1/rails")).json()
    assert shown["rails"] == [
        {
            "partner": "simulator",
            "paused": True,
            "waiting": 0,
            "held_back": 0,
            "waiting_since": None,
        }
    ]
    assert [(cap["currency"], cap["per_day_minor"]) for cap in shown["caps"]] == [("EUR", 500000)]
    ended = await rail.as_("root", "POST", "/v1/limits", json={"currency": "EUR", "reason": "x y"})
    assert ended.json() == {"outcome": "ended"}


async def test_a_person_is_disabled_once(rail: Gateway) -> None:
    body = {"name": "ana", "reason": "left"}
    for outcome in ("disabled", "disabled_already"):
        answer = await rail.as_("root", "POST", "/v1/people/disable", json=body)
        assert (answer.status_code, answer.json()) == (200, {"outcome": outcome})


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        (PAUSE, {"scope": "partner", "name": "bonk", "reason": "x"}, *UNKNOWN),
        (PAUSE, {"scope": "tenant", "name": "mian", "reason": "x"}, *UNKNOWN),
        (PAUSE, {"scope": "partner", "reason": "x"}, "invalid", None),
        (PAUSE, {"scope": "all", "name": "EUR", "reason": "x"}, "invalid", None),
        (PAUSE, {"scope": "currency", "name": "eur", "reason": "x"}, "currency_invalid", None),
        (PAUSE, {"scope": "everything", "reason": "x"}, "choice_invalid", "scope"),
        (PAUSE, {**EUR, "by": "chief"}, "unknown_field", "by"),
        (PAUSE, {"scope": "all"}, "missing", "reason"),
        ("/v1/rails/resume", {"scope": "partner", "name": "bonk", "reason": "x"}, *UNKNOWN),
        ("/v1/limits", {**LIMIT, "currency": "XXX"}, "currency_invalid", "currency"),
        ("/v1/limits", {**LIMIT, "per_day_minor": -1}, "out_of_range", "per_day_minor"),
        ("/v1/limits", {**LIMIT, "per_day_minor": 1.5}, "type_invalid", "per_day_minor"),
        ("/v1/limits", {**LIMIT, "per_day_minor": 2**63}, "out_of_range", "per_day_minor"),
        ("/v1/limits", {**LIMIT, "partner": "bonk"}, *UNKNOWN),
        ("/v1/people/disable", {"name": "", "reason": "x"}, "invalid", "name"),
    ],
    ids=str,
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    rail: Gateway, path: str, body: dict[str, Any], code: str, field: str | None
) -> None:
    name = "operator" if "rails" in path else "root"
    answer = await rail.as_(name, "POST", path, json=body)
    told = answer.json()
    assert (answer.status_code, told["code"], told["field"]) == (422, code, field)
    shown = (await rail.as_("reader", "GET", "/v1/rails")).json()
    assert (shown["pauses"], shown["caps"]) == ([], [])
