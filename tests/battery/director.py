"""The director: what breaks, when and how, all from one seed, paced by how far the backend is."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from ops.postgres import PostgresFailed
from ops.temporal import TemporalFailed
from tests.battery.installation import Installation
from tests.battery.orders import POINTS, How, Orders
from tests.battery.profile import FROZEN_SECONDS
from tests.battery.starting import started
from tests.battery.tiers import Tier
from tests.links import Way, Weather

if TYPE_CHECKING:
    from tests.battery.chronicle import Chronicle
    from tests.battery.people import People

STORMS = ("dropped", "late", "cut", "sliced", "deaf", "clogged", "swizzle", "dropped")
"""Kinds of bad weather, in turn, so that even a small run has each."""
BUSY = ("worker_db", "gateway_db", "to_keyed", "from_keyed", "client_temporal")
"""Lines on which there is always something to drop; answers are, on each in turn."""
PAUSES = (("all", ""), ("partner", "keyed"), ("partner", "lookup"), ("currency", "EUR"))
"""What is paused, by scope and name."""
BEGIN, END = 0.08, 0.85
"""Faults come between these shares of the payments; what is left of them has time until the end."""
LOOK_EVERY_SECONDS = 0.1
PATIENCE_SECONDS = 15.0
"""How long an order to die may wait for somebody to come by before the next one is given."""

HEAL_SECONDS_MAX = 60.0
"""How long a pause is tried to be lifted once all else is well."""

SELDOM = {"K1": 0.5, "K2": 0.5, "K3": 0.5, "K6": 0.4, "K14": 0.7, "K16": 0.5}
"""Points that fewer payments come by, or whose process has more to lose, get fewer orders."""


@dataclass(frozen=True)
class Scene:
    """Something that goes wrong once the backend has come so far."""

    at: float
    """Share of the payments that were started."""
    name: str
    act: Callable[[], Awaitable[None]]


class Progress:
    """How far the backend is, by its diary."""

    def __init__(self, diary: Path, total: int) -> None:
        self._diary = diary
        self._total = total
        self._read = 0
        self.started = 0
        self.ended = 0

    def look(self) -> float:
        """Return the share of payments that were started."""
        if self._diary.exists():
            with self._diary.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            self.started += whole.count(b'"phase": "asked", "request"')
            self.ended += whole.count(b'"op": "result"')
        return min(1.0, self.started / self._total)


class Director:
    """Runs the scenes of a tier."""

    def __init__(
        self,
        site: Installation,
        tier: Tier,
        seed: int,
        chronicle: Chronicle,
        people: People,
    ) -> None:
        self._site = site
        self._tier = tier
        self._rng = random.Random(f"{seed}/faults")  # noqa: S311  a plan, no secret
        self._chronicle = chronicle
        self._people = people
        self._busy = itertools.cycle(BUSY)
        self._running: set[asyncio.Task[None]] = set()
        self._servers = asyncio.Lock()
        self._one_at_a_time = asyncio.Lock()
        self._healing = False
        self._heal_until = 0.0
        self.orders = Orders(site.folder / "orders")
        self.counts: Counter[str] = Counter()

    def scenes(self) -> list[Scene]:
        """Return everything that will go wrong, in order."""
        tier = self._tier
        scenes = self._deaths()
        for number in range(tier.db_restarts):
            kills = number % 2 == 0
            scenes.append(self._scene("db_restart", partial(self._restart_db, kills=kills)))
        for _ in range(tier.server_restarts):
            scenes.append(self._scene("server_restart", self._restart_temporal))
        for _ in range(tier.freezes):
            scenes.append(self._scene("freeze", self._freeze))
        for _ in range(tier.bank_kills):
            scenes.append(self._scene("bank_kill", self._kill_one(self._site.banks)))
        for _ in range(tier.program_kills):
            scenes.append(self._scene("program_kill", self._kill_one(self._site.ours)))
        for _ in range(tier.pauses):
            scenes.append(self._scene("pause", self._pause()))
        for number in range(tier.storms):
            scenes.append(self._scene("storm", self._storm(STORMS[number % len(STORMS)])))
        return sorted(scenes, key=lambda scene: scene.at)

    async def run(self, progress: Progress, done: asyncio.Event) -> None:
        """Play each scene when its time has come, until all were played or the backend is done."""
        for scene in self.scenes():
            while progress.look() < scene.at and not done.is_set():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY_SECONDS)  # the diary grows in another process
            if done.is_set():
                break
            if scene.name != "order":
                self._chronicle.note(scene.name)
            task = asyncio.create_task(self._play(scene))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        while not done.is_set() and (  # noqa: ASYNC110  likewise
            self._running or self.orders.waiting() or progress.look() < 1.0
        ):
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def heal(self) -> list[str]:
        """End everything that goes wrong; return the orders that nobody came by for."""
        self._healing = True
        self._heal_until = time.monotonic() + HEAL_SECONDS_MAX
        if self._running:
            await asyncio.wait(set(self._running))
        for name in self._site.programs:
            self._site.signal(name, signal.SIGCONT)
        for link in self._site.links:
            await self._site.weather.change(link)
        return self.orders.withdraw()

    async def _play(self, scene: Scene) -> None:
        try:
            await scene.act()
        except (OSError, PostgresFailed, TemporalFailed) as error:
            self._chronicle.note("trouble", f"{scene.name}: {error!r}")

    def _scene(self, name: str, act: Callable[[], Awaitable[None]]) -> Scene:
        return Scene(self._rng.uniform(BEGIN, END), name, act)

    def _deaths(self) -> list[Scene]:
        """Return the orders to die, shared out over the crash points."""
        scenes = []
        kinds: tuple[tuple[How, int], ...] = (
            ("hard", self._tier.hard_kills),
            ("soft", self._tier.soft_kills),
        )
        number = 0
        for how, count in kinds:
            for point in self._points(count):
                number += 1
                act = self._order(point, how, number)
                scenes.append(self._scene("order", act))
        return scenes

    def _points(self, count: int) -> list[str]:
        """Return so many crash points, each in its share, none left out where there are enough."""
        weights = {point: SELDOM.get(point, 1.0) for point in POINTS}
        total = sum(weights.values())
        shares = {point: int(count * weight / total) for point, weight in weights.items()}
        chosen = [point for point, share in shares.items() for _ in range(share)]
        rest = self._rng.choices(list(weights), list(weights.values()), k=count - len(chosen))
        return [*chosen, *rest]

    def _order(self, point: str, how: How, number: int) -> Callable[[], Awaitable[None]]:
        async def give() -> None:
            self.orders.give(point, how, number)

        async def give_in_turn() -> None:
            """Kill the next one only when everybody is back: on a slow machine nobody would be."""
            async with self._one_at_a_time:
                patience = time.monotonic() + PATIENCE_SECONDS
                while not self._healing and (  # noqa: ASYNC110  processes tell no event
                    self._site.dead()
                    or (self.orders.waiting("hard") and time.monotonic() < patience)
                ):
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
                await give()

        return give_in_turn if how == "hard" else give

    async def _restart_db(self, *, kills: bool) -> None:
        async with self._servers:
            if kills:
                await asyncio.to_thread(self._site.postgres.kill)
            else:
                await asyncio.to_thread(self._site.postgres.stop, "immediate")
            await asyncio.to_thread(started, self._site.postgres.start)
            self.counts["db_restarts"] += 1

    async def _restart_temporal(self) -> None:
        async with self._servers:
            await asyncio.to_thread(self._site.temporal.kill)
            await asyncio.to_thread(started, self._site.temporal.start)
            self.counts["server_restarts"] += 1

    def _pause(self) -> Callable[[], Awaitable[None]]:
        """Return a pause of a bank, a currency or everything, which is lifted after a moment."""
        scope, name = self._rng.choice(PAUSES)
        seconds = self._rng.uniform(0.5, 3.0)

        async def pause() -> None:
            if await self._say("pause", scope, name):
                self.counts["pauses"] += 1
            await asyncio.sleep(seconds)
            await self._say("resume", scope, name)

        return pause

    async def _say(self, word: str, scope: str, name: str) -> bool:
        """Pause or resume; said until it is heard, since a pause that stays stops everything.

        Returns whether it was done.
        """
        body = {"scope": scope, "name": name, "reason": "the battery"}
        headers = {"Authorization": "Bearer ops-token"}
        async with httpx.AsyncClient(trust_env=False, timeout=30, headers=headers) as http:
            for url in itertools.cycle(self._site.gateway_urls):
                if self._healing and time.monotonic() > self._heal_until:
                    break
                try:
                    answer = await http.post(f"{url}/v1/rails/{word}", json=body)
                    if answer.status_code < 500:
                        return answer.is_success
                except httpx.HTTPError:
                    pass  # it is down: the other one, or later
                await asyncio.sleep(LOOK_EVERY_SECONDS)
        return False

    async def _freeze(self) -> None:
        name = self._rng.choice(self._site.ours)
        if await self._hit(name, signal.SIGSTOP):
            self.counts["sigstops"] += 1
            self._people.frozen()
            await asyncio.sleep(FROZEN_SECONDS)
            self._site.signal(name, signal.SIGCONT)
            self._people.frozen()

    def _kill_one(self, names: list[str]) -> Callable[[], Awaitable[None]]:
        name = self._rng.choice(names)

        async def kill() -> None:
            if await self._hit(name, signal.SIGKILL):
                self.counts[f"{name.rpartition('_')[0]}_kills"] += 1

        return kill

    async def _hit(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a program, as soon as it runs; tell whether it did."""
        while not self._site.signal(name, number):
            if self._healing:
                return False
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        return True

    def _storm(self, kind: str) -> Callable[[], Awaitable[None]]:
        """Return a spell of bad weather on one line, or a clog of some of them."""
        rng = self._rng
        link = next(self._busy) if kind == "dropped" else rng.choice(self._site.links)
        seconds = rng.uniform(1.0, 4.0)
        order = rng.sample(self._site.links, len(self._site.links))
        weather = {
            "late": Weather(latency=rng.uniform(0.05, 0.5)),
            "sliced": Weather(slice=1),
            "cut": Weather(way=Way.CUT),
            "deaf": Weather(way=Way.DEAF),
            "clogged": Weather(way=Way.CLOGGED),
            "dropped": Weather(answers_to_drop=rng.randint(1, 5)),
        }.get(kind)

        async def storm() -> None:
            if weather is None:
                await self._swizzle(order)
                self.counts[f"proxy_{kind}"] += 1
                return
            await self._site.weather.change(link, weather)
            self.counts[f"proxy_{kind}"] += 1
            # No request may come out of a clog after the bank's "not found" has become a proof.
            await asyncio.sleep(min(seconds, 1.0) if kind == "clogged" else seconds)
            await self._site.weather.change(link)

        return storm

    async def _swizzle(self, links: list[str]) -> None:
        """Clog the lines one by one, and open them again in another order."""
        some = links[:5]
        for link in some:
            await self._site.weather.change(link, Weather(way=Way.CLOGGED))
            await asyncio.sleep(0.1)
        for link in reversed(some):
            await self._site.weather.change(link)
            await asyncio.sleep(0.1)
