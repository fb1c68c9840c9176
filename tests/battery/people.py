"""People: two who look into a bank's own book and say what became of a payment."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import httpx

from tests.battery.evidence import truth_of
from tests.battery.installation import Installation

DECIDERS = ("ana", "ben")
LOOK_EVERY_SECONDS = 1.0
SURE_AFTER_SECONDS = 15.0
"""Longer than any line holds a request back or any process stays frozen: then nothing can come
any more of what was sent, and what the bank does not have, it never will."""

WAITING = """
select p.id, a.key, a.partner, p.state from payments p join attempts a on a.payment_id = p.id
 where p.state = 'in_review'
    or p.state = 'submitted' and exists (
        select from cases c where c.payment_id = p.id and c.closed_at is null)
"""


class People:
    """Resolves what waits for a decision, with true evidence, for as long as the run lasts."""

    def __init__(self, site: Installation) -> None:
        self._site = site
        self._since: dict[str, float] = {}
        self._thawed = time.monotonic()
        self.resolved: set[str] = set()

    def frozen(self) -> None:
        """Hear that a process is or was frozen: what it was about to send may still come."""
        self._thawed = time.monotonic()

    async def work(self) -> None:
        """Look again and again at what waits."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            while True:
                try:
                    for row in await self._site.rows(WAITING):
                        await self._decide(http, row)
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                    pass  # the database is down: later
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _decide(self, http: httpx.AsyncClient, row: Any) -> None:
        now = time.monotonic()
        since = self._since.setdefault(row["id"], now)
        if now - max(since, self._thawed) < SURE_AFTER_SECONDS:
            return
        file = self._site.bank_file(row["partner"])
        truths = await asyncio.to_thread(truth_of, file, row["key"])
        if "pending" in truths:
            return  # the bank has not decided it either
        paid = {"paid", "returned"} & set(truths)
        body = {
            "outcome": "paid" if paid else "never_moved",
            "evidence": f"the bank's own book, {row['key']}: {truths or 'nothing'}",
        }
        for number, person in enumerate(DECIDERS):
            url = self._site.gateway_urls[number % len(self._site.gateway_urls)]
            try:
                answer = await http.post(
                    f"{url}/v1/payments/{row['id']}/resolve",
                    json=body,
                    headers={"Authorization": f"Bearer {person}-token"},
                )
            except httpx.HTTPError:
                return  # again, when the gateway is up
            if answer.is_success and answer.json()["verdict"] == "resolved":
                self.resolved.add(row["id"])
