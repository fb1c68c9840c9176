"""The backend: saves its ids first, starts payments, acts on them, and keeps every answer."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from bursar import Bursar
from bursar.client import PaymentHandle
from bursar.errors import BursarError, PaymentConflict, PaymentNotFound, ServiceUnavailable
from bursar.exit import leave
from bursar.payments import PayoutRequest, TransferRequest
from tests.battery.diary import Diary
from tests.battery.orders import Fate, Orders, Swallowed
from tests.battery.plan import Deed, as_request, dated, deed, other_than

PAUSE_SECONDS = 0.3
ANSWER_SECONDS_MAX = 20.0
NO_WORD_YET = frozenset({"payment_not_found", "service_unavailable", "action_refused", "internal"})
"""Answers of the gateway after which the same call is made again."""


class Backend:
    """One run's load: its plan, its diary, and its ways to Bursar."""

    def __init__(self, settings: dict[str, Any], diary: Diary, fate: Fate) -> None:
        self._settings = settings
        self._diary = diary
        self._fate = fate
        self._bursar: Bursar | None = None
        self._gateway = httpx.AsyncClient(trust_env=False, timeout=10)

    async def run(self) -> None:
        """Live every payment of the plan, so many at a time."""
        first, count = self._settings["first"], self._settings["payments"]
        numbers = iter(range(first, first + count))

        async def clerk() -> None:
            for number in numbers:
                await self._whatever_happens(self._deed(number))

        await asyncio.gather(*(clerk() for _ in range(self._settings["at_once"])))

    def _deed(self, number: int) -> Deed:
        return deed(self._settings["seed"], number, self._settings["contradictions"])

    async def _whatever_happens(self, deed: Deed) -> None:
        while True:
            try:
                await self._live(deed)
            except Swallowed:
                continue  # as if it had not been heard: from the diary again
            return

    async def _live(self, deed: Deed) -> None:
        """Bring one payment from its first word to its end; goes on where the diary ends."""
        payment_id = deed.request["id"]
        known = self._diary.of(payment_id)
        if known.request is None:
            self._fate.meet("K1")
            content = dated(deed)
            self._write(deed, "start", "asked", request=content)
            self._fate.meet("K2")
        assert known.request is not None
        request = as_request(deed.kind, known.request)
        if not known.acknowledged:
            await self._start(deed, request)
        if known.state is None:
            await asyncio.gather(*self._beside(deed, request), self._end(deed))

    def _beside(
        self, deed: Deed, request: PayoutRequest | TransferRequest
    ) -> list[Awaitable[None]]:
        done = self._diary.of(request.id).done
        beside: list[Awaitable[None]] = []
        if deed.again and ("start", "again") not in done:
            beside.append(self._start(deed, request, probe="again"))
        if deed.other_content and ("start", "other_content") not in done:
            beside.append(self._start(deed, other_than(request), probe="other_content"))
        if deed.ask:
            beside.append(self._status(deed))
        for person, word in deed.words:
            if (word, person) not in done:
                beside.append(self._say(deed, word, person))
        if deed.cancel_after is not None and ("cancel", "dan") not in done:
            beside.append(self._cancel(deed, deed.cancel_after))
        return beside

    async def _start(
        self, deed: Deed, request: PayoutRequest | TransferRequest, probe: str | None = None
    ) -> None:
        """Start the payment; repeat until there is an answer."""
        start: Callable[[Bursar], Awaitable[PaymentHandle]] = (
            (lambda bursar: bursar.pay_out(request))
            if isinstance(request, PayoutRequest)
            else (lambda bursar: bursar.transfer(request))
        )
        try:
            handle = await self._answered(start)
            answer = {"ok": True, "error": None, "existed": handle.existed}
        except PaymentConflict as error:
            answer = {"ok": False, "error": error.code, "existed": True}
        if probe is None:
            self._fate.meet("K3")
        more: dict[str, Any] = {"probe": probe} if probe else {}
        sent = request.model_dump(mode="json", exclude_none=True)
        self._write(deed, "start", "answered", answer=answer, request=sent, **more)

    async def _end(self, deed: Deed) -> None:
        result = await self._answered(lambda b: self._handle(b, deed).result())
        answer = {"ok": True, "error": None, "state": result.state.value, "code": result.code}
        self._write(deed, "result", "answered", answer=answer)

    async def _status(self, deed: Deed) -> None:
        await asyncio.sleep(random.uniform(0, 2))  # noqa: S311
        try:
            state = await self._answered(lambda b: self._handle(b, deed).status())
        except PaymentNotFound as error:
            self._write(deed, "status", "answered", answer={"ok": False, "error": error.code})
            return
        answer = {"ok": True, "error": None, "state": state.value}
        self._write(deed, "status", "answered", answer=answer)

    async def _cancel(self, deed: Deed, after: float) -> None:
        await asyncio.sleep(after)
        if deed.number % 2:
            await self._say(deed, "cancel", "dan")
            return
        self._write(deed, "cancel", "asked", by="dan")
        try:
            told = await self._answered(
                lambda b: self._handle(b, deed).cancel("dan", "the order was taken back")
            )
            answer = {"ok": True, "error": None, "verdict": told.verdict.value}
        except BursarError as error:
            answer = {"ok": False, "error": error.code, "verdict": error.code}
        self._write(deed, "cancel", "answered", by="dan", answer=answer)

    async def _say(self, deed: Deed, word: str, person: str) -> None:
        """Say a person's word through the gateway, until it has been heard."""
        self._write(deed, word, "asked", by=person)
        body = {} if word == "approve" else {"reason": "looked at it"}
        while True:
            status, told = await self._call(f"{deed.request['id']}/{word}", person, body)
            if status is not None and status < 500 and told.get("code") not in NO_WORD_YET:
                break
            if self._diary.of(deed.request["id"]).state is not None:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        code = None if status == 200 else told.get("code")
        answer = {"ok": status == 200, "error": code, "verdict": told.get("verdict") or code}
        self._write(deed, word, "answered", by=person, answer=answer)

    async def _call(
        self, path: str, person: str, body: dict[str, Any]
    ) -> tuple[int | None, dict[str, Any]]:
        url = random.choice(self._settings["gateways"])  # noqa: S311
        headers = {"Authorization": f"Bearer {person}-token"}
        try:
            answer = await self._gateway.post(
                f"{url}/v1/payments/{path}", json=body, headers=headers
            )
            return answer.status_code, answer.json()
        except (httpx.HTTPError, json.JSONDecodeError):
            return None, {}

    def _handle(self, bursar: Bursar, deed: Deed) -> PaymentHandle:
        if deed.kind == "payout":
            return bursar.payout(deed.request["id"])
        return bursar.transfer_handle(deed.request["id"])

    async def _answered(self, call: Callable[[Bursar], Awaitable[Any]]) -> Any:
        """Make a call until Temporal answers it."""
        while True:
            try:
                if self._bursar is None:
                    address = self._settings["temporal"]
                    self._bursar = await Bursar.connect(
                        address, namespace=self._settings["namespace"]
                    )
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    return await call(self._bursar)
            except (ServiceUnavailable, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS)

    def _write(self, deed: Deed, op: str, phase: str, **facts: Any) -> None:
        line = {"op": op, "id": deed.request["id"], "kind": deed.kind, "phase": phase}
        self._diary.write({**line, **facts})


def main() -> None:
    """Send the plan, and say that all of it has ended."""
    settings = json.loads(Path(os.environ["BATTERY_CLIENT"]).read_text())
    folder = Path(settings["folder"])
    fate = Fate(Orders(Path(os.environ["BATTERY_ORDERS"])))
    backend = Backend(settings, Diary(folder / "client.jsonl"), fate)
    (folder / "client.ready").touch()
    asyncio.run(backend.run())
    (folder / "client.done").touch()
    leave(0)


if __name__ == "__main__":
    main()
