"""Poison: an event that fails again and again is set aside for a person, and all others flow."""

from __future__ import annotations

from datetime import UTC, datetime

from ledger.books import Books, StoredEvent
from ledger.changes import CaseOpened, Change

FAILURES_MAX = 5
"""How often in a row an event may fail before it waits for a person."""


async def count_failure(
    books: Books, stored: StoredEvent, error: str, *, actor: str, failures_max: int = FAILURES_MAX
) -> bool:
    """Count that an event has failed; at the last time it is set aside, with a case.

    Args:
        books: Where it is counted.
        stored: The event as it was read before it failed.
        error: What went wrong, in words that may be shown.
        actor: Who tried.
        failures_max: How often it may fail in a row.

    Returns:
        Whether the event is set aside now.
    """
    last = stored.failures + 1 >= failures_max
    if last:  # the case first: an event must never be out of the way with nobody told
        await _open_case(books, stored, error, actor)
    aside = await books.add_event_failure(stored.row_id, error[:200], failures_max)
    if aside and not last:  # it has failed elsewhere too in the meantime
        await _open_case(books, stored, error, actor)
    return aside


async def _open_case(books: Books, stored: StoredEvent, error: str, actor: str) -> None:
    detail = (
        f"event {stored.row_id} ({stored.event.kind} of {stored.event.partner}) fails again and "
        f"again: {error[:200]}; mend the cause, then `bursar events redrive {stored.row_id}`"
    )
    await books.write(
        Change(
            key=f"event/{stored.row_id}/set_aside/{stored.redrives}",
            kind="case",
            actor=actor,
            reason="an event was set aside",
            payment_id=stored.payment_id,
            effective_on=datetime.now(UTC).date(),
            evidence_id=f"event/{stored.event.event_id}",
            case=CaseOpened(kind="event_set_aside", detail=detail),
        )
    )
