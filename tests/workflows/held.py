"""A bank whose every answer waits for the test, and workers that stop while messages arrive."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from bursar.reports import Accepted, NotFound, Paid, Rejected, RejectionCode, Report, Unknown
from partners.port import Attempt, Guarantees


@dataclass
class Script:
    """What the bank says of one payout, and from when on."""

    reply: str = "accepted"
    """To the submit: accepted, paid, rejected, unknown (taken, and the answer is lost)."""
    found: str = "truth"
    """To a look-up: truth, or unknown for ever."""
    may_reply: asyncio.Event = field(default_factory=asyncio.Event)
    may_find: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first look-up has come."""
    book: str = "nothing"
    """What is true at the bank: nothing, accepted, paid, rejected, cancelled."""


class HeldBank:
    """A rail that a test holds up; what it says later is what its own book says then."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.scripts: dict[str, Script] = {}
        self.sends: Counter[str] = Counter()
        self.guarantees = Guarantees(
            key_lifetime=timedelta(days=1),
            replays_failures=False,
            finds_by_reference=True,
            absence_after=timedelta(),
            throttled_is_not_processed=True,
            cancels_pending=True,
            sends_events=True,
            currencies=frozenset({"EUR"}),
            beneficiaries=frozenset({"iban"}),
            rate_per_second=10_000,
        )

    def render(self, attempt: Attempt) -> bytes:
        return attempt.model_dump_json().encode()

    async def submit(self, attempt: Attempt) -> Report:
        script = self.scripts[attempt.payment_id]
        self.sends[attempt.payment_id] += 1
        script.book = script.reply if script.reply in {"paid", "rejected"} else "accepted"
        await script.may_reply.wait()
        if script.reply == "unknown":
            return Unknown(evidence="the answer was lost")
        return self._truth(attempt)

    async def find(self, attempt: Attempt) -> Report:
        script = self.scripts[attempt.payment_id]
        script.asked.set()
        await script.may_find.wait()
        return Unknown(evidence="no answer") if script.found == "unknown" else self._truth(attempt)

    async def cancel(self, attempt: Attempt) -> Report:
        script = self.scripts[attempt.payment_id]
        if script.book == "accepted":
            script.book = "cancelled"
        return self._truth(attempt)

    def _truth(self, attempt: Attempt) -> Report:
        ref = f"b-{attempt.key}"
        match self.scripts[attempt.payment_id].book:
            case "nothing":
                return NotFound(evidence="404")
            case "accepted":
                return Accepted(partner_ref=ref)
            case "paid":
                return Paid(partner_ref=ref)
            case "cancelled":
                return Rejected(code=RejectionCode.CANCELLED, partner_ref=ref)
            case _:
                return Rejected(code=RejectionCode.ACCOUNT_CLOSED, partner_ref=ref)
