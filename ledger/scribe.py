"""The scribe: gathers what many callers want to write and commits it together.

There is no timer. A free lane takes all that waits: at low load that is one change, and load
makes its own batches. Each caller gets its own answer, after the commit that carries it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from bursar.errors import ContentConflict, LedgerBusy
from ledger.batch import WRITE, answers, check, rows_of, touched
from ledger.changes import Change, Written
from ledger.connections import as_malformed, is_cancelled, is_lost, is_malformed, is_transient

BATCH_MAX = 1_000
QUEUE_MAX = 4 * BATCH_MAX
TRIES_MAX = 5
"""How often a batch is tried before its callers hear of the trouble."""
LANE_STEP = 32
"""How many changes have to be outstanding for each further lane; below, company is faster.

Source: docs/decisions/0012-what-makes-the-books-fast.md.
"""
JITTER_SECONDS = 0.02
RECONNECT_SECONDS = 0.2
PATIENCE_SECONDS = 30.0
"""How long the parts of a batch that takes the server too long are tried apart."""

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[asyncpg.Connection]]


@dataclass(eq=False, slots=True)
class _Waiting:
    """A change that waits for its commit, with a future for each of its callers."""

    change: Change
    digest: bytes
    touched: frozenset[str]
    callers: list[asyncio.Future[Written]] = field(default_factory=list)
    in_doubt: bool = False
    """Whether a reply was lost: nobody may be told any more that nothing was written."""
    result: Written | Exception | None = None

    def conclude(self, result: Written | Exception) -> None:
        """Answer every caller who still waits; one who went has cancelled their own future."""
        self.result = result
        for caller in self.callers:
            if not caller.done():
                _answer(caller, result)

    def tell(self, caller: asyncio.Future[Written]) -> asyncio.Future[Written]:
        """Have one more caller's future answered, and return it."""
        if self.result is None:
            self.callers.append(caller)
        else:
            _answer(caller, self.result)
        return caller


def _answer(caller: asyncio.Future[Written], result: Written | Exception) -> None:
    if isinstance(result, Written):
        caller.set_result(result)
        return
    caller.set_exception(result)
    caller.exception()  # Read here: the caller may go before it reads it, and that is no error.


class Scribe:
    """Writes changes in batches on a few connections of its own."""

    def __init__(self, connect: Connect, *, lanes: int = 2) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiting] = deque()
        self._by_key: dict[str, _Waiting] = {}
        self._busy: set[str] = set()
        self._lanes_busy = 0
        self._closing = False
        self._idle: list[asyncio.Event] = []
        self._lanes = [asyncio.create_task(self._run_lane()) for _ in range(lanes)]

    async def write(self, change: Change) -> Written:
        """Write a change once; returns when the commit that carries it is durable.

        Who comes while a change of the same key is under way hears what becomes of that one, and
        that it is repeated: nothing is written for them, no event and no evidence of their own.
        Cancelling the caller does not recall the change; writing it again tells what became of it.

        Raises:
            ContentConflict: The key is known with other content.
            LedgerBusy: The queue is full, or the database is too busy; nothing was written.
            ValueError: The change is malformed; nothing was written.
            ConnectionError: It is unknown what became of the change; a repeat is safe.
        """
        check(change)
        digest = change.digest()
        waiting = self._by_key.get(change.key)
        if waiting is None:
            return await self._enqueue(change, digest).tell(self._loop.create_future())
        if waiting.digest != digest:
            raise ContentConflict(change.key)
        written = await waiting.tell(self._loop.create_future())
        was_written = written.held is None and not written.stale
        return written._replace(repeated=True) if was_written else written

    def _enqueue(self, change: Change, digest: bytes) -> _Waiting:
        if self._closing:
            raise ConnectionError("the books are closing; nothing was written")
        if len(self._queue) >= QUEUE_MAX:
            raise LedgerBusy(
                f"{len(self._queue)} changes wait already; nothing was written, try again later"
            )
        waiting = _Waiting(change, digest, touched(change))
        self._queue.append(waiting)
        self._by_key[change.key] = waiting
        self._wake_one()
        return waiting

    def _wake_one(self) -> None:
        """Wake an idle lane, if there is something for one more."""
        if self._idle and self._queue and self._wants_lane():
            self._idle.pop().set()

    def _wants_lane(self) -> bool:
        return len(self._by_key) > LANE_STEP * self._lanes_busy

    def _wake_all(self) -> None:
        while self._idle:
            self._idle.pop().set()

    async def aclose(self) -> None:
        """Take no more changes, finish all that wait, and close the lanes."""
        self._closing = True
        self._wake_all()
        await asyncio.gather(*self._lanes)

    async def _run_lane(self) -> None:
        lane = _Lane(self._connect)
        try:
            while batch := await self._next_batch():
                try:
                    await lane.commit(batch)
                except Exception:  # A bug of ours: the lane goes on, its callers hear of it.
                    log.exception("A batch was not concluded")
                finally:
                    self._finish(batch)
        finally:
            lane.drop()

    async def _next_batch(self) -> list[_Waiting]:
        """Wait for work; an empty batch means that there will be none any more."""
        while True:
            if batch := self._take():
                self._lanes_busy += 1
                self._wake_one()
                return batch
            if self._closing and not self._queue:
                return []
            waker = asyncio.Event()
            self._idle.append(waker)
            await waker.wait()

    def _take(self) -> list[_Waiting]:
        """Take what waits, but nothing that shares a payment or hold with what is under way."""
        if not self._wants_lane():
            return []
        batch: list[_Waiting] = []
        deferred: list[_Waiting] = []
        most = min(BATCH_MAX, self._share())
        while self._queue and len(batch) < most:
            waiting = self._queue.popleft()
            if self._busy.isdisjoint(waiting.touched):
                self._busy |= waiting.touched
                batch.append(waiting)
            else:
                deferred.append(waiting)
        self._queue.extendleft(reversed(deferred))
        return batch

    def _share(self) -> int:
        """Return how much one lane takes, so that Python and the server work at the same time.

        A lane that took all would leave none for the next one, and then callers who write again
        once they are answered would come in one wave for ever: first Python works, then the server.
        """
        outstanding = len(self._by_key)
        lanes = min(len(self._lanes), -(-outstanding // LANE_STEP))
        return -(-outstanding // lanes)

    def _finish(self, batch: Sequence[_Waiting]) -> None:
        for waiting in batch:
            self._busy -= waiting.touched
            del self._by_key[waiting.change.key]
            if waiting.result is None:
                waiting.conclude(ConnectionError("the lane ended before its commit was known"))
        self._lanes_busy -= 1
        if self._closing:
            self._wake_all()


class _Lane:
    """One connection, and what is done about its errors."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._patient_until = 0.0

    def drop(self) -> None:
        """Close the connection at once; the next commit opens another."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def commit(self, batch: Sequence[_Waiting]) -> None:
        """Commit a batch and conclude every change in it, a guilty one apart from the others."""
        self._patient_until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        await self._commit(batch)

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            rows = await self._written(batch)
        except Exception as error:  # Every caller has to hear of it, whatever it is.
            if len(batch) > 1 and self._may_be_ones_fault(error):
                middle = len(batch) // 2
                await self._commit(batch[:middle])
                await self._commit(batch[middle:])
                return
            for waiting in batch:
                waiting.conclude(_conclusion(waiting, error))
            return
        told = answers((waiting.change for waiting in batch), rows)
        for waiting, result in zip(batch, told, strict=True):
            waiting.conclude(result)

    def _may_be_ones_fault(self, error: Exception) -> bool:
        """Tell whether the batch's halves, tried apart, may fare better than the whole."""
        if is_cancelled(error):  # One big change, or a slow server: then it would take for ever.
            return asyncio.get_running_loop().time() < self._patient_until
        return not (is_transient(error) or is_lost(error))

    async def _written(self, batch: Sequence[_Waiting]) -> Sequence[asyncpg.Record]:
        """Commit a batch, again and again while its error may pass or its outcome is unknown."""
        rows = rows_of([(waiting.change, waiting.digest) for waiting in batch])
        for tries in range(1, TRIES_MAX + 1):
            sent = False
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                sent = True
                # One statement is one transaction: the reply comes after its commit.
                return await self._connection.fetch(WRITE, *rows.arguments())
            except Exception as error:
                pause = JITTER_SECONDS
                if is_lost(error):
                    pause = RECONNECT_SECONDS
                    self.drop()
                    for waiting in batch:
                        waiting.in_doubt |= sent
                elif not is_transient(error):
                    raise
                if tries == TRIES_MAX:
                    raise
                await asyncio.sleep(pause * tries * random.uniform(0.5, 1.5))  # noqa: S311
        raise AssertionError("the last try returns or raises")


def _conclusion(waiting: _Waiting, error: Exception) -> Exception:
    """Return what a caller hears when nothing more is tried for its change."""
    conclusion = error
    if is_lost(error):
        conclusion = ConnectionError(f"the books do not answer: {error}")
    elif waiting.in_doubt:
        conclusion = ConnectionError(f"an answer was lost, and then: {error}; ask again")
    elif is_transient(error) or is_cancelled(error):
        conclusion = LedgerBusy(f"nothing was written; try again: {error}")
    elif is_malformed(error):
        conclusion = as_malformed(error, waiting.change.key)
    if conclusion is not error:
        conclusion.__cause__ = error
    return conclusion
