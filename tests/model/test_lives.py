"""Lives with every fault there is break no rule, and a platform with a fault in it is found out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.calls import Call
from activities.rails import ABSENT, RailActivities
from activities.terms import Standing
from bursar.payments import PaymentState
from bursar.reports import Accepted, Paid, Rejected, RejectionCode
from ledger.changes import AttemptReopened
from tests.model.dice import Dice
from tests.model.life import Life, Rails

ROOT = Path(__file__).resolve().parents[2]
LIVES = int(os.environ.get("BURSAR_TEST_LIVES", "2000"))
S = PaymentState


def lived(seed: str, rails: Rails = RailActivities) -> list[str]:
    """Live one life and return what was wrong, with the life's script for its replay."""
    life = Life(Dice(seed=seed), rails)
    wrong = life.live()
    return [*wrong, f"script: {life.dice.script}", *life.trace] if wrong else []


@pytest.mark.parametrize("part", range(4))
def test_lives_with_crashes_and_lost_answers_break_no_rule(part: int) -> None:
    for number in range(part, LIVES, 4):
        assert not lived(f"suite/{number}"), f"suite/{number}"


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.integers(0, 23), max_size=160))
def test_no_script_that_hypothesis_writes_breaks_a_rule(script: list[int]) -> None:
    life = Life(Dice(script))
    assert life.live() == [], life.trace


def test_a_life_is_the_same_whenever_its_seed_or_script_is_played() -> None:
    for number in range(30):
        first = Life(Dice(seed=f"again/{number}"))
        again = Life(Dice(seed=f"again/{number}"))
        first.live()
        again.live()
        by_script = Life(Dice(first.dice.script))
        by_script.live()
        assert _steps(first) == _steps(again) == _steps(by_script)
        assert first.told
        assert [t.answer for t in first.told] == [t.answer for t in by_script.told]


def _steps(life: Life) -> list[str]:
    """Return what was done; leaps to a payment's deadline depend on when it was opened."""
    return [line for line in life.trace if not line.endswith(" pass")]


class SendsAgain(RailActivities):
    """Sends again where an answer was lost, without asking."""

    async def _after_a_lost_try(self, call: Call) -> Standing:
        report = await call.partner.submit(call.attempt)
        await self._calls.keep(call, "submit", report)
        if isinstance(report, Accepted | Paid | Rejected):
            return await self._conclude(call, "submit", report)
        return await self._unknown(call, "lost")


class BelievesOneMiss(RailActivities):
    """Takes the first "not found" for a proof, whatever the lag."""

    async def _ask_later(self, call: Call, report: Any) -> Standing:
        if report.kind != "not_found":
            return await super()._ask_later(call, report)
        reopened = AttemptReopened(key=call.attempt.key)
        return await self._move(call, "resend", S.SUBMITTING, ABSENT, attempt=reopened)


class TakesSilenceForNo(RailActivities):
    """Gives the money back when the partner's answer is lost."""

    async def _unknown(self, call: Call, reason: str) -> Standing:
        return await self._conclude(call, "submit", Rejected(code=RejectionCode.OTHER))


class NeverAsksPeople(RailActivities):
    """Leaves what it cannot find out where it is."""

    async def _review(self, call: Call) -> Standing:
        return Standing(payment_id=call.payment.id, state=S.OUTCOME_UNKNOWN)


@pytest.mark.parametrize(
    ("mutant", "found"),
    [
        (SendsAgain, ("INV-06", "INV-09", "INV-23")),  # of two payouts, one can be cancelled
        (BelievesOneMiss, ("INV-08",)),
        (TakesSilenceForNo, ("INV-23", "INV-09", "INV-10")),
        (NeverAsksPeople, ("liveness",)),
    ],
)
def test_a_platform_with_a_fault_in_it_is_found_out(
    mutant: type[RailActivities], found: tuple[str, ...]
) -> None:
    for number in range(3_000):
        wrong = lived(f"mutant/{number}", mutant)
        if wrong:
            assert any(line.startswith(found) for line in wrong), wrong
            return
    raise AssertionError(f"{mutant.__name__} lived 3000 lives, and no rule saw it")


def test_the_command_says_its_rate_and_ends_with_a_line() -> None:
    command = [sys.executable, "-m", "tests.model", "--lives", "40"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("40 lives of seed 1 in ")
    assert done.stdout.splitlines()[-1].endswith("; no lives broke a rule")
