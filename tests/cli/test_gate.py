"""Kill switches at the prompt: the installed command against a real gateway and real books."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bursar.cli.codes import ExitCode
from ledger.accounts import rail_accounts, wallet_account
from tests.cli.conftest import Cli, Ended
from tests.gateway.conftest import gateway_at
from tests.gateway.stand import token_of

WHY = ("--reason", "a test")
Run = Callable[..., Awaitable[Ended]]


@pytest.fixture
async def run(cli: Cli, books_url: str, tmp_path: Path) -> AsyncIterator[Run]:
    """Run the command as the holder of somebody's token."""
    async with gateway_at(books_url, "127.0.0.1:1", tmp_path) as gateway:
        await gateway.books.open_accounts(
            [*rail_accounts("simulator", ["EUR"]), wallet_account("wallet/acme/EUR", "main")]
        )
        url = f"http://127.0.0.1:{gateway.port}"

        async def run_as(name: str, *arguments: str) -> Ended:
            cli.connect(gateway_url=url, token=token_of(name), temporal_address="127.0.0.1:1")
            return await asyncio.to_thread(cli, *arguments)

        yield run_as


async def test_a_rail_is_paused_shown_and_resumed(run: Run) -> None:
    on = ("--partner", "simulator", "--by", "ana", *WHY)
    paused = await run("operator", "pause", *on)
    assert paused.code == ExitCode.OK, paused
    assert "partner simulator paused" in paused.out
    assert (await run("operator", "pause", *on, "--json")).json == {"outcome": "paused_already"}
    shown = await run("reader", "rails")
    for expected in ("simulator", "paused", "operator for ana", "a test"):
        assert expected in shown.out
    assert "transfers" not in shown.out, "none waits"
    (pause,) = (await run("reader", "rails", "--json")).json["pauses"]
    assert (pause["paused_by"], pause["paused_for"]) == ("operator", "ana")
    refused = await run("creator", "resume", *on, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (
        ExitCode.NOT_AUTHORISED,
        "not_authorised",
    )
    assert "Somebody else has paused this" in refused.err
    assert (await run("operator", "resume", *on, "--json")).json == {"outcome": "resumed"}
    assert (await run("reader", "rails", "--json")).json["pauses"] == []


async def test_limits_are_set_listed_and_ended_and_people_disabled(run: Run) -> None:
    limit = ("--currency", "EUR", "--partner", "simulator")
    bounds = ("--per-payment", "9000.00", "--per-day", "250000.00")
    assert (await run("root", "limits", "set", *limit, *bounds, *WHY)).code == ExitCode.OK
    listed = await run("reader", "limits", "list")
    for expected in ("EUR", "simulator", "9,000.00", "250,000.00", "root"):
        assert expected in listed.out
    (cap,) = (await run("reader", "limits", "list", "--json")).json["limits"]
    assert (cap["per_payment_minor"], cap["per_day_minor"]) == (9000_00, 250_000_00)
    assert "ended" in (await run("root", "limits", "end", *limit, *WHY)).out
    assert "No limits are set" in (await run("reader", "limits", "list")).out
    disabled = await run("root", "people", "disable", "ana", *WHY, "--json")
    assert disabled.json == {"outcome": "disabled"}
    weak = await run("operator", "people", "disable", "ben", *WHY)
    assert weak.code == ExitCode.NOT_AUTHORISED


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pause", *WHY), "give one of --partner"),
        (("pause", "--all", "--currency", "EUR", *WHY), "give one of --partner"),
        (("pause", "--currency", "eur", *WHY), "the name: "),
        (("pause", "--partner", "", *WHY), "name the partner"),
        (("pause", "--all"), "--reason"),
        (("resume", "--all", "--by", "\x07", *WHY), "--by: "),
        (("limits", "set", "--currency", "EUR", *WHY), "give --per-payment, --per-day or both"),
        (("limits", "set", "--currency", "EUR", "--per-day", "1,5", *WHY), "--per-day: "),
        (("limits", "set", "--currency", "XXX", "--per-day", "1", *WHY), "--per-day: "),
        (("people", "disable", "", *WHY), "the name: "),
    ],
    ids=str,
)
def test_a_mistake_is_told_and_nothing_is_asked(
    cli: Cli, arguments: tuple[str, ...], says: str
) -> None:
    ended = cli.here(*arguments)
    assert ended.code == ExitCode.INVALID, ended
    assert says in ended.err
    assert "Traceback" not in ended.err


async def test_a_name_that_the_books_do_not_know_is_told(run: Run) -> None:
    ended = await run("operator", "pause", "--partner", "simulater", *WHY)
    assert ended.code == ExitCode.INVALID
    assert "know nothing of that name" in ended.err
