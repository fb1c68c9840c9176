"""Evidence: what a partner or the network said, made fit to be kept and shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

LENGTH_MAX = 300
"""Characters of evidence that are kept."""

_READ_MAX = 2_000
"""Characters that are looked at; more would only be cut off again."""

_NUMBER_LIKE = re.compile(
    r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{1,4}){3,8}(?!\w)"  # IBAN, in any spelling
    r"|(?<!\w)\+?\d(?: ?\d){6,}(?!\w)"  # account, card and telephone numbers
    r"|(?<!\w)\d{4}(?:-\d{4}){1,4}(?!\w)",  # the same in groups; a date is none
    re.IGNORECASE,
)


def told(text: str | bytes, hide: Iterable[str] = ()) -> str:
    """Return words that are safe to keep: printable, cut short, without account numbers.

    Args:
        text: What was said; bytes that are not UTF-8 are shown as U+FFFD.
        hide: Strings that must not appear, such as an account number that is sent or a secret.
    """
    if isinstance(text, bytes):
        text = text[: _READ_MAX * 4].decode("utf-8", errors="replace")
    for word in hide:
        if word:
            text = text.replace(word, "[hidden]")
    text = _NUMBER_LIKE.sub("[number]", printable(text, _READ_MAX))
    return text if len(text) <= LENGTH_MAX else text[: LENGTH_MAX - 1] + "…"


def printable(text: str, length_max: int) -> str:
    """Return the beginning of a text, each run of spaces and unprintable characters as a space."""
    plain = (char if char.isprintable() else " " for char in text[:length_max])
    return " ".join("".join(plain).split())
