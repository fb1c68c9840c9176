"""The store: one thread owns the SQLite file and commits the jobs that wait for it together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

Tx = sqlite3.Connection
"""An open transaction, as a job sees it."""

_Job = tuple[Callable[[Tx], Any], "Future[Any]"]

_JOBS_MAX = 256
_SCHEMA = Path(__file__).with_name("schema.sql")


class Store:
    """Runs jobs one after another; a job's result is handed out only after its commit is durable.

    A job that raises is undone alone; its neighbours in the same commit stand.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.executescript(_SCHEMA.read_text())
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[Tx], T]) -> T:
        """Run a job in a transaction and return its result once that is committed."""
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Commit what waits and close the file."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        more = True
        while more:
            batch, more = self._next_batch()
            self._commit(batch)

    def _next_batch(self) -> tuple[list[_Job], bool]:
        """Wait for a job and take those behind it; False once the store is closing."""
        batch: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == _JOBS_MAX or self._jobs.empty():
                return batch, True
            job = self._jobs.get()
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job, future in batch:
                if future.set_running_or_notify_cancel():
                    results.append((future, *self._attempt(job)))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            results = [(future, None, error) for future in _living(batch)]
        for future, result, failure in results:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)

    def _attempt(self, job: Callable[[Tx], Any]) -> tuple[Any, BaseException | None]:
        """Run one job inside its own savepoint."""
        self._connection.execute("SAVEPOINT job")
        try:
            result = job(self._connection)
        except Exception as error:
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return None, error
        self._connection.execute("RELEASE job")
        return result, None


def _living(batch: list[_Job]) -> list[Future[Any]]:
    """Return the futures that somebody still waits for."""
    futures = [future for _, future in batch]
    return [one for one in futures if one.running() or one.set_running_or_notify_cancel()]
