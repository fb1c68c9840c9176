"""A transfer between two shards of the books: two postings through money in transit.

Each shard is a PostgreSQL with books of its own. What leaves one shard for another waits there in
`transit/to/<other>`, a debt of the shard; what arrived is in `transit/from/<other>`, a claim on
it. Once nothing is on its way the two are the same amount, so over both shards they sum to zero.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from ledger import accounts
from ledger.books import AccountToOpen
from ledger.changes import Change, Leg, Written

QUEUE = "crossings"
CURRENCY = "EUR"
ACTOR = "service:shards"

T = TypeVar("T")


class Crossing(BaseModel):
    """What is to move, and between which wallets of which shards; `id` is the workflow's too."""

    id: str
    source: str
    source_wallet: str
    target: str
    target_wallet: str
    amount_minor: int
    value_date: date


class End(StrEnum):
    """How a crossing ends."""

    ARRIVED = "arrived"
    REFUSED = "refused"
    """The source had too little: nothing has moved."""
    GIVEN_BACK = "given_back"
    """The target takes nothing any more: the source has its money again."""


def transit_to(other: str) -> AccountToOpen:
    """Return the account of what is on its way to another shard, or has arrived there."""
    return AccountToOpen(
        path=f"transit/to/{other}/{CURRENCY}",
        kind=accounts.LIABILITY,
        currency=CURRENCY,
        floor_minor=0,
    )


def transit_from(other: str) -> AccountToOpen:
    """Return the account of what has arrived from another shard."""
    return AccountToOpen(
        path=f"transit/from/{other}/{CURRENCY}",
        kind=accounts.ASSET,
        currency=CURRENCY,
        floor_minor=0,
    )


class Shard(Protocol):
    """The books of one shard, as far as a crossing needs them."""

    async def write(self, change: Change) -> Written:
        """Write a change once, however often it is sent."""
        ...


class ShardSteps:
    """The steps on the books; each writes on one shard, and is safe to repeat."""

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        self._shards = shards

    @activity.defn
    async def take_out(self, crossing: Crossing) -> bool:
        """Take the money out of its wallet, and tell whether there was enough."""
        written = await self._move(
            crossing, "out", crossing.source, crossing.source_wallet, transit_to(crossing.target)
        )
        return written.refusal is None

    @activity.defn
    async def bring_in(self, crossing: Crossing) -> bool:
        """Put the money into its wallet, and tell whether the wallet takes it."""
        written = await self._move(
            crossing, "in", crossing.target, transit_from(crossing.source), crossing.target_wallet
        )
        return written.refusal is None

    @activity.defn
    async def give_back(self, crossing: Crossing) -> None:
        """Put the money back where it came from."""
        written = await self._move(
            crossing, "back", crossing.source, transit_to(crossing.target), crossing.source_wallet
        )
        if (
            written.refusal is not None
        ):  # its own wallet is closed: for people, with money in transit
            raise RuntimeError(f"{crossing.id} cannot be given back: {written.refusal}")

    async def _move(
        self,
        crossing: Crossing,
        step: str,
        shard: str,
        debited: str | AccountToOpen,
        credited: str | AccountToOpen,
    ) -> Written:
        amount = crossing.amount_minor
        return await self._shards[shard].write(
            Change(
                key=f"{crossing.id}/{step}",
                kind="transfer",
                actor=ACTOR,
                effective_on=crossing.value_date,
                legs=(
                    Leg(account=_path(debited), currency=CURRENCY, delta=-amount),
                    Leg(account=_path(credited), currency=CURRENCY, delta=amount),
                ),
            )
        )


def _path(account: str | AccountToOpen) -> str:
    return account if isinstance(account, str) else account.path


@workflow.defn
class Cross:
    """Move money from one shard to another, or give it back; it never ends in between."""

    @workflow.run
    async def run(self, crossing: Crossing) -> End:
        """Take out, bring in; a shard that does not answer is asked until it does."""
        if not await self._step(ShardSteps.take_out, crossing):
            return End.REFUSED
        if await self._step(ShardSteps.bring_in, crossing):
            return End.ARRIVED
        await self._step(ShardSteps.give_back, crossing)
        return End.GIVEN_BACK

    async def _step(
        self, step: Callable[[ShardSteps, Crossing], Awaitable[T]], crossing: Crossing
    ) -> T:
        return await workflow.execute_activity_method(
            step,
            crossing,
            start_to_close_timeout=timedelta(seconds=5),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=1)
            ),
        )
