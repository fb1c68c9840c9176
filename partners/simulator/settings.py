"""Settings of the simulated bank's adapter; the bank itself has its own."""

from __future__ import annotations

import base64
import os
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bursar.money import CurrencyCode
from partners.port import Environment

# fmt: off
CURRENCIES = frozenset({
    "EUR", "USD", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "JPY", "KRW", "KWD",
    "BHD", "JOD", "TND", "KES", "UGX", "TZS", "GHS", "NGN", "ZAR", "INR",
})
# fmt: on
"""Source: partners/simulator/bank/README.md, BANK_CURRENCIES."""


SECONDS_MAX = 10 * 366 * 86_400.0


class Mode(StrEnum):
    """What the bank offers for safety; must be the mode that the bank runs in."""

    KEYS_AND_LOOKUP = "keys_and_lookup"
    LOOKUP_ONLY = "lookup_only"
    STATEMENT_ONLY = "statement_only"
    NEITHER = "neither"


class Settings(BaseSettings):
    """Read once, at start: a missing or mistyped value stops the process before it takes work.

    Environment: PARTNER_SIMULATOR_<FIELD> (or with another name that this rail is given), or a file
    of that name in lower case in the directory that BURSAR_SECRETS_DIR names.
    """

    model_config = SettingsConfigDict(
        env_prefix="PARTNER_SIMULATOR_", frozen=True, hide_input_in_errors=True
    )

    url: AnyHttpUrl  # no default: a worker must never guess which bank it pays through
    api_key: SecretStr
    webhook_secret: SecretStr
    """whsec_…; while it is changed, the old and the new one with a space between them."""
    environment: Environment = Environment.TEST
    """What `url` and `api_key` reach: this bank moves no real money."""
    mode: Mode = Mode.KEYS_AND_LOOKUP
    timeout_seconds: float = Field(default=5.0, gt=0, le=8, allow_inf_nan=False)
    """For one whole call; the activity around it gives up later."""
    key_lifetime_seconds: float = Field(default=86_400, gt=0, le=SECONDS_MAX, allow_inf_nan=False)
    replays_failures: bool = False
    lookup_lag_seconds: float = Field(default=5.0, ge=0, le=SECONDS_MAX, allow_inf_nan=False)
    """How long after sending the bank may still say "not found" of what it has booked."""
    rate_per_second: float = Field(default=100.0, gt=0, le=100_000, allow_inf_nan=False)
    currencies: frozenset[CurrencyCode] = CURRENCIES
    beneficiaries: frozenset[Literal["iban", "us_account", "mobile_wallet"]] = frozenset(
        {"iban", "us_account", "mobile_wallet"}
    )

    @field_validator("api_key")
    @classmethod
    def _sendable(cls, value: SecretStr) -> SecretStr:
        # Whatever no header can carry would fail every call, and only when there is one to make.
        key = value.get_secret_value()
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("must be printable ASCII without spaces")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _usable(cls, value: SecretStr) -> SecretStr:
        # The package that verifies decodes anything, so that a mistyped secret would only show by
        # every event being refused.
        secrets = value.get_secret_value().split()
        if not secrets or not all(_is_webhook_secret(secret) for secret in secrets):
            raise ValueError("must be whsec_ and the base64 of 24 to 64 bytes, once or more")
        return value

    def webhook_secrets(self) -> tuple[str, ...]:
        """Return every secret that an event may be signed with."""
        return tuple(self.webhook_secret.get_secret_value().split())

    def key_lifetime(self) -> timedelta | None:
        """Return how long the bank honours a key in its mode; None: not at all."""
        if self.mode is not Mode.KEYS_AND_LOOKUP:
            return None
        return timedelta(seconds=self.key_lifetime_seconds)


def _is_webhook_secret(secret: str) -> bool:
    prefix, _, encoded = secret.partition("_")
    try:
        return prefix == "whsec" and 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False


def read(name: str = "simulator") -> Settings:
    """Read the settings from the environment and from the directory of secrets, where one is."""
    return Settings(
        _env_prefix=f"PARTNER_{name.upper()}_", _secrets_dir=os.environ.get("BURSAR_SECRETS_DIR")
    )
