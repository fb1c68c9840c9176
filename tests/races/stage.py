"""The stage of the races: two workers' activities on one database, and a bank that counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from random import Random
from typing import Any, cast

import asyncpg
from temporalio.exceptions import ApplicationError

from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.rules import ApprovalRule, Delays, Person, Rules
from activities.terms import Opened, Opening, Question, Standing, Wish
from bursar import Money, PaymentState, PayoutRequest, TransferRequest, Verdict
from bursar.actions import Answer, Approve, Cancel, Deny
from bursar.errors import ContentConflict
from bursar.reports import NotFound, Paid, Report
from ledger import accounts, postings
from ledger.changes import Change
from ledger.postgres import PostgresBooks
from partners.port import Attempt, Guarantees, Partner

S = PaymentState
V = Verdict
BANK = "bank"
FREE, ONE, TWO = 10_00, 1_000_00, 5_000_00
"""Amounts that need nobody's approval, one person's, and two people's."""
DELAYS_SECONDS_MAX = (0.0, 0.004, 0.03)
"""A racer's delay is below one of these: the dead heat, the near miss, and a whole step late."""
RULES = Rules(
    trust_signal_actors=True,
    approvals=(
        ApprovalRule(number=1, role="approve-l1", amount_from_minor=ONE),
        ApprovalRule(number=2, role="approve-l1", amount_from_minor=TWO),
    ),
    people=tuple(Person(name=name, roles=frozenset({"approve-l1"})) for name in ("ana", "ben")),
    delays=Delays(ask_again_after=(0.001,) * 40, ask_for=0),
)
"""The creator of every payment here, "maker", has the role too: by a token of the gateway's."""


class CountingBank:
    """A bank that pays at once, keeps its promises, and keeps a book of what it was sent."""

    name = BANK

    def __init__(self) -> None:
        self.sends: Counter[str] = Counter()
        self.debits: dict[str, int] = {}
        self.guarantees = Guarantees(
            key_lifetime=timedelta(days=1),
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

    async def submit(self, attempt: Attempt) -> Report:
        self.sends[attempt.payment_id] += 1
        self.debits.setdefault(attempt.key, attempt.amount.amount_minor)
        await asyncio.sleep(0)
        return Paid(partner_ref=f"b-{attempt.key}")

    async def find(self, attempt: Attempt) -> Report:
        found = attempt.key in self.debits
        return Paid(partner_ref=f"b-{attempt.key}") if found else NotFound(evidence="404")

    def paid(self, payment_id: str) -> list[int]:
        """Return the amounts that were booked for a payment, over all of its attempts."""
        return [n for key, n in self.debits.items() if key.rpartition("-")[0] == payment_id]


@dataclass
class Side:
    """One worker: its own connections and scribe, and the activities on them."""

    books: PostgresBooks
    bank: CountingBank

    def __post_init__(self) -> None:
        partners = cast(dict[str, Partner], {BANK: self.bank})
        self.payments = PaymentActivities(self.books, partners, RULES)
        self.rails = RailActivities(self.books, partners)

    async def open(self, request: PayoutRequest | TransferRequest) -> Opened | Any:
        """Open a payment as its workflow's first step does, again where another is opening it."""
        opening = Opening(payment_id=request.id, request=request.model_dump(mode="json"))
        transfer = isinstance(request, TransferRequest)
        step = self.payments.open_transfer if transfer else self.payments.open_payout
        while True:
            try:
                return await step(opening)
            except ContentConflict:  # not committed yet, whatever it is: Temporal asks again
                await asyncio.sleep(0.001)

    async def act(
        self, payment_id: str, action: Approve | Cancel | Deny, channel: str = "signal"
    ) -> tuple[Answer, PaymentState]:
        """Have a wish judged; return its answer and where the payment stood then."""
        acted = await self.payments.act(Wish(payment_id=payment_id, action=action, channel=channel))
        return acted.answer, acted.standing.state

    async def hand_over(self, payment_id: str) -> PaymentState:
        """Submit, and ask while nobody knows, as the workflow does; return where it ended."""
        standing = await until_it_answers(lambda: self.rails.submit(payment_id))
        while standing.state in {S.SUBMITTING, S.OUTCOME_UNKNOWN}:
            step = self._ask if standing.state is S.OUTCOME_UNKNOWN else self.rails.submit
            standing = await until_it_answers(partial(step, payment_id))
        return standing.state

    async def _ask(self, payment_id: str) -> Standing:
        return await self.rails.ask(Question(payment_id=payment_id))


async def until_it_answers(step: Callable[[], Awaitable[Standing]]) -> Standing:
    """Run an activity again while it asks for that, as Temporal does."""
    while True:
        try:
            return await step()
        except ApplicationError as error:
            if error.type != "TryAgain":
                raise
            await asyncio.sleep(0.001)


@dataclass
class Stage:
    """Everything that a race needs."""

    left: Side
    right: Side
    bank: CountingBank
    watcher: asyncpg.Pool
    """Reads what came of it with connections and queries that are not the platform's."""
    funded: set[str] = field(default_factory=set)

    async def fund(self, owner: str, amount_minor: int) -> str:
        """Open a wallet with exactly this much in it; return its account."""
        account = accounts.wallet(owner, "EUR")
        await self.left.books.open_accounts([accounts.wallet_account(account, "main")])
        await self.left.books.write(
            Change(
                key=f"deposit/{owner}",
                kind="deposit",
                actor="test",
                effective_on=date(2026, 3, 2),
                legs=postings.deposit(account, BANK, "EUR", amount_minor=amount_minor),
                evidence_id=f"line/{owner}",
            )
        )
        return account

    async def path(self, payment_id: str) -> list[str]:
        """Return the states that a payment went through, by the register's own rows."""
        rows = await self.watcher.fetch(
            "select after from transitions where payment_id = $1 order by seq", payment_id
        )
        return [row["after"] for row in rows]

    async def money_left_held(self) -> int:
        """Return how much is held on any account, and fail where a hold is neither used nor free.

        Every payment of a race ends, so that nothing may be left.
        """
        open_holds: int = await self.watcher.fetchval(
            "select count(*) from holds where captured + released <> amount"
        )
        assert open_holds == 0, f"{open_holds} holds were left open"
        return int(await self.watcher.fetchval("select coalesce(sum(abs(held)), 0) from balances"))


@asynccontextmanager
async def open_stage(books_url: str) -> AsyncIterator[Stage]:
    """Open two workers' books on one migrated database, with a rail and a rich customer."""
    async with AsyncExitStack() as stack:
        left, right = [
            await stack.enter_async_context(PostgresBooks.open(books_url)) for _ in range(2)
        ]
        watcher = await asyncpg.create_pool(books_url, min_size=1, max_size=4)
        stack.push_async_callback(watcher.close)
        bank = CountingBank()
        stage = Stage(Side(left, bank), Side(right, bank), bank, watcher)
        await left.open_accounts(accounts.rail_accounts(BANK, ["EUR"]))
        await stage.fund("acme", 10**15)
        await left.open_accounts(
            [accounts.wallet_account(accounts.wallet("zenith", "EUR"), "main")]
        )
        yield stage


async def together(rng: Random, *racers: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Start every racer at one moment, each after a tiny delay of its own; return what each got."""
    barrier = asyncio.Barrier(len(racers))

    async def run(racer: Callable[[], Awaitable[Any]], delay: float) -> Any:
        await barrier.wait()
        await asyncio.sleep(delay)
        return await racer()

    delays = [rng.uniform(0, rng.choice(DELAYS_SECONDS_MAX)) for _ in racers]
    order = rng.sample(range(len(racers)), len(racers))
    tasks = {n: asyncio.create_task(run(racers[n], delays[n])) for n in order}
    return [await tasks[n] for n in range(len(racers))]


def amount(minor: int) -> Money:
    return Money(amount_minor=minor, currency="EUR")
