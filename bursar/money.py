"""Money: whole minor units of an ISO 4217 currency, and the only rounding."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any

import iso4217
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from bursar.inputs import shown

AMOUNT_MINOR_MAX = 10**15
"""The largest amount of one payment, in minor units; exact in JavaScript too."""

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,999})(\.[0-9]{1,999})?")


@lru_cache(maxsize=512)
def minor_digits(currency: str) -> int:
    """Return how many digits follow the point in a currency: 0 for JPY, 2 for EUR, 3 for KWD.

    Raises:
        ValueError: The code is not of a currency that money can be paid in.

    Source: ISO 4217 table of 2026-01-01, as packaged by `iso4217`.
    """
    try:
        exponent = iso4217.Currency(currency).exponent
    except ValueError:
        raise PydanticCustomError(
            "currency_invalid",
            f"{shown(currency)} is not an ISO 4217 currency code;"
            " write three capitals, such as EUR",
        ) from None
    if exponent is None:  # XXX, XAU, XTS: in the table, but nothing that an account can hold
        raise PydanticCustomError(
            "currency_invalid", f"{shown(currency)} has no minor unit and cannot be paid"
        )
    return int(exponent)


def _checked_currency(code: str) -> str:
    minor_digits(code)
    return code


def _whole_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError(
            "amount_invalid",
            "must be a whole number of minor units, such as 1250 for 12.50 EUR;"
            " no text, fraction or exponent",
        )
    return value


CurrencyCode = Annotated[str, AfterValidator(_checked_currency)]
"""An ISO 4217 code of a currency with a minor unit, such as "EUR"."""

AmountMinor = Annotated[int, BeforeValidator(_whole_number), Field(gt=0, le=AMOUNT_MINOR_MAX)]
"""A whole number of minor units, from 1 to `AMOUNT_MINOR_MAX`; cents for EUR, yen for JPY."""


class Money(BaseModel):
    """An amount of one currency in whole minor units; never zero, negative or fractional."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    amount_minor: AmountMinor
    currency: CurrencyCode

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Read decimal text such as "12.50" as money, refusing what the currency cannot hold.

        Raises:
            ValueError: The text is not plain decimal ASCII, or has more digits than the currency.
        """
        digits = minor_digits(currency)
        if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
            raise PydanticCustomError(
                "amount_invalid", f"{shown(text)} is not a plain decimal amount, such as 12.50"
            )
        whole, _, fraction = text.partition(".")
        if len(fraction) > digits:
            raise PydanticCustomError(
                "currency_scale",
                f"{shown(text)} has {len(fraction)} decimals, but {currency} has {digits}",
            )
        return cls(amount_minor=int(whole + fraction.ljust(digits, "0")), currency=currency)

    def __str__(self) -> str:
        """Return the amount as people write it, such as "12.50 EUR"."""
        return f"{decimal_text(self.amount_minor, self.currency)} {self.currency}"


def decimal_text(amount_minor: int, currency: str) -> str:
    """Return minor units as decimal text with the currency's digits: 1250, EUR → "12.50"."""
    digits = minor_digits(currency)
    sign = "-" if amount_minor < 0 else ""
    text = str(abs(amount_minor)).rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"


def fee_minor(amount_minor: int, rate_bps: int) -> int:
    """Return the fee on an amount, rounded half to even.

    Args:
        amount_minor: The amount in minor units, at least 0.
        rate_bps: Basis points, 0 to 10_000; 25 means 0.25 %.

    Raises:
        ValueError: An argument is out of its range.
    """
    if amount_minor < 0 or not 0 <= rate_bps <= 10_000:
        raise ValueError("a fee needs an amount of at least 0 and a rate from 0 to 10_000 bps")
    try:
        exact = Decimal(amount_minor) * rate_bps / 10_000
        return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
    except InvalidOperation as error:
        raise ValueError(f"{amount_minor} is too large to take a fee from") from error
