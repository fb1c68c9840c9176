"""What a partner's folder offers so that its promises can be tried: a bank to rehearse with."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from partners.port import Attempt, Partner
from partners.transport import Below


@dataclass(frozen=True)
class Moved:
    """What left our account for one of our references, by the bank's own book."""

    times: int
    minor: int


class Rehearsal(Protocol):
    """A running bank with a book of its own, and adapters that speak to it.

    partners/<name>/rehearsal.py offers `VARIANTS`, the names of the ways in which the bank can be
    run, and `open_rehearsal(variant, directory)`, which runs it until the block ends.
    """

    submit_statuses: frozenset[int]
    """Statuses with which the bank's contract says something of the money on a submit."""

    def partner(self, below: Below | None = None) -> Partner:
        """Return an adapter of this bank; the test closes it."""

    async def fund(self, currency: str, amount_minor: int) -> None:
        """Put money on our account at the bank."""

    async def moved(self, attempt: Attempt) -> Moved:
        """Return what the bank's book says of an attempt, once nothing is at work in the bank."""

    def event(
        self, *, signed_at: datetime | None = None, authentic: bool = True
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return a message as the bank sends it; not authentic: signed with another secret."""


Open = Callable[[str, Path], AbstractAsyncContextManager[Rehearsal]]


def variants(partner: str) -> tuple[str, ...]:
    """Return the names of the ways in which a partner's bank can be run."""
    names: tuple[str, ...] = importlib.import_module(f"partners.{partner}.rehearsal").VARIANTS
    return names


def open_rehearsal(
    partner: str, variant: str, directory: Path
) -> AbstractAsyncContextManager[Rehearsal]:
    """Run a partner's bank in a directory of its own until the block ends."""
    run: Open = importlib.import_module(f"partners.{partner}.rehearsal").open_rehearsal
    return run(variant, directory)
