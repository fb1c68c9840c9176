"""B-name and B-ref: what names and references may not hold, and what they must be able to."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from tests.badinput.entry import GONE, Entry

NAME, REFERENCE = "beneficiary.name", "reference"

UNPRINTABLE = (
    *range(0x00, 0x20),
    *range(0x7F, 0xA0),
    *(0x00AD, 0x0600, 0x061C, 0x06DD, 0x070F, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    *(0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFE, 0xFFFF, 0xE000, 0xF8FF, 0x1BCA0, 0x1D173),
    *(0xE0001, 0xE0020, 0xE0041, 0xE007F, 0xF0000, 0x10FFFF, 0x0378, 0xFDD0),
)
"""Control, format, direction, private and unassigned characters."""
INVISIBLE = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x180B, 0xFE00, 0xFE0F)
ODD_SPACES = (0x00A0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)

NAMES = (
    *("Anna Müller", "José Álvarez", "Łukasz Żółć", "Søren Ångström", "Ngô Đình Diệm", "O'Brien"),
    *("Ștefan Țepeș", "Zoë Smith-Jones", "D’Angelo", "Müller & Söhne GmbH", "ACME (UK) Ltd.", "Li"),
    *("Иван Петров", "Олексій Ґудзь", "Γιώργος Παπαδόπουλος", "יוסף כהן", "محمد علي", "नरेंद्र शर्मा"),
    *(
        "สมชาย ใจดี",
        "田中 太郎",
        "タナカ タロウ",
        "たなか",
        "김철수",
        "王小明",
        "Հայկ Սարգսյան",
        "გიორგი",
    ),
    *("Übung AG", "X Æ A-12", "Dr. Dr. h.c. Erika Mustermann", "3M", "Ñandú", "İbrahim Şahin", "ß"),
)
HARMLESS_IN_STORE = (
    *("=cmd()", "=1+1", "@SUM(A1)", "+4912345", "=HYPERLINK(0)", "<script>alert(1)</script>"),
    *("'; drop table payments;--", '" or 1=1', "%s%n", "jndi:ldap"),
    *("../../etc/passwd", "$(reboot)", "`id`", "\\", "[red]bold[/red]", "[link=x]y", "a|b", "😀"),
    *("NULL", "null", "None", "undefined", "true", "0", "NaN", "&lt;", "a & b", "100 %", "#1", "*"),
)
"""Texts that only hurt whoever shows or runs them carelessly; they are kept as they are."""

CARDS = (
    *(
        "4111111111111111",
        "4012888888881881",
        "4222222222222",
        "4000056655665556",
        "5555555555554444",
    ),
    *(
        "5105105105105100",
        "2223003122003222",
        "378282246310005",
        "371449635398431",
        "6011111111111117",
    ),
    *(
        "6011000990139424",
        "3530111333300000",
        "3566002020360505",
        "30569309025904",
        "38520000023237",
    ),
    *(
        "36227206271667",
        "6200000000000005",
        "6212345678901232",
        "2200000000000004",
        "5018000000000009",
    ),
)
"""Test numbers that the schemes and their processors publish."""
NO_CARDS = (
    *("4111111111111112", "1764249400123", "20261127093000123", "411111111111", "INV 2026-0001"),
    *(
        "41111111111111111111",
        "RF18539007547034",
        "0000000000000000",
        "1234567890123",
        "00 11 22 33",
    ),
    *("2026-11-27 2026-12-27 17", "9999999999999995", "1111222233334444", "order 8000000000000001"),
)
KEYS = (
    "sk_" + "live_" + "abcdefgh12345678",
    "rk_" + "test_" + "abcdefgh12345678",
    "whsec_" + "aG91c2Utc2VjcmV0LW9mLTMyLWJ5",
    "-----BEGIN " + "RSA PRIVATE KEY-----",
    "-----BEGIN " + "PRIVATE KEY-----",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "gh" + "p_" + "a" * 36,
    "AKIA" + "IOSFODNN7EXAMPLE",
)
NO_TEXT: tuple[Any, ...] = (None, 5, 1.5, True, [], ["x"], {}, {"text": "x"})


def entries() -> Iterator[Entry]:
    """Give every entry."""
    for place in (NAME, REFERENCE):
        family = "B-name" if place == NAME else "B-ref"
        yield from _characters(family, place)
        yield from _shapes(family, place, 70 if place == NAME else 140)
        for text in (*NAMES, *HARMLESS_IN_STORE):
            yield Entry(family, text, place, text, None)
        for card in CARDS:
            yield Entry(family, "a card number", place, card, "card_number")
        for value in NO_TEXT:
            yield Entry(family, f"{value!r} as text", place, value, "type_invalid")
        yield Entry(family, "left out", place, GONE, "missing")
    yield from _references()


def _characters(family: str, place: str) -> Iterator[Entry]:
    for point in (*UNPRINTABLE, *INVISIBLE, *ODD_SPACES):
        yield Entry(family, f"U+{point:04X}", place, f"An{chr(point)}na", "charset")
    for point in (0xD800, 0xDBFF, 0xDC00, 0xDFFF):
        half = f"An{chr(point)}na"  # no text at all, so that the whole document is none
        yield Entry(family, f"lone U+{point:04X}", place, half, "malformed_json", "")
    for mark in (0x0300, 0x0301, 0x0336, 0x0489, 0x20DD, 0x0E38, 0x0670):
        flood = "A" + chr(mark) * 30
        yield Entry(family, f"a flood of U+{mark:04X}", place, flood, "charset")


def _shapes(family: str, place: str, length_max: int) -> Iterator[Entry]:
    for text in ("", " ", "   ", " Anna", "Anna ", "\tAnna", "Anna\n", "\u00a0", "\u3000Anna"):
        yield Entry(family, f"{text!r}", place, text, "empty")
    yield Entry(family, "the longest", place, "x" * length_max, None)
    yield Entry(family, "one too long", place, "x" * (length_max + 1), "too_long")
    yield Entry(family, "long", place, "y" * 10_000, "too_long")
    for name in ("José", "Müller", "Ångström", "Ngô Đình Diệm", "가나"):
        apart = unicodedata.normalize("NFD", name)
        yield Entry(family, f"{name} taken apart", place, apart, None)
    grown = "\u0958" * length_max  # composed, this letter is two: NFC makes some texts longer
    yield Entry(family, "too long once composed", place, grown, "too_long")


def _references() -> Iterator[Entry]:
    for card in CARDS:
        four = " ".join(card[at : at + 4] for at in range(0, len(card), 4))
        yield Entry("B-ref", "card in a sentence", REFERENCE, f"card {card} paid", "card_number")
        if len(card) == 16:
            yield Entry("B-ref", "card in groups", REFERENCE, four, "card_number")
            hyphens = four.replace(" ", "-")
            yield Entry("B-ref", "card with hyphens", REFERENCE, hyphens, "card_number")
    for text in NO_CARDS:
        yield Entry("B-ref", "like a card number, and none", REFERENCE, text, None)
    for key in KEYS:
        yield Entry("B-ref", "a key", REFERENCE, f"use {key}", "secret_text")
    for text in (":20:ref", "-}", "-ref", ":", "{1:F01}", "a}b", "x{y", "-----", ":-)"):
        yield Entry("B-ref", "a part of a bank file", REFERENCE, text, "charset")
    for text in ("a:b", "a-b", "2026-11-27", "ref: 7", "a - b"):
        yield Entry("B-ref", "no part of a bank file", REFERENCE, text, None)
