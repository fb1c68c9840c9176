"""One run: warm-up, faults, heal, drain, check, cold restart, check again, rebuild."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from temporalio.service import RPCError

from ops.program import ProgramFailed
from tests.battery import checking, rebuild
from tests.battery.case import Case, Findings, gather
from tests.battery.chronicle import Chronicle
from tests.battery.director import Director, Progress
from tests.battery.evidence import AWAY, ENDED, at_work, doubled_references
from tests.battery.funding import DEPOSITS, fund
from tests.battery.installation import Installation
from tests.battery.judge import judge, judge_at_any_moment
from tests.battery.people import People
from tests.battery.plan import PARTNERS
from tests.battery.tiers import Tier

SAFETY_EVERY_SECONDS = 10.0
DRAIN_SECONDS_MAX = 420.0
"""An event that was handed over and not applied is offered again after five minutes."""
STALL_SECONDS_MAX = 300.0
"""A run in which no payment ends for so long is stuck."""

SLOWEST = 3.0
"""How many times as long as on two idle cores a run may take until it is given up."""

BUSY = f"""
select (select count(*) from partner_events where applied_at is null)
     + (select count(*) from payments p where p.state not in ({ENDED})) as busy
"""  # noqa: S608  our own names

STATE_TIMES = """
select before, extract(epoch from at - came)::float8 as seconds
  from (select before, at, lag(at) over (partition by payment_id order by seq) as came
          from transitions) t
 where before is not null and came is not null
"""

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run has come to; `report` turns it into figures."""

    case: Case | None = None
    checker: dict[str, Any] | None = None
    """What the checker says, where there is one."""
    findings: Findings = field(default_factory=Findings)
    director: Director | None = None
    missed_orders: list[str] = field(default_factory=list)
    state_times: list[Any] = field(default_factory=list)
    """How long payments were in which state: (before, seconds)."""
    resolved: int = 0
    closed: int = 0
    """How many cases people have closed."""
    dropped: dict[str, int] = field(default_factory=dict)
    """How many answers each line has dropped after their requests were delivered."""
    rebuilt: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Why the run itself could not be brought to its end."""
    drain_seconds: float | None = None
    seconds: float = 0.0


class Run:
    """Everything that goes on in one folder."""

    def __init__(self, folder: Path, tier: Tier, seed: int, say: Say, *, first: int = 1) -> None:
        self.site = Installation(folder, tier, seed)
        self.outcome = Outcome()
        self._say = say
        self._chronicle = Chronicle(folder / "chronicle.jsonl")
        self._people = People(self.site)
        self._director = Director(self.site, tier, seed, self._chronicle, self._people)
        self._progress = Progress(folder / "client.jsonl", tier.payments)
        self._over = asyncio.Event()
        """The backend has told and been told everything, or there is no use in going on."""
        self._first = first
        self.outcome.director = self._director

    async def live(self) -> Outcome:
        """Run all phases, and return what came of it.

        Whatever happens, everything that was started is stopped.
        """
        began = time.monotonic()
        try:
            await self._all_phases()
        except Exception as error:  # a bug of ours may stop anything: the report says where
            self._broken(f"the run broke down: {error!r}")
        finally:
            await self.site.stop()
        self.outcome.resolved = len(self._people.resolved)
        self.outcome.closed = len(self._people.closed)
        self.outcome.seconds = time.monotonic() - began
        self._chronicle.note("end")
        return self.outcome

    async def _all_phases(self) -> None:
        await self._phase("start", self._start())
        async with self._company():
            await self._phase("faults", self._faults())
            await self._phase("drain", self._drain())
            await self._phase("check", self._check())
            if not (self.outcome.findings.any or self.site.tier.is_for_power):
                await self._phase("cold restart", self._cold_restart())
                await self._phase("check again", self._check())
            self.outcome.rebuilt = await rebuild.differences(self.site)
            self.outcome.state_times = await self.site.rows(STATE_TIMES)

    async def _phase(self, name: str, work: object) -> None:
        self._chronicle.note("phase", name)
        self._say(f"{self._chronicle.seconds:7.1f} s  {name}")
        await work  # type: ignore[misc]

    async def _start(self) -> None:
        await self.site.start()
        self.site.write_client_settings(first=self._first)
        await fund(self.site)

        async def funded() -> bool:
            rows = await self.site.rows(
                "select count(*) from transactions where kind = 'deposit' and outcome = 'booked'"
            )
            return int(rows[0][0]) >= DEPOSITS

        await self._until(funded, 180, "the wallets were never funded")

    @asynccontextmanager
    async def _company(self) -> AsyncIterator[None]:
        """Keep supervisor, people and watchers at work during the block."""
        tasks = [
            asyncio.create_task(work)
            for work in (
                *(self._supervise(), self._people.work(), self._watch(), self._keep_safe()),
                self._give_up(),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    self.outcome.broken.append(f"a helper of the battery failed: {end!r}")

    async def _faults(self) -> None:
        await self.site.up("client")
        await self._director.run(self._progress, self._over)
        self.outcome.missed_orders = await self._director.heal()

    async def _drain(self) -> None:
        """Wait until nothing moves any more."""
        began = time.monotonic()
        await self._over.wait()
        rest = DRAIN_SECONDS_MAX * self._patience
        if not self.outcome.findings.any and not self.outcome.broken:
            await self._until(self._quiet, rest, "it never came to rest")
        if not self.outcome.findings.any and not self.outcome.broken:
            await self._until(self._people.are_done, rest, "a case was never closed")
        self.outcome.drain_seconds = time.monotonic() - began
        self.outcome.dropped = await self.site.weather.dropped()

    @property
    def _patience(self) -> float:
        return 1 / 3 if self.site.tier.is_for_power else 1  # a bug may well stop it for good

    async def _check(self) -> None:
        self.outcome.case = await gather(self.site)
        found = judge(self.outcome.case)
        for decided in self._people.alone:
            found.add("approval_bypass", decided)
        self.outcome.findings.join(found)
        try:
            told = await checking.ask(self.site)
            self.outcome.checker = checking.worse(self.outcome.checker, told)
        except checking.CheckerFailed as error:
            self.outcome.broken.append(f"the checker could not judge: {error}")

    async def _cold_restart(self) -> None:
        await self.site.kill_all()
        await self.site.start()
        await self._until(self._quiet, DRAIN_SECONDS_MAX, "it never came to rest again")

    async def _quiet(self) -> bool:
        if (await self.site.rows(BUSY))[0]["busy"]:
            return False
        books = [
            await asyncio.to_thread(at_work, self.site.bank_file(partner)) for partner in PARTNERS
        ]
        client = await self.site.temporal.connect()
        running = await client.count_workflows(
            "ExecutionStatus = 'Running' AND WorkflowType != 'Sweep'"
            " AND WorkflowType != 'CheckBooks'"
        )
        return not any(books) and running.count == 0

    async def _until(self, question: Callable[[], object], seconds: float, failing: str) -> None:
        """Wait for a yes; after so long without one note the failure."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if await question():  # type: ignore[misc]
                    return
            except (*AWAY, RPCError, RuntimeError, httpx.HTTPError):
                pass  # something is still starting
            await asyncio.sleep(0.3)
        self._broken(failing)

    def _broken(self, what: str) -> None:
        self.outcome.broken.append(what)
        self._chronicle.note("trouble", what)

    # What goes on beside

    def _is_client_done(self) -> bool:
        return (self.site.folder / "client.done").exists()

    async def _supervise(self) -> None:
        """Start again what has died, until the backend is done, and what is Bursar's always."""
        starting: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for name in self.site.dead():
                    self._see_to(name, starting)
                await asyncio.sleep(0.1)
        finally:  # a start cannot be taken back, and nothing may come up after all was stopped
            if starting:
                await asyncio.wait(starting.values())

    def _see_to(self, name: str, starting: dict[str, asyncio.Task[None]]) -> None:
        if name == "client" and self._is_client_done():
            self.site.down.add(name)
            self._over.set()
        elif name not in starting or starting[name].done():
            self._chronicle.note("started again", name)
            starting[name] = asyncio.create_task(self._start_again(name))

    async def _start_again(self, name: str) -> None:
        with contextlib.suppress(ProgramFailed):  # what it needs is down: it is tried again
            await self.site.up(name)

    async def _watch(self) -> None:
        """Write down how many payments are on their way, for the plot."""
        while True:
            self._progress.look()
            done = sum(self._director.orders.done().values())
            self._chronicle.note(
                "sample",
                {"started": self._progress.started, "ended": self._progress.ended, "deaths": done},
            )
            await asyncio.sleep(1.0)

    async def _give_up(self) -> None:
        """End a run in which nothing ends any more, or that goes on for ever."""
        latest = time.monotonic() + self.site.tier.minutes * 60 * SLOWEST
        ended, stalled = -1, 0.0
        while not self._over.is_set():
            now = time.monotonic()
            if self._progress.ended > ended:
                ended, stalled = self._progress.ended, now + STALL_SECONDS_MAX * self._patience
            if now > min(stalled, latest):
                self._broken("no payment ends any more" if now > stalled else "it took too long")
                self._over.set()
            await asyncio.sleep(1.0)

    async def _keep_safe(self) -> None:
        """Assert every few seconds what has to hold at every moment."""
        while True:
            await asyncio.sleep(SAFETY_EVERY_SECONDS)
            try:
                if self.site.tier.is_for_power:
                    found = judge_at_any_moment(await gather(self.site))
                else:
                    found = await self._look_quickly()
            except AWAY:
                continue  # the database is down: the next time
            if found.any:
                self.outcome.findings = found
                self._chronicle.note("violation", found.figures())
                self._over.set()
                return

    async def _look_quickly(self) -> Findings:
        """Look for the worst, at a price that does not grow with the run."""
        found = Findings()
        for partner in PARTNERS:
            file = self.site.bank_file(partner)
            for reference in await asyncio.to_thread(doubled_references, file):
                found.add("doubled", reference)
        for row in await self.site.rows(
            "select currency, sum(posted) from balances group by 1 having sum(posted) <> 0"
        ):
            found.add("wrong_balance", f"{row[0]} sums to {row[1]}")
        return found
