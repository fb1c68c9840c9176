"""Texts: what may stand in a name, a reference or a reason, and what an approver is warned of.

Sources: Unicode Standard Annex 15 (NFC), Technical Standard 39 §5.2 (scripts that belong
together); ISO/IEC 7812 (card numbers: issuers' ranges and the check digit).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

MARKS_MAX = 4
"""Combining marks on one letter; no living script needs more, and a flood hides its neighbours."""

SHOWN_CODE_POINTS_MAX = 5

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Joiners and fillers that print nothing, though Unicode counts them as letters or marks."""
_SELECTORS = (("\u180b", "\u180d"), ("\ufe00", "\ufe0f"), ("\U000e0100", "\U000e01ef"))

_CARD = re.compile(
    r"(?<!\d)(?:\d{13,19}"
    r"|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?"  # groups of four
    r"|\d{4}[ -]\d{6}[ -]\d{4,5})(?!\d)",  # American Express and Diners
    re.ASCII,
)
_CARD_BEGINS = re.compile(r"[3-6]|2[2-7]")
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{8}"
    r"|\bwhsec_[A-Za-z0-9+/]{8}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.|\bgh[pousr]_[A-Za-z0-9]{20}|\bAKIA[A-Z0-9]{16}\b"
)

_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
)
"""Scripts that people do write in one name."""
_LATIN_IN_DISGUISE = frozenset({"FEMININE", "MASCULINE"})


def checked_text(value: str) -> str:
    """Return a text in NFC, if it prints as it is and holds neither card number nor secret.

    Raises:
        PydanticCustomError: `empty`, `charset`, `card_number` or `secret_text`; the message names
            the character at most, never the text.
    """
    if value != value.strip() or not value:
        raise PydanticCustomError("empty", "must not be empty, nor begin or end with a space")
    return checked_content(value)


def checked_content(value: str) -> str:
    """Return a text as `checked_text` does, but let it be empty or begin with a space."""
    for char in value:
        if not _prints(char):
            raise PydanticCustomError(
                "charset", f"holds the unprintable character U+{ord(char):04X}; remove it"
            )
    text = unicodedata.normalize("NFC", value)
    if _flooded(text):
        raise PydanticCustomError(
            "charset", f"has more than {MARKS_MAX} combining marks on one letter; remove them"
        )
    if holds_card_number(text):
        raise PydanticCustomError("card_number", "holds what looks like a card number; remove it")
    if _SECRET.search(text):
        raise PydanticCustomError("secret_text", "holds what looks like a key or token; remove it")
    return text


def _prints(char: str) -> bool:
    category = unicodedata.category(char)
    if category in _UNPRINTABLE or char in _INVISIBLE:
        return False
    if category == "Zs" and char != " ":
        return False  # a space that is not one: two texts that look the same would differ
    return not any(first <= char <= last for first, last in _SELECTORS)


def _flooded(text: str) -> bool:
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in {"Mn", "Me"} else 0
        if marks > MARKS_MAX:
            return True
    return False


def checked_remittance(value: str) -> str:
    """Return a remittance text that no rail can take for a part of its own format.

    In a SWIFT MT text block a line that begins with ":" or "-" is a field tag or the end, and
    braces enclose blocks. Source: SWIFT User Handbook, FIN message structure.
    """
    text = checked_text(value)
    if text[0] in ":-":
        raise PydanticCustomError("charset", f"must not begin with {text[0]!r}; bank files do that")
    if "{" in text or "}" in text:
        raise PydanticCustomError("charset", "must not hold braces; bank files are made of them")
    return text


def holds_card_number(text: str) -> bool:
    """Tell whether a text holds 13 to 19 digits that an issuer of cards could have given out."""
    for found in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", found.group())
        if _CARD_BEGINS.match(digits) and _luhn(digits):
            return True
    return False


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def mixed_scripts(text: str) -> str | None:
    """Return what an approver must know of a text whose letters are of scripts never mixed.

    Such as a Cyrillic letter among Latin ones, which looks the same and pays somebody else.
    """
    letters = {char: _script(char) for char in text if unicodedata.category(char) in _LETTERS}
    scripts = Counter(script for char, script in letters.items())
    if len(scripts) < 2 or any(set(scripts) <= together for together in _TOGETHER):
        return None
    usual = scripts.most_common(1)[0][0]
    odd = [char for char, script in letters.items() if script != usual]
    named = [f"U+{ord(char):04X} {unicodedata.name(char)}" for char in odd[:SHOWN_CODE_POINTS_MAX]]
    more = f" and {len(odd) - len(named)} more" if len(odd) > len(named) else ""
    return f"mixes letters of {', '.join(sorted(scripts))}: {', '.join(named)}{more}"


_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lo"})


def _script(char: str) -> str:
    word = unicodedata.name(char, "UNNAMED").partition(" ")[0]
    return "LATIN" if word in _LATIN_IN_DISGUISE else word


PrintableText = Annotated[str, AfterValidator(checked_text)]
"""Text that prints as it is: NFC, no control, direction or invisible characters, no card number."""

PlainContent = Annotated[str, AfterValidator(checked_content)]
"""The same, for values that may be empty or begin with a space."""

RemittanceText = Annotated[str, AfterValidator(checked_remittance)]
"""Printable text that is safe inside any rail's format."""
