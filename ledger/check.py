"""What one check of the books is."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """One invariant; its query returns `place, detail` for each thing that breaks it."""

    name: str
    says: str
    sql: str
