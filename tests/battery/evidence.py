"""Evidence: what the banks' own books, the register and the backend's diary say, side by side."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from bursar.payments import FINAL
from tests.battery.diary import lines
from tests.battery.plan import BREACHES

ENDED = ", ".join(f"'{state}'" for state in sorted(FINAL))
"""The states in which a payment has ended, for SQL."""


AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error)
"""What a look at the books or a bank's file meets while something is down."""


def payment_of(reference: str) -> str:
    """Return which payment a reference of ours names; "" for none of ours."""
    return reference.rpartition("-")[0]


@dataclass(frozen=True)
class BankLine:
    """One movement on our account, by the bank's own book; credits to us positive."""

    partner: str
    reference: str
    kind: str
    amount_minor: int
    currency: str
    booked_at: datetime

    @property
    def payment_id(self) -> str:
        return payment_of(self.reference)


@dataclass(frozen=True)
class BankPayout:
    """One payout as the bank has it."""

    reference: str
    kept_minor: int
    """What the bank kept of the money that it gave back."""


@dataclass
class BankBook:
    """Everything that one bank has in its file."""

    lines: list[BankLine] = field(default_factory=list)
    payouts: list[BankPayout] = field(default_factory=list)
    balances: dict[str, int] = field(default_factory=dict)
    tries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What it does wrong with each reference that it was asked to pay."""


def read_bank(partner: str, file: Path) -> BankBook:
    """Read a bank's file, past the bank."""
    book = BankBook()
    with _opened(file) as db:
        for row in db.execute(
            "SELECT reference, kind, amount_minor, currency, booked_at FROM lines"
        ):
            reference, kind, amount_minor, currency, booked_at = row
            moment = datetime.fromisoformat(booked_at)
            book.lines.append(BankLine(partner, reference, kind, amount_minor, currency, moment))
        for reference, kept in db.execute("SELECT reference, ifnull(fee_minor, 0) FROM payouts"):
            book.payouts.append(BankPayout(reference, kept))
        book.balances = dict(db.execute("SELECT currency, booked_minor FROM balances"))
        for reference, quirks in db.execute("SELECT reference, quirks FROM tries"):
            book.tries[reference] = _names(quirks)
    return book


def at_work(file: Path) -> int:
    """Return how many steps and deliveries a bank has before it."""
    with _opened(file) as db:
        steps = db.execute("SELECT count(*) FROM steps").fetchone()[0]
        queued = db.execute("SELECT count(*) FROM deliveries WHERE state = 'queued'").fetchone()[0]
        return int(steps + queued)


def truth_of(file: Path, reference: str) -> list[str]:
    """Return what a bank's payouts of one reference have truly come to."""
    with _opened(file) as db:
        found = db.execute("SELECT truth FROM payouts WHERE reference = ?", (reference,))
        return [row[0] for row in found]


def doubled_references(file: Path) -> list[str]:
    """Return the references that a bank has debited more than once, but for its own mistakes."""
    with _opened(file) as db:
        found = db.execute(
            "SELECT l.reference, t.quirks FROM lines l JOIN tries t ON t.reference = l.reference"
            " WHERE l.kind = 'payout' GROUP BY l.reference HAVING count(*) > 1"
        )
        return [reference for reference, quirks in found if not BREACHES & set(_names(quirks))]


class _opened:
    """A read-only connection, closed at the end of the block."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(self, *_: object) -> None:
        self._db.close()


def _names(quirks: str) -> tuple[str, ...]:
    told: dict[str, Any] = json.loads(quirks)
    groups = ("answer", "lifecycle", "webhook", "lookup")
    return tuple(told[group] for group in groups if isinstance(told.get(group), str))


COUNTED = frozenset({"recorded", "approved"})
"""What a person hears whose approval counts."""


@dataclass
class Told:
    """What the backend has in its diary of one payment."""

    kind: str = "payout"
    request: dict[str, Any] = field(default_factory=dict)
    asked: bool = False
    acknowledged: bool = False
    end: str | None = None
    said: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Who has said what of it, heard or not: cancel, approve, deny."""
    heard: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Who was told that their word counts."""
    verdicts: list[str] = field(default_factory=list)
    too_late_at: list[datetime] = field(default_factory=list)
    """When somebody was told that it is too late to cancel."""
    conflicts_missed: int = 0
    """How often other content under the same id was taken for the same payment."""
    conflicts_made_up: int = 0
    """How often the same content was refused as other content."""


def _hear(of: Told, op: str, line: dict[str, Any]) -> None:
    """Note what a person was told of a word."""
    verdict = (line.get("answer") or {}).get("verdict")
    if not verdict:
        return
    of.verdicts.append(verdict)
    if verdict in COUNTED:
        of.heard[op].add(line["by"])
    if verdict == "too_late":
        of.too_late_at.append(datetime.fromisoformat(line["at"]))


def read_diary(path: Path) -> dict[str, Told]:
    """Read the backend's diary."""
    told: dict[str, Told] = defaultdict(Told)
    for line in lines(path):
        of = told[line["id"]]
        of.kind = line["kind"]
        answer = line.get("answer") or {}
        op, asked, ok = line["op"], line["phase"] == "asked", bool(answer.get("ok"))
        if op == "start" and asked and not of.asked:
            of.asked, of.request = True, line["request"]
        elif op == "start" and line.get("probe") == "other_content":
            of.conflicts_missed += ok
        elif op == "start" and not asked:
            of.acknowledged |= ok
            of.conflicts_made_up += not ok
        elif op == "result" and ok:
            of.end = answer["state"]
        elif op in ("cancel", "approve", "deny"):
            of.said[op].add(line["by"])
            _hear(of, op, line)
    return dict(told)
