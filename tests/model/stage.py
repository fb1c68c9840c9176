"""The stage: activities as tasks that stop at every call, where they may die, freeze or go on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from ledger.books import Books

Step = Callable[[], Coroutine[Any, Any, Any]]


class Crash(BaseException):
    """The process that ran this task is gone: nothing of it goes on, nothing is answered."""


class Pause:
    """A place at which a task may be stopped: before a call, or before its answer is heard."""

    def __await__(self) -> Generator[Pause, None, None]:
        """Hand the stage over."""
        yield self


PAUSE = Pause()


@dataclass
class Task:
    """One try after another of one step, until it answers."""

    name: str
    step: Step
    done: Callable[[Any], None]
    is_partner_call: bool = False
    retry_at: datetime | None = None
    """Not before this moment, since the step itself asked for a pause."""
    failures: list[str] = field(default_factory=list)
    """Errors of ours that the step ended with; it is run again for ever."""
    running: Coroutine[Any, Any, Any] | None = None
    is_sending: bool = False
    """Bytes may leave at any moment: the mark is set, and the bank has not been called yet."""
    is_zombie: bool = False


class PausingBooks:
    """The books behind a line that may be cut before a call arrives, or before it is answered."""

    def __init__(self, books: Books, sending: Callable[[], None]) -> None:
        self._books = books
        self._sending = sending

    def as_books(self) -> Books:
        """Return this as what it stands for."""
        return cast("Books", self)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return a call of the books with a pause on each side of it."""
        real = getattr(self._books, name)

        async def call(*given: Any, **named: Any) -> Any:
            await PAUSE
            answer = await real(*given, **named)
            if name == "mark_sent" and answer.fence is not None:
                self._sending()
            await PAUSE
            return answer

        self.__dict__[name] = call
        return call
