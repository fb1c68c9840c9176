"""The random mix: the same for the same seed, as often as asked for, and never a second payment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from partners.simulator import bank as bank_package
from partners.simulator.bank.misbehaviour import GROUP_OF, GROUPS, checked_mix, drawn, marked
from tests.bank.conftest import StartBank
from tests.bank.process import BankProcess, order, until

EVEN = {name: 0.9 / len(GROUPS[group]) for name, group in GROUP_OF.items()}
"""Every misbehaviour, equally often within its group."""


def test_the_same_seed_draws_the_same_and_another_seed_does_not() -> None:
    references = [f"po_{number}-1" for number in range(200)]
    first, again, other = (
        [drawn(EVEN, seed, reference) for reference in references] for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_each_misbehaviour_is_drawn_about_as_often_as_its_probability_says() -> None:
    mix = {"reject": 0.1, "500-after-booking": 0.3, "webhook-lost": 0.5}
    draws = [drawn(mix, 1, f"po_{number}-1") for number in range(4000)]
    for name, probability in mix.items():
        share = sum(name in one.names() for one in draws) / len(draws)
        assert abs(share - probability) < 0.04
    assert {name for one in draws for name in one.names()} == set(mix)
    assert any(len(one.names()) == 2 for one in draws)


def test_every_misbehaviour_can_be_drawn_and_marked() -> None:
    checked_mix(EVEN)
    seen = {name for n in range(5000) for name in drawn(EVEN, 1, f"po_{n}-1").names()}
    assert seen == set(GROUP_OF)
    for name in GROUP_OF:
        found = marked(f"Invoice 7 [sim:{name}]")
        assert found is not None
        assert found.names() == [name]
    assert marked("Invoice [7]", "Ana") is None


def test_every_misbehaviour_is_published_in_its_group_and_nothing_else_is() -> None:
    page = Path(bank_package.__file__).with_name("README.md").read_text()
    chapter = page.partition("## Misbehaviour")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in chapter.splitlines() if line.startswith("| `")]
    published = [name.strip().strip("`") for row in rows for name in row.split(",")]
    assert published == [name for names in GROUPS.values() for name in names]


def outcomes(bank: BankProcess, count: int) -> dict[str, object]:
    """Ask for payouts as a patient client does, and return what the bank did with each."""
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(partial(settle, bank), [f"po_mix{n}-1" for n in range(count)]))
    state = bank.wait_until_steps_are_done()
    mistaken = [ref for ref, told in state["references"].items() if _is_paid_twice(told)]
    assert state["doubled"] == mistaken
    return {
        reference: (told["misbehaviours"], told["status"], told["debits"])
        for reference, told in state["references"].items()
    }


def _is_paid_twice(told: dict[str, Any]) -> bool:
    """Tell whether the bank has doubled a payout by its own mistake, which no key prevents."""
    return "paid-twice" in told["misbehaviours"] and bool(told["debits"])


def settle(bank: BankProcess, reference: str) -> None:
    """Send one payout again and again until the bank gives a definite answer."""

    def definite() -> bool:
        try:
            reply = bank.pay(order(reference), timeout=0.4)
        except httpx.TransportError:
            return False
        if reply.status_code == 422:
            return True
        return reply.status_code == 201 and reply.json()["amount_minor"] == 1250

    until(definite)


def test_a_client_that_repeats_its_key_never_makes_the_bank_pay_twice_whatever_the_mix_does(
    start_bank: StartBank,
) -> None:
    mixes = [start_bank(SEED=seed, SLOW_SECONDS="0.1", HOLD_SECONDS="5") for seed in "778"]
    for bank in mixes:
        bank.tune(mix=EVEN)
    first, again, other = (outcomes(bank, 50) for bank in mixes)
    assert first == again
    assert first != other


def test_any_marker_keeps_the_mix_away(start_bank: StartBank) -> None:
    bank = start_bank()
    bank.tune(mix={"reject": 1.0})
    assert bank.pay(order("po_plain-1")).status_code == 422
    assert bank.pay(order("po_marked-1", "[sim:none]")).status_code == 201


@pytest.mark.parametrize(
    "text", ["[sim:]", "[sim: reject]", "[SIM:reject]", "sim:reject", "[sim:reject", "(sim:reject)"]
)
def test_text_that_only_resembles_a_marker_is_text(text: str) -> None:
    assert marked(text) is None
