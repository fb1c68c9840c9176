"""Batches: changes as the rows that the database's function takes, and its answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import asyncpg

from bursar.errors import ContentConflict
from bursar.payments import PaymentState
from ledger.changes import (
    Attempt,
    AttemptClosed,
    AttemptOpened,
    AttemptReopened,
    Change,
    HeldBack,
    Refusal,
    Written,
)

WRITE = (
    "select n, fate, refusal, state from write_changes_v6($1::change_v1[], $2::opening_v1[],"
    " $3::move_v1[], $4::leg_v1[], $5::attempt_opened_v2[], $6::attempt_closed_v2[],"
    " $7::attempt_reopened_v2[], $8::event_applied_v1[], $9::case_v1[])"
)

Row = tuple[Any, ...]


@dataclass
class Rows:
    """A batch, one list for each of the function's arguments; fields as in the SQL types."""

    changes: list[Row] = field(default_factory=list)
    openings: list[Row] = field(default_factory=list)
    moves: list[Row] = field(default_factory=list)
    legs: list[Row] = field(default_factory=list)
    opened: list[Row] = field(default_factory=list)
    closed: list[Row] = field(default_factory=list)
    reopened: list[Row] = field(default_factory=list)
    applied: list[Row] = field(default_factory=list)
    cases: list[Row] = field(default_factory=list)

    def arguments(self) -> tuple[list[Row], ...]:
        """Return the function's arguments in its order."""
        return (
            self.changes,
            self.openings,
            self.moves,
            self.legs,
            self.opened,
            self.closed,
            self.reopened,
            self.applied,
            self.cases,
        )

    def add(self, change: Change, digest: bytes) -> None:
        """Put one more change into the batch."""
        n = len(self.changes) + 1
        self.changes.append(_change_row(change, digest))
        payment = change.payment_id
        for move in change.moves:
            self.moves.append((n, payment, move.before, move.after))
        for leg in change.legs:
            self.legs.append((n, *leg, change.hold_expires_at if leg.held > 0 else None))
        if change.opens is not None:
            self.openings.append(_opening_row(n, change))
        if change.attempt is not None:
            self._add_attempt(n, payment, change.attempt)
        for row_id in change.applies_events:
            self.applied.append((n, row_id))
        if change.case is not None:
            self.cases.append((n, payment, change.case.kind, change.case.detail))

    def _add_attempt(self, n: int, payment: str | None, attempt: Attempt) -> None:
        match attempt:
            case AttemptOpened() as one:
                claim = (one.ordinal, one.key, one.partner, one.wire_hash, one.content_hash)
                self.opened.append((n, payment, *claim))
            case AttemptClosed() as one:
                told = (one.key, one.result, one.partner_ref, one.code, one.fence)
                self.closed.append((n, payment, *told))
            case AttemptReopened() as one:
                self.reopened.append((n, payment, one.key, one.fence))


def _change_row(change: Change, digest: bytes) -> Row:
    first = change.moves[0] if change.moves else None
    refused_from = None
    if first is not None:
        refused_from = first.after if first.before is None else first.before
    return (
        change.key,
        digest,
        change.kind,
        change.actor,
        change.reason,
        change.payment_id,
        first is not None,
        first.before if first is not None else None,
        change.opens.content_hash if change.opens is not None else None,
        change.if_refused,
        refused_from,
        change.effective_on,
        change.evidence_id,
        change.reverses,
        change.attempt.key if change.attempt is not None else None,
        change.closes_cases,
    )


def _opening_row(n: int, change: Change) -> Row:
    opens = change.opens
    if opens is None:
        raise ValueError(f"{change.key}: it registers nothing")
    return (
        n,
        change.payment_id,
        opens.kind,
        opens.tenant,
        opens.account,
        opens.currency,
        opens.amount_minor,
        opens.fee_minor,
        opens.partner,
        opens.content_hash,
        json.dumps(opens.request),
        json.dumps(opens.terms),
        opens.created_by,
        opens.batch_id,
        change.moves[0].after,
    )


def check(change: Change) -> None:
    """Refuse what the database would refuse too, before it takes a place in a batch.

    Raises:
        ValueError: The change contradicts itself; the message names its key and the reason.
    """
    reason = _contradiction(change) or _imbalance(change)
    if reason is not None:
        raise ValueError(f"{change.key}: {reason}")


def _contradiction(change: Change) -> str | None:
    """Return what is wrong between the parts of a change."""
    moves = change.moves
    if change.payment_id is None and (
        moves or change.attempt or change.if_refused or change.closes_cases
    ):
        return "it moves, tries or ends the case of a payment and does not name it"
    if not moves and change.opens is None:
        return None
    enters = [place for place, move in enumerate(moves) if move.before is None]
    if enters != ([0] if change.opens is not None else []):
        return "a payment enters the register by its first move, and only by that"
    if len(moves) > 1 and any(move.after != after.before for move, after in pairwise(moves)):
        return "each move has to begin where the one before it has ended"
    return None


def _imbalance(change: Change) -> str | None:
    """Return which currency's legs do not sum to 0."""
    sums: dict[str, int] = {}
    for leg in change.legs:
        sums[leg.currency] = sums.get(leg.currency, 0) + leg.delta
    for currency, total in sums.items():
        if total != 0:
            return f"its legs in {currency} sum to {total} minor units, not to 0"
    return None


def touched(change: Change) -> frozenset[str]:
    """Return what two changes of one batch may not share: payments, events, changes built upon."""
    names = [change.payment_id or change.key]
    for leg in change.legs:
        if leg.hold is not None:
            names.append(leg.hold)
        if leg.held > 0:
            names.append(change.key)
    for row_id in change.applies_events:
        names.append(f"event/{row_id}")
    if change.reverses is not None:
        names.append(change.reverses)
    return frozenset(names)


def answer(change: Change, row: asyncpg.Record) -> Written | ContentConflict:
    """Return what the function's row says of a change."""
    _, fate, refusal, state = row
    if fate == "conflict":
        return ContentConflict(change.key)
    held = fate == "held"
    return Written(
        key=change.key,
        refusal=Refusal(refusal) if refusal and not held else None,
        held=HeldBack(refusal) if held else None,
        state=PaymentState(state) if state else None,
        stale=fate == "stale",
        repeated=fate == "repeated",
    )


def answers(
    changes: Iterable[Change], rows: Iterable[asyncpg.Record]
) -> Iterator[Written | ContentConflict]:
    """Yield what the function says of each change of a batch, in order.

    A change without a row was written as it stands and is of no payment.
    """
    told = {row[0]: row for row in rows}
    for n, change in enumerate(changes, start=1):
        row = told.get(n)
        yield Written(change.key) if row is None else answer(change, row)


def rows_of(changes: Sequence[tuple[Change, bytes]]) -> Rows:
    """Return a batch of changes with their digests as the function's arguments."""
    rows = Rows()
    for change, digest in changes:
        rows.add(change, digest)
    return rows
