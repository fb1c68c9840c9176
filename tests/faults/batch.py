"""A hundred payouts, some of which the bank treats badly, and what must be true of them after."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bursar import Bursar, PaymentState, PayoutRequest
from bursar.errors import PaymentConflict, ServiceUnavailable
from bursar.ids import attempt_key
from bursar.names import workflow_id
from bursar.payments import FINAL, content_hash
from tests.faults.site import Site
from tests.payments import a_payout

S = PaymentState
AT_ONCE = 16

PLAIN = ""


@dataclass(frozen=True)
class Sort:
    """Payouts of one sort: how many, and how they must end whatever is killed."""

    marker: str
    number: int
    state: PaymentState = S.SETTLED
    debits: int = 1


HUNDRED = (
    Sort(PLAIN, 42),
    Sort("reset-after-booking", 6),
    Sort("reset-before-booking", 4),
    Sort("timeout-after-booking", 6),
    Sort("500-without-booking", 6),
    Sort("500-after-booking", 4),
    Sort("200-truncated", 4),
    Sort("not-found-for-a-while", 4),
    Sort("webhook-lost", 6),
    Sort("webhook-late", 4),
    Sort("webhook-before-reply", 2),
    Sort("paid-then-returned", 6, S.RETURNED),
    Sort("reject", 3, S.FAILED, 0),
    Sort("accepted-then-failed", 3, S.FAILED, 0),
)


@dataclass
class Batch:
    """Payouts that are sent together, by a backend that repeats until it has an answer."""

    site: Site
    sorts: tuple[Sort, ...] = HUNDRED
    late: int = 0
    """How many are sent only when `killed` is set, that is, while something is down."""
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: set[str] = field(default_factory=set)
    name: str = field(default_factory=lambda: f"batch-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        ranks = [(place / sort.number, sort) for sort in self.sorts for place in range(sort.number)]
        mixed = [sort for _, sort in sorted(ranks, key=lambda rank: rank[0])]
        self.requests: dict[str, PayoutRequest] = {}
        self.ends: dict[str, Sort] = {}
        for place, sort in enumerate(mixed):
            marker = f"[sim:{sort.marker}]" if sort.marker else ""
            request = a_payout(marker, amount_minor=1_000 + place)
            request = request.model_copy(update={"batch_id": self.name})
            self.requests[request.id] = request
            self.ends[request.id] = sort

    async def send(self) -> None:
        """Send every payout, again and again until it is acknowledged."""
        requests = list(self.requests.values())
        at_once = len(requests) - self.late
        await self._send(requests[:at_once])
        if self.late:
            await self.killed.wait()
            await self._send(requests[at_once:])

    async def _send(self, requests: Sequence[PayoutRequest]) -> None:
        bursar = await self._bursar()
        gate = asyncio.Semaphore(AT_ONCE)

        async def send_one(request: PayoutRequest) -> None:
            async with gate:
                while request.id not in self.acknowledged:
                    try:
                        await bursar.pay_out(request)
                    except ServiceUnavailable:
                        await asyncio.sleep(0.1)
                    else:
                        self.acknowledged.add(request.id)

        await asyncio.gather(*map(send_one, requests))

    async def _bursar(self) -> Bursar:
        while True:
            try:
                return await self.site.house.bursar()
            except ServiceUnavailable:
                await asyncio.sleep(0.1)

    async def states(self) -> dict[str, PaymentState]:
        """Return what the register says of each payout that it has."""
        query = "SELECT id, state FROM payments WHERE batch_id = $1"
        return {row["id"]: S(row["state"]) for row in await self.site.rows(query, self.name)}

    async def past_reserved(self, number: int) -> None:
        """Wait until so many have gone past `reserved`, and make sure that others have not ended.

        That is the middle, in which something is to be killed.
        """

        async def enough() -> bool:
            states = await self.states()
            return sum(state is not S.RESERVED for state in states.values()) >= number

        await self.site.until(f"{number} payouts are past `reserved`", enough)
        ended = sum(state in FINAL for state in (await self.states()).values())
        assert ended < len(self.requests), "all had ended before anything was killed"

    async def ended(self) -> None:
        """Wait until every payout has ended as it must, and say which ones have not."""
        wrong: dict[str, str] = {}

        async def all_right() -> bool:
            wrong.clear()
            states = await self.states()
            for payment_id, sort in self.ends.items():
                state = states.get(payment_id)
                if state is not sort.state:
                    wrong[payment_id] = f"{sort.marker or 'plain'}: {state}"
            return not wrong

        try:
            await self.site.until("all payouts have ended as they must", all_right)
        except AssertionError as error:
            raise AssertionError(f"{error}: {wrong}") from None

    async def nothing_is_lost_or_doubled(self) -> None:
        """Assert by the bank's book, the database and Temporal that each was paid as it must."""
        assert self.acknowledged == set(self.requests)
        await self.ended()
        await self.site.house.quiet()
        await self._the_bank_paid_each_once()
        await self._the_books_say_the_same()
        await self._temporal_has_one_closed_run_each()
        await self._the_same_again_starts_nothing()
        await self.site.house.agrees()

    async def _the_bank_paid_each_once(self) -> None:
        debits = await self.site.debits()
        assert {i: debits[i] for i in self.ends} == {i: e.debits for i, e in self.ends.items()}

    async def _the_books_say_the_same(self) -> None:
        """Each payout has one attempt, one hold, and left the bank's account as often as there."""
        attempts = await self.site.rows(
            "SELECT a.key FROM attempts a JOIN payments p ON p.id = a.payment_id"
            " WHERE p.batch_id = $1",
            self.name,
        )
        assert sorted(row["key"] for row in attempts) == sorted(
            attempt_key(payment_id, 1) for payment_id in self.requests
        )
        booked = await self.site.rows(
            "SELECT t.payment_id, t.kind FROM transactions t JOIN payments p ON p.id = t.payment_id"
            " WHERE p.batch_id = $1 AND t.outcome = 'booked'"
            " AND EXISTS (SELECT FROM entries e WHERE e.transaction_id = t.id)",
            self.name,
        )
        kinds = Counter((row["payment_id"], row["kind"]) for row in booked)
        assert set(kinds.values()) == {1}, "a step was booked twice"
        for payment_id, sort in self.ends.items():
            assert kinds[payment_id, "hold"] == 1
            assert kinds[payment_id, "settle"] == sort.debits
            assert kinds[payment_id, "return"] == (sort.state is S.RETURNED)

    async def _temporal_has_one_closed_run_each(self) -> None:
        runs = await self.site.workflows()
        for payment_id in self.requests:
            assert runs[workflow_id(payment_id)] == ["COMPLETED"]
        assert {end for ends in runs.values() for end in ends} == {"COMPLETED"}

    async def _the_same_again_starts_nothing(self) -> None:
        bursar = await self._bursar()
        again = await asyncio.gather(*map(bursar.pay_out, self.requests.values()))
        assert all(handle.existed for handle in again)
        request = next(iter(self.requests.values()))
        other = request.model_copy(update={"reference": "Invoice 8"})
        assert content_hash(other) != content_hash(request)
        with pytest.raises(PaymentConflict):
            await bursar.pay_out(other)
