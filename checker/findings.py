"""Findings: one thing each that must not be, and the rules that yield them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from checker.facts import Facts


class Finding(NamedTuple):
    """One violation, for a person to look at."""

    where: str
    """A payment, an account, a key, a line: what to search for."""
    detail: str


Judge = Callable[[Facts], Iterable[Finding]]


class Rule(NamedTuple):
    """One invariant: what it says, what it needs to be read, and who judges it."""

    name: str
    says: str
    judge: Judge
    needs: tuple[str, ...] = ()
    """Sources besides the books: banks, told, runs, guards."""
    by: tuple[str, ...] = ()
    """Sources without which it judges less."""
