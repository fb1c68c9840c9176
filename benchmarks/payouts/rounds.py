"""Rounds: the payout, the empty workflow and the usual way, side by side within minutes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from temporalio.client import Client

from benchmarks.payouts import driver
from benchmarks.payouts.driver import Bell, Sample
from benchmarks.payouts.shapes import EMPTY, EMPTY_WORKFLOW, USUAL, USUAL_WORKFLOW
from benchmarks.payouts.site import PRODUCT, Site
from benchmarks.payouts.specimen import Specimen, check_same_shape, specimen
from bursar import Bursar

TWO_WORKERS = "two_workers"
SECOND = "second_worker"
TIMER = "TIMER_STARTED"
PAY_SECONDS = 0.5
"""After how long the bank pays at full load: later than the wait for it begins."""
LONE_PAY_SECONDS = 2.0
"""The same for the specimens, where nothing may be left to chance."""
HALF_PAY_SECONDS = 0.1
"""The same where latencies are measured; it is a part of each of them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How long and how much."""

    rounds: int
    seconds: float
    """Of one load in one round, after it has warmed up."""
    warm_up_seconds: float
    half_seconds: float
    """Of the loads at half the top rate."""
    starts: int
    """Payouts that the client starts in a row."""
    memory: tuple[int, int] | None
    """Payouts after which the worker's memory is compared; None: it is not."""
    backlog: int
    """Payouts behind a paused rail; 0: none."""


@dataclass
class Results:
    """What was seen on one Temporal server."""

    engine: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    specimens: dict[str, Specimen] = field(default_factory=dict)
    timers: dict[str, list[bool]] = field(default_factory=dict)
    """Whether payouts under load came to wait, with their deadline's timer; some of each load."""
    more: dict[str, float] = field(default_factory=dict)
    """Figures that are measured once."""

    def add(self, name: str, sample: Sample) -> None:
        """Keep what a load has shown."""
        self.samples.setdefault(name, []).append(sample)
        used = sum(sample.cpu_ms.values()) * sample.rate / 1000
        log.info(
            "  %-14s %7.1f /s   p50 %5.0f ms   %4.2f cores, %4.2f of others",
            *(name, sample.rate, 1000 * sample.percentile(0.5), used, sample.busy_cores - used),
        )


class Rounds:
    """Runs the loads of a plan on a site that has started."""

    def __init__(self, plan: Plan, site: Site, client: Client, bell: Bell) -> None:
        """Take what the loads run on."""
        self._plan = plan
        self._site = site
        self._client = client
        self._bell = bell
        self._bursars = {
            PRODUCT: Bursar(client),
            EMPTY: Bursar(driver.redirected(client, EMPTY_WORKFLOW, EMPTY)),
            USUAL: Bursar(driver.redirected(client, USUAL_WORKFLOW, USUAL)),
        }
        self.results = Results(site.engine.description)

    async def run(self) -> Results:
        """Run every round and return what came of it."""
        await self._take_specimens()
        await self._pay_after(PAY_SECONDS)
        for shape in self._bursars:  # unmeasured, so that the first load of all is no colder
            await self._load(shape)
        for number in range(1, self._plan.rounds + 1):
            log.info("Round %d of %d on the %s", number, self._plan.rounds, self.results.engine)
            for shape in (PRODUCT, EMPTY, USUAL):
                await self._saturate(shape, shape)
            async with _second_worker(self._site):
                await self._saturate(TWO_WORKERS, PRODUCT)
        return self.results

    async def at_half_rate(self) -> None:
        """Measure latencies at half of the rate that the payout has reached."""
        rates = sorted(sample.rate for sample in self.results.samples[PRODUCT])
        half = rates[len(rates) // 2] / 2
        await self._pay_after(HALF_PAY_SECONDS)
        for shape in (PRODUCT, EMPTY):
            sample = await driver.send_at(
                self._bursars[shape],
                self._site.cpu_seconds,
                rate=half,
                seconds=self._plan.half_seconds,
                warm_up_seconds=self._plan.warm_up_seconds,
            )
            self.results.add(f"{shape}_half", sample)
            await self._site.quiet()

    async def _take_specimens(self) -> None:
        await self._pay_after(LONE_PAY_SECONDS)
        waiting = driver.requests()
        for shape, bursar in self._bursars.items():
            request = next(waiting)
            await driver.pay(bursar, request)
            self.results.specimens[shape] = await specimen(self._client, request.id)
        product = self.results.specimens[PRODUCT]
        check_same_shape(product, self.results.specimens[EMPTY])
        log.info("Payout and empty workflow have the same %d events", len(product.kinds))

    async def _pay_after(self, seconds: float) -> None:
        await self._site.settle_after(seconds)
        self._bell.delay_seconds = seconds

    async def _saturate(self, name: str, shape: str) -> None:
        sample = await self._load(shape)
        self.results.add(name, sample)
        seen = await asyncio.gather(*(specimen(self._client, each) for each in sample.some_ids))
        self.results.timers.setdefault(name, []).extend(TIMER in each.kinds for each in seen)

    async def _load(self, shape: str) -> Sample:
        """Keep payouts of a shape in flight, and wait until nothing is left of them."""
        sample = await driver.saturate(
            self._bursars[shape],
            self._site.cpu_seconds,
            seconds=self._plan.seconds,
            warm_up_seconds=self._plan.warm_up_seconds,
        )
        await self._site.quiet()
        return sample


@asynccontextmanager
async def _second_worker(site: Site) -> AsyncIterator[None]:
    """Run a second process of the product's worker for as long as this lasts."""
    program = site.worker(PRODUCT, SECOND)
    await asyncio.to_thread(program.start)
    site.programs[SECOND] = program
    try:
        yield
    finally:
        del site.programs[SECOND]
        await asyncio.to_thread(program.stop)


def parts(name: str, cpu: Mapping[str, float]) -> dict[str, float]:
    """Return CPU by what does the work in a load; workers that only wait are left out."""
    shape = name.removesuffix("_half")
    shape = PRODUCT if shape == TWO_WORKERS else shape
    workers = {PRODUCT, EMPTY, USUAL, SECOND}
    ours = {part: used for part, used in cpu.items() if part not in workers}
    worker = cpu[shape]
    if shape == PRODUCT:
        worker += cpu.get(SECOND, 0.0)
    return {"worker": worker, **ours}
