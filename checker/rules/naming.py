"""Naming: whom a name stands for, wherever people are counted."""

from __future__ import annotations

import unicodedata


def person(name: str) -> str:
    """Return whom a name stands for: spellings that differ in case, width or spaces are one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
