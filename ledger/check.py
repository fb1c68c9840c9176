"""What one check of the books is."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """One invariant; its query returns `place, detail` for each thing that breaks it."""

    name: str
    says: str
    sql: str


MONEY_KINDS = """('hold', 'capture', 'settle', 'void', 'uncapture', 'transfer', 'deposit',
    'return', 'return_told', 'return_money', 'assign', 'fee', 'paid_after_failed', 'paid_twice',
    'phantom', 'case_assign', 'case_adjust', 'case_writeoff')"""
"""Kinds of transactions that have entries when they are booked, as a list in SQL."""
