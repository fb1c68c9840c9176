"""Memory: a worker makes many objects that die young and hardly any cycles; say so to Python."""

from __future__ import annotations

import gc

YOUNG_MAX = 50_000
"""How many more objects than were freed it takes for the young ones to be looked through."""
ROUNDS = 20
"""How many such passes make one over the older objects."""


def collect_seldom() -> None:
    """Look for cycles seldom, and never again among what is there now.

    By its defaults Python looks through everything that waits for a commit again and again, which
    costs a quarter of a worker's CPU under load; reference counting frees it all without that.
    Source: docs/decisions/0012-what-makes-the-books-fast.md.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, ROUNDS, ROUNDS)
