"""A worker may die after any of its calls: the payout ends right, and is paid once."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.rules import Delays, Rules
from activities.terms import Opened, Opening, Question, Standing
from bursar import PaymentState
from bursar.payments import FINAL
from bursar.reports import NotFound, NotSent, Paid, Rejected, RejectionCode, Report, Unknown
from ledger.books import Books
from ledger.postgres import PostgresBooks
from partners.port import Attempt, Guarantees, Partner
from tests.ledger.driving import ACME, BANK, Driver
from tests.payments import a_payout

pytestmark = pytest.mark.faults

S = PaymentState
RUNS_MAX = 60
"""Runs of activities in which any payout must have come to its end."""
RULES = Rules(delays=Delays(ask_again_after=(0.001,) * 20, ask_for=0, resends_max=8))


class WorkerDied(Exception):
    """The call has done its work, and nobody is there any more to hear of it."""


class Life:
    """How many calls a worker makes before it dies."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def spend(self) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise WorkerDied


class Mortal:
    """Something that a worker calls; each call is made whole, and may be the worker's last."""

    def __init__(self, inner: object, life: Life) -> None:
        self._inner = inner
        self._life = life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name == "render":
            return found

        async def call(*arguments: Any) -> Any:
            answer = await found(*arguments)
            self._life.spend()
            return answer

        return call


class ScriptedBank:
    """A bank whose answers to submits are given, the last for ever; asked, it tells the truth."""

    name = BANK

    def __init__(self, script: Sequence[str], *, honours_keys: bool) -> None:
        self._script = list(script)
        self._honours_keys = honours_keys
        self.debits = 0
        self.guarantees = Guarantees(
            key_lifetime=timedelta(days=1) if honours_keys else None,
            replays_failures=False,
            finds_by_reference=True,
            absence_after=timedelta(),
            throttled_is_not_processed=True,
            cancels_pending=False,
            sends_events=False,
            currencies=frozenset({"EUR"}),
            beneficiaries=frozenset({"iban"}),
            rate_per_second=1_000,
        )

    def render(self, attempt: Attempt) -> bytes:
        return attempt.model_dump_json().encode()

    async def submit(self, _attempt: Attempt) -> Report:
        if self.debits and self._honours_keys:
            return Paid(partner_ref="b-1")
        match self._script.pop(0) if len(self._script) > 1 else self._script[0]:
            case "not sent":
                return NotSent(evidence="refused")
            case "swallowed":
                return Unknown(evidence=f"cut off, {len(self._script)}")
            case "rejected":
                return Rejected(code=RejectionCode.ACCOUNT_CLOSED)
            case "answer lost":
                self.debits += 1
                return Unknown(evidence="cut off after all")
            case _:
                self.debits += 1
                return Paid(partner_ref="b-1")

    async def find(self, _attempt: Attempt) -> Report:
        return Paid(partner_ref="b-1") if self.debits else NotFound(evidence="404")


SCRIPTS = {
    "at once": ["taken"],
    "never left, then taken": ["not sent", "taken"],
    "answer lost": ["answer lost"],
    "swallowed, then taken": ["swallowed", "taken"],
    "swallowed twice, then taken": ["swallowed", "swallowed", "taken"],
    "swallowed, then answer lost": ["swallowed", "answer lost"],
    "swallowed, then refused": ["swallowed", "rejected"],
}


@dataclass
class World:
    """The books and the bank's script, in which one payout after another is tried."""

    books: PostgresBooks
    script: Sequence[str]
    honours_keys: bool

    async def pay_out(self, life: Life) -> tuple[PaymentState, int]:
        """Do for a payout what its workflow does; return its end and the bank's debits."""
        bank = ScriptedBank(self.script, honours_keys=self.honours_keys)
        partners = {BANK: cast(Partner, Mortal(bank, life))}
        request = a_payout()
        opening = Opening(payment_id=request.id, request=request.model_dump(mode="json"))
        opened = await PaymentActivities(self.books, partners, RULES).open_payout(opening)
        assert isinstance(opened, Opened)
        calls = RailActivities(cast(Books, Mortal(self.books, life)), partners)

        async def ask(payment_id: str) -> Standing:
            return await calls.ask(Question(payment_id=payment_id))

        state = opened.standing.state
        for _ in range(RUNS_MAX):
            if state in FINAL or state is S.IN_REVIEW:
                return state, bank.debits
            step = {S.OUTCOME_UNKNOWN: ask, S.SUBMITTED: calls.poll}.get(state, calls.submit)
            state = await until_it_answers(step, request.id)
        raise AssertionError(f"the payout is still {state}")


async def until_it_answers(
    step: Callable[[str], Awaitable[Standing]], payment_id: str
) -> PaymentState:
    """Run an activity again and again, as Temporal does, but without its pauses."""
    for tries in range(1, RUNS_MAX):
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, attempt=tries)
        try:
            standing: Standing = await environment.run(step, payment_id)
        except WorkerDied:
            continue
        except ApplicationError as error:
            if error.type != "TryAgain":
                raise
        else:
            return standing.state
    raise AssertionError(f"{step} never came to an answer")


@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_payout_is_paid_once_whichever_call_is_the_workers_last(
    books_url: str, script: str, honours_keys: bool
) -> None:
    async with PostgresBooks.open(books_url) as books:
        driver = Driver(books)
        await driver.open_accounts()
        await driver.deposit(ACME, 1_000_000_00)
        world = World(books, SCRIPTS[script], honours_keys)
        for calls in range(1, 1_000):
            life = Life(calls)
            state, debits = await world.pay_out(life)
            end = S.FAILED if SCRIPTS[script][-1] == "rejected" else S.SETTLED
            allowed = {(end, int(end is S.SETTLED))}
            if not honours_keys:  # absence alone never allows to send again: a person decides
                allowed.add((S.IN_REVIEW, 0))
            assert (state, debits) in allowed, f"died after {calls} calls"
            if life.calls > 0:
                break
        assert calls > 5, "a payout takes more calls than that"
