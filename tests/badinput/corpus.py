"""The corpus: every entry that is a payout with one thing changed, by family."""

from __future__ import annotations

from tests.badinput import accounts, amounts, requests, texts
from tests.badinput.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    *amounts.entries(),
    *accounts.entries(),
    *texts.entries(),
    *requests.entries(),
)


def refused() -> tuple[Entry, ...]:
    """Return the entries that must be refused."""
    return tuple(entry for entry in ENTRIES if entry.code is not None)


def accepted() -> tuple[Entry, ...]:
    """Return the entries that must be accepted."""
    return tuple(entry for entry in ENTRIES if entry.code is None)
