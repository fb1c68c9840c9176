"""People: two who look into a bank's own book and say what became of a payment."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import httpx

from tests.battery.evidence import AWAY, ENDED, truth_of
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


SET_ASIDE = "select id from partner_events where set_aside_at is not null and applied_at is null"
"""Events that have failed too often, as the runbook has them: brought back once all is mended."""

CLOSABLE = f"""
select c.id, a.path as suspense, a.currency
  from cases c
  left join payments p on p.id = c.payment_id
  left join entries e on e.transaction_id = c.transaction_id
        and e.account_id in (select id from accounts where path like 'suspense/%')
  left join accounts a on a.id = e.account_id
 where c.closed_at is null
   and (p.id is null or p.state in ({ENDED}))
   and not (c.kind = 'event_set_aside' and exists ({SET_ASIDE}))
"""  # noqa: S608  our own names
"""Cases of payments that have ended: to be looked at and closed. Those of others end with them."""


class People:
    """Resolve what waits for a decision, with true evidence, and close the cases of the rest."""

    def __init__(self, site: Installation) -> None:
        self._site = site
        self._since: dict[str | int, float] = {}
        self._thawed = time.monotonic()
        self._asked: dict[str, set[str]] = {}
        """Who has spoken, heard or not, by what it was about."""
        self.alone: list[str] = []
        """What one of them has decided, and needs two."""
        self.resolved: set[str] = set()
        """Payments of which they have said what became of them."""
        self.closed: set[int] = set()
        """Cases that they have closed."""

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
                    await self._bring_back(http, await self._site.rows(SET_ASIDE))
                    for row in await self._site.rows(CLOSABLE):
                        await self._close(http, row)
                except AWAY:
                    pass  # the database is down: later
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def are_done(self) -> bool:
        """Tell whether no case is left that they can close."""
        return not await self._site.rows(CLOSABLE)

    def _is_sure(self, what: str | int) -> bool:
        """Tell whether something has waited for long enough to be judged."""
        now = time.monotonic()
        since = self._since.setdefault(what, now)
        return now - max(since, self._thawed) >= SURE_AFTER_SECONDS

    async def _decide(self, http: httpx.AsyncClient, row: Any) -> None:
        if not self._is_sure(row["id"]):
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
        path = f"payments/{row['id']}/resolve"
        if await self._both_say(http, path, body, needed=len(DECIDERS)):
            self.resolved.add(row["id"])

    async def _bring_back(self, http: httpx.AsyncClient, rows: list[Any]) -> None:
        """Have events tried again that were set aside: what kept them out was a fault."""
        waiting = [row["id"] for row in rows if self._is_sure(f"event {row['id']}")]
        if not waiting:
            return
        with contextlib.suppress(httpx.HTTPError):  # the gateway is down: later
            await http.post(
                f"{self._site.gateway_urls[0]}/v1/events/redrive",
                json={"ids": waiting},
                headers={"Authorization": "Bearer ops-token"},
            )

    async def _close(self, http: httpx.AsyncClient, row: Any) -> None:
        """Close a case; money in suspense is the house's loss until the bank gives it back."""
        if not self._is_sure(row["id"]):
            return
        body = {"evidence": "compared with the bank's own book"}
        if row["suspense"] is not None:
            body["to"] = f"loss/partner/{row['currency']}"
        people = 1 if row["suspense"] is None else len(DECIDERS)
        if await self._both_say(http, f"cases/{row['id']}/resolve", body, needed=people):
            self.closed.add(row["id"])

    async def _both_say(
        self, http: httpx.AsyncClient, path: str, body: dict[str, str], *, needed: int
    ) -> bool:
        """Have two people say the same, each at another gateway; tell whether that was enough."""
        asked = self._asked.setdefault(path, set())
        for number, person in enumerate(DECIDERS, start=1):
            url = self._site.gateway_urls[number % len(self._site.gateway_urls)]
            asked.add(person)
            try:
                answer = await http.post(
                    f"{url}/v1/{path}",
                    json=body,
                    headers={"Authorization": f"Bearer {person}-token"},
                )
            except httpx.HTTPError:
                return False  # again, when the gateway is up
            if answer.is_success and answer.json()["verdict"] == "resolved":
                if len(asked) < needed:
                    self.alone.append(f"{path}: the word of {person} alone was enough")
                return True
        return False
