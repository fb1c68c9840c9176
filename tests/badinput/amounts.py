"""B-amount and B-ccy: amounts and currencies, as JSON values and as the text of a CSV cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import iso4217

from tests.badinput.entry import GONE, Entry

MINOR = "amount.amount_minor"
NO_WHOLE_NUMBER: tuple[Any, ...] = (
    *(-1, 0, -(10**15), 10**15 + 1, 10**18, 2**63, 2**64, 10**38, -(2**63)),
    *(0.1, 1.0, 12.5, -0.0, 1e3, 1e300, 1e-300, float("nan"), float("inf"), float("-inf")),
    *("", " 5", "5 ", "+5", "-5", "1e3", "0x10", "1_000", "1,00", ".5", "5.", "5", "NaN"),
    *("Infinity", "null", "true", "12.50", "١٢", "５", "1" * 40, "five", "€5", "5 EUR"),
    *(True, False, None, [], [1], {}, {"minor": 1}, [[1]], {"amount_minor": 1}),
)
WHOLE = (1, 2, 99, 100, 12_50, 10**6, 2**31, 2**32, 2**48, 10**15 - 1, 10**15)
NO_MONEY: tuple[Any, ...] = (None, 5, "12.50", [], "EUR 5", True, 1.5, [{"amount_minor": 1}])

ZEROS = (
    *(0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6),
    *(0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0),
    *(0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xAA50),
    *(0xABF0, 0xFF10, 0x104A0, 0x11066, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6),
)
"""Zeros of scripts whose digits are digits too, for Unicode and for careless programs."""

NO_DECIMAL = (
    *("-1", "-0", "+5", " 5", "5 ", "1e3", "1E3", "0x10", "0b1", "0o7", "1_000", "1,00", "1.234,5"),
    *("1,234.50", "1'000", ".5", "5.", "5..0", "5.0.0", ".", "..", "-", "+", "NaN", "nan", "inf"),
    *("Infinity", "-Infinity", "1e309", "null", "true", "five", "€5", "5€", "EUR 5", "5 EUR", "½"),
    *("²", "1²", "Ⅴ", "00", "01", "007", "00.50", "1 000", "1\u00a0000", "1\u20095", "5%", "5/2"),
    *(
        "--5",
        "(5)",
        "5-",
        "=5",
        "=1+1",
        "'5",
        '"5"',
        "5;6",
        "0.5e1",
        "5.0f",
        "5L",
        "5d",
        "０",
        "五",
    ),
    *("1\t", "\t1", "1\u200b", "\ufeff1", "1\u202e", "0x", "1e", "e1", "1.e1", "1e-2", "∞", "#"),
)
NO_CURRENCY = (
    *(
        "",
        "usd",
        "Eur",
        "US$",
        "€",
        "EURO",
        "EU",
        "E",
        " EUR",
        "EUR ",
        "E R",
        "EUR\n",
        "XXX",
        "XTS",
    ),
    *("XAU", "XAG", "XPT", "XPD", "XBA", "XBB", "XBC", "XBD", "XSU", "XUA", "BTC", "ETH", "XBT"),
    *("USDT", "HRK", "DEM", "FRF", "ITL", "EEK", "LTL", "LVL", "SKK", "ZZZ", "AAA", "978", "840"),
    *(
        "ЕUR",
        "EUＲ",
        "EÜR",
        "EUR\u200b",
        "N/A",
        "null",
        "EUR;",
        "=EUR",
        "../",
        "eur.",
        "🇪🇺",
        "EURR",
    ),
)
ANY_CURRENCY: tuple[Any, ...] = (None, 978, 1.5, True, [], ["EUR"], {}, {"code": "EUR"})


def entries() -> Iterator[Entry]:
    """Give every entry whose value stands in JSON."""
    for value in NO_WHOLE_NUMBER:
        yield Entry("B-amount", f"{value!r} as minor units", MINOR, value, "amount_invalid")
    for value in WHOLE:
        yield Entry("B-amount", f"{value} as minor units", MINOR, value, None)
    for value in NO_MONEY:
        yield Entry("B-amount", f"{value!r} as money", "amount", value, "amount_invalid")
    yield Entry("B-amount", "no minor units", MINOR, GONE, "missing")
    yield Entry("B-amount", "no amount", "amount", GONE, "missing")
    for code in NO_CURRENCY:
        yield Entry("B-ccy", f"{code!r} as currency", "amount.currency", code, "currency_invalid")
    for value in ANY_CURRENCY:
        yield Entry("B-ccy", f"{value!r} as currency", "amount.currency", value, "type_invalid")
    yield Entry("B-ccy", "no currency", "amount.currency", GONE, "missing")
    for code in ("USD", "GBP", "JPY", "KWD"):
        account = f"wallet/acme/{code}"
        yield Entry("B-ccy", f"EUR from {account}", "account", account, "currency_mismatch", "")


def decimals() -> Iterator[tuple[str, str, str | None]]:
    """Give decimal text, currency, and the code with which a CSV line is refused, or None."""
    for text in NO_DECIMAL:
        yield text, "EUR", "amount_invalid"
    for zero in ZEROS:
        yield chr(zero + 1) + chr(zero + 2), "EUR", "amount_invalid"
    for text in ("0", "0.0", "0.00", "10000000000000.01", "9" * 40, "9" * 900):
        yield text, "EUR", "amount_invalid"
    for currency, digits in scales():
        too_fine = "1." + "0" * digits + "1"
        yield too_fine, currency, "currency_scale"
        yield "100" + ("." + "5".ljust(digits, "0") if digits else ""), currency, None


def scales() -> list[tuple[str, int]]:
    """Return every currency that can be paid with its digits, out of the package's table."""
    found = ((each.code, each.exponent) for each in iso4217.Currency)
    return sorted((code, int(digits)) for code, digits in found if digits is not None)
