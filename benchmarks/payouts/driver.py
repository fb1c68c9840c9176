"""The client process: payouts kept in flight or sent at a rate, and what they took."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowInput,
    WorkflowHandle,
)

from benchmarks.payouts.books import CURRENCY, WALLETS, wallet
from benchmarks.server import busy_seconds
from bursar import Bursar, IbanAccount, Money, PaymentState, PayoutRequest, names
from bursar.ids import new_payout_id

IN_FLIGHT = 64
AMOUNT_MINOR = 100
SOME = 20

Cpu = Mapping[str, float]
"""CPU seconds by part."""


@dataclass(frozen=True)
class Sample:
    """What one round of one load has shown."""

    rate: float
    """Payouts that were settled, per second."""
    latencies: tuple[float, ...]
    """Seconds from each `pay_out` to its result, sorted."""
    cpu_ms: Cpu
    """CPU milliseconds per payout, by part."""
    busy_cores: float = 0.0
    """Cores that worked on anything meanwhile, other programs' work too."""
    some_ids: tuple[str, ...] = ()
    """A few of the payouts, from the middle of the round."""

    def percentile(self, share: float) -> float:
        """Return the latency in seconds below which a share of the payouts was, 0 to 1."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class Bell(asyncio.DatagramProtocol):
    """Signals the run whose payment's id arrives, as the gateway does when an event has come.

    The delay stands for the bank's: it begins when the hand-over is done.
    """

    def __init__(self, client: Client) -> None:
        self.delay_seconds = 0.0
        self._client = client
        self._ringing: set[asyncio.Task[None]] = set()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """Take one id."""
        task = asyncio.create_task(self._ring(data.decode()))
        self._ringing.add(task)
        task.add_done_callback(self._rung)

    async def _ring(self, payment_id: str) -> None:
        await asyncio.sleep(self.delay_seconds)
        handle = self._client.get_workflow_handle(names.workflow_id(payment_id))
        await handle.signal(names.PARTNER_EVENT, {"row_id": 1})

    def _rung(self, task: asyncio.Task[None]) -> None:
        self._ringing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a run was not signalled", "exception": error}
            )


@asynccontextmanager
async def listening(bell: Bell, port: int) -> AsyncIterator[None]:
    """Listen for runs that want their signal."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: bell, local_addr=("127.0.0.1", port), family=socket.AF_INET
    )
    try:
        yield
    finally:
        transport.close()


class _Redirect(Interceptor):
    """Starts another workflow on another queue wherever a payout is started."""

    def __init__(self, workflow: str, task_queue: str) -> None:
        self._workflow = workflow
        self._task_queue = task_queue

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """Put the change of starts in front of all calls."""
        workflow, task_queue = self._workflow, self._task_queue

        class Redirected(OutboundInterceptor):
            async def start_workflow(
                self, input: StartWorkflowInput
            ) -> WorkflowHandle[object, object]:
                input.workflow, input.task_queue = workflow, task_queue
                return await super().start_workflow(input)

        return Redirected(next)


def redirected(client: Client, workflow: str, task_queue: str) -> Client:
    """Return a client on the same connection whose payouts are another workflow's runs.

    All else of a start stays the same: request, id, memo, search attributes, policies.
    """
    config = client.config(active_config=True)
    config["plugins"] = []  # the active configuration is what they have made of it
    config["interceptors"] = [_Redirect(workflow, task_queue)]
    return Client(**config)


def requests() -> Iterator[PayoutRequest]:
    """Give new payouts without end, each from the next wallet."""
    for number in itertools.count():
        yield PayoutRequest(
            id=new_payout_id(),
            account=wallet(number % WALLETS),
            amount=Money(amount_minor=AMOUNT_MINOR, currency=CURRENCY),
            beneficiary=IbanAccount(name="Anna Müller", iban="DE89370400440532013000"),
            reference="Invoice 2026-0001",
            created_by="benchmark",
        )


class NotSettled(RuntimeError):
    """A payout of the benchmark ended otherwise: it measures something else."""


async def pay(bursar: Bursar, request: PayoutRequest) -> float:
    """Pay out, wait until it is settled, and return the seconds that took.

    Raises:
        NotSettled: It ended otherwise.
    """
    began = time.perf_counter()
    handle = await bursar.pay_out(request)
    result = await handle.result()
    if result.state is not PaymentState.SETTLED:
        raise NotSettled(f"{request.id} ended as {result.state} ({result.code})")
    return time.perf_counter() - began


@dataclass
class _Window:
    """What counts: payouts that end within it, and the CPU used within it."""

    warm_up_seconds: float
    seconds: float
    cpu: Callable[[], Mapping[str, float]]
    latencies: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    busy_cores: float = 0.0

    def __post_init__(self) -> None:
        self.begin = time.perf_counter() + self.warm_up_seconds
        self.end = self.begin + self.seconds

    def over(self) -> bool:
        return time.perf_counter() > self.end

    async def pay(self, bursar: Bursar, request: PayoutRequest) -> None:
        latency = await pay(bursar, request)
        if self.begin < time.perf_counter() <= self.end:
            self.latencies.append(latency)
            self.ids.append(request.id)

    async def used(self) -> Cpu:
        """Return the CPU seconds that each part uses between begin and end."""
        await asyncio.sleep(self.begin - time.perf_counter())
        before, machine = self.cpu(), busy_seconds()
        await asyncio.sleep(self.end - time.perf_counter())
        self.busy_cores = (busy_seconds() - machine) / self.seconds
        return {part: now - before.get(part, 0.0) for part, now in self.cpu().items()}

    def sample(self, used: Cpu) -> Sample:
        count = len(self.latencies)
        if count == 0:
            raise NotSettled(f"not one payout ended within {self.seconds:g} seconds")
        return Sample(
            rate=count / self.seconds,
            latencies=tuple(sorted(self.latencies)),
            cpu_ms={part: 1000 * seconds / count for part, seconds in used.items()},
            busy_cores=self.busy_cores,
            some_ids=tuple(self.ids[count // 2 :][:SOME]),
        )


async def saturate(
    bursar: Bursar,
    cpu: Callable[[], Cpu],
    *,
    seconds: float,
    warm_up_seconds: float,
    in_flight: int = IN_FLIGHT,
) -> Sample:
    """Keep payouts in flight for some seconds; return once the last one has ended, too."""
    window = _Window(warm_up_seconds, seconds, cpu)
    waiting = requests()

    async def caller() -> None:
        while not window.over():
            await window.pay(bursar, next(waiting))

    async with asyncio.TaskGroup() as group:
        used = group.create_task(window.used())
        for _ in range(in_flight):
            group.create_task(caller())
    return window.sample(used.result())


async def send_at(
    bursar: Bursar,
    cpu: Callable[[], Cpu],
    *,
    rate: float,
    seconds: float,
    warm_up_seconds: float,
    seed: int = 1,
) -> Sample:
    """Send payouts at a rate, as strangers do: at random, and without waiting for each other."""
    window = _Window(warm_up_seconds, seconds, cpu)
    waiting, pauses = requests(), random.Random(seed)  # noqa: S311  no secret

    async with asyncio.TaskGroup() as group:
        used = group.create_task(window.used())
        due = time.perf_counter()
        while not window.over():
            group.create_task(window.pay(bursar, next(waiting)))
            due += pauses.expovariate(rate)
            await asyncio.sleep(due - time.perf_counter())
    return window.sample(used.result())


async def start_many(bursar: Bursar, number: int, in_flight: int = IN_FLIGHT) -> list[str]:
    """Start payouts and wait for none; return their ids."""
    waiting = itertools.islice(requests(), number)
    started: list[str] = []

    async def starter() -> None:
        for request in waiting:  # shared: each takes the next one
            await bursar.pay_out(request)
            started.append(request.id)

    await asyncio.gather(*(starter() for _ in range(in_flight)))
    return started
