"""Sending: a file's lines become payments, many at a time, and every line gets its answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from bursar.cli.codes import ExitCode, highest
from bursar.cli.files import Line, Refused
from bursar.errors import BursarError, PaymentConflict, ServiceUnavailable
from bursar.money import Money
from bursar.payments import PayoutRequest, TransferRequest, content_hash

IN_FLIGHT_MAX = 32
"""Starts under way at the same time."""

FAILURES_IN_A_ROW_MAX = IN_FLIGHT_MAX
"""Unanswered starts in a row after which the rest is not even tried."""

_T = TypeVar("_T", bound=PayoutRequest | TransferRequest)


class Outcome(StrEnum):
    """What became of a line that is right."""

    GOOD = "good"
    """A dry run: it would be sent."""
    STARTED = "started"
    EXISTED = "existed"
    """The same payment had been sent before; nothing was started."""
    REPEATED = "repeated"
    """The same payment stands earlier in this file; it is sent once."""
    CONFLICT = "conflict"
    """The id belongs to another content, earlier in the file or already sent; nothing started."""
    FAILED = "failed"
    """It was refused as it was sent; nothing was started."""
    UNKNOWN = "unknown"
    """Temporal did not answer: it may have started. Sending the file again is safe."""
    NOT_SENT = "not_sent"
    """Not tried, since Temporal had stopped answering."""


_CODES = {
    Outcome.CONFLICT: ExitCode.CONFLICT,
    Outcome.FAILED: ExitCode.INVALID,
    Outcome.UNKNOWN: ExitCode.UNAVAILABLE,
    Outcome.NOT_SENT: ExitCode.UNAVAILABLE,
}


@dataclass(frozen=True)
class Sent:
    """One line's answer."""

    line: int
    id: str
    amount: Money
    outcome: Outcome
    detail: str = ""


@dataclass
class Plan(Generic[_T]):
    """A file's good lines, each id once, and what was found among the others."""

    lines: list[Line[_T]] = field(default_factory=list)
    set_aside: list[Sent] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What became of a whole file."""

    file: str
    check: bool
    sent: tuple[Sent, ...]
    refused: tuple[Refused, ...]

    @property
    def exit_code(self) -> ExitCode:
        """The code of the worst thing that happened."""
        codes = [_CODES.get(sent.outcome, ExitCode.OK) for sent in self.sent]
        return highest([*codes, *([ExitCode.INVALID] if self.refused else [])])

    def counts(self) -> dict[str, int]:
        """Return how many lines had each outcome, and how many were refused."""
        counted = Counter(sent.outcome for sent in self.sent)
        found = {outcome.value: counted[outcome] for outcome in Outcome if counted[outcome]}
        return {**found, **({"refused": len(self.refused)} if self.refused else {})}

    def sums(self) -> dict[str, tuple[int, int]]:
        """Return by currency how many payments the file stands for, and their minor units."""
        sums: dict[str, tuple[int, int]] = {}
        for sent in self.sent:
            if sent.outcome in {Outcome.GOOD, Outcome.STARTED, Outcome.EXISTED}:
                count, minor = sums.get(sent.amount.currency, (0, 0))
                sums[sent.amount.currency] = (count + 1, minor + sent.amount.amount_minor)
        return dict(sorted(sums.items()))

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines; amounts are minor units."""
        return {
            "file": self.file,
            "check": self.check,
            "counts": self.counts(),
            "sums": {
                currency: {"payments": count, "amount_minor": minor}
                for currency, (count, minor) in self.sums().items()
            },
            "lines": [
                {"line": sent.line, "id": sent.id, "outcome": sent.outcome.value}
                | ({"detail": sent.detail} if sent.detail else {})
                for sent in self.sent
            ],
            "refused": [bad.as_json() for bad in self.refused],
        }


def plan(lines: Sequence[Line[_T]]) -> Plan[_T]:
    """Keep the first line of each id; the same again is a repeat, anything else a conflict."""
    made: Plan[_T] = Plan()
    seen: dict[str, tuple[int, str]] = {}
    for line in lines:
        digest = content_hash(line.request)
        first, known = seen.setdefault(line.request.id, (line.number, digest))
        if first == line.number:
            made.lines.append(line)
        elif known == digest:
            made.set_aside.append(_sent(line, Outcome.REPEATED, f"the same as line {first}"))
        else:
            detail = f"line {first} has this id with other content, and goes first"
            made.set_aside.append(_sent(line, Outcome.CONFLICT, detail))
    return made


async def send(
    lines: Sequence[Line[_T]],
    start: Callable[[_T], Awaitable[bool]],
    on_answer: Callable[[], None] = lambda: None,
) -> list[Sent]:
    """Start every line's payment, at most `IN_FLIGHT_MAX` at a time.

    Args:
        lines: What to start; each id once.
        start: Starts one payment; true means that the same one had been started before.
        on_answer: Called after each line.
    """
    waiting = iter(lines)
    answers: list[Sent] = []
    failures_in_a_row = 0

    async def clerk() -> None:
        nonlocal failures_in_a_row
        for line in waiting:  # shared: each clerk takes the next one
            if failures_in_a_row >= FAILURES_IN_A_ROW_MAX:
                answers.append(_sent(line, Outcome.NOT_SENT))
                continue
            answer = await _start(line, start)
            unanswered = answer.outcome is Outcome.UNKNOWN
            failures_in_a_row = failures_in_a_row + 1 if unanswered else 0
            answers.append(answer)
            on_answer()

    await asyncio.gather(*(clerk() for _ in range(IN_FLIGHT_MAX)))
    return answers


async def _start(line: Line[_T], start: Callable[[_T], Awaitable[bool]]) -> Sent:
    try:
        existed = await start(line.request)
    except PaymentConflict:
        return _sent(line, Outcome.CONFLICT, "the id was sent before with other content")
    except ServiceUnavailable as error:
        return _sent(line, Outcome.UNKNOWN, str(error))
    except BursarError as error:
        return _sent(line, Outcome.FAILED, str(error))
    return _sent(line, Outcome.EXISTED if existed else Outcome.STARTED)


def checked(lines: Sequence[Line[_T]]) -> list[Sent]:
    """Return the answers of a dry run."""
    return [_sent(line, Outcome.GOOD) for line in lines]


def report(file: str, *, check: bool, sent: Sequence[Sent], refused: Sequence[Refused]) -> Report:
    """Return the report of a file, its lines in order."""
    return Report(file, check, tuple(sorted(sent, key=lambda one: one.line)), tuple(refused))


def _sent(line: Line[_T], outcome: Outcome, detail: str = "") -> Sent:
    return Sent(line.number, line.request.id, line.request.amount, outcome, detail)
