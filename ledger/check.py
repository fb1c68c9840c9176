"""What one check of the books is."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Check(NamedTuple):
    """One invariant; its query returns `place, detail` for each thing that breaks it."""

    name: str
    says: str
    sql: str


class Part(StrEnum):
    """What of the books a check is given each minute."""

    BOOKS = "books"
    """All of them: what it reads is small however much has been paid."""
    JOURNAL = "journal"
    """The new transactions, and their entries."""
    PAYMENTS = "payments"
    """The payments that the new transactions are of, whole."""
    NOTHING = "nothing"
    """It is left to the night."""


class EachMinute(NamedTuple):
    """How a check runs each minute over what is new."""

    part: Part
    leaves: str = ""
    """What it would find in all of the books and cannot find in its part; empty: no more than any
    check over a part, to which what has no new transaction looks as it did."""
    sql: str = ""
    """Its query there, where that is not the one for all of the books."""
