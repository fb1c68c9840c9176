"""The bank's settings: what is fixed at start, and what may change while it runs."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from standardwebhooks.webhooks import Webhook

from partners.simulator.bank.misbehaviour import checked_mix

CURRENCIES = frozenset(
    {"EUR", "USD", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "JPY", "KRW", "KWD", "BHD"}
    | {"JOD", "TND", "KES", "UGX", "TZS", "GHS", "NGN", "ZAR", "INR"}
)
BENEFICIARIES = frozenset({"iban", "us_account", "mobile_wallet"})

Seconds = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class Mode(StrEnum):
    """What the bank offers a customer who has lost an answer."""

    KEYS_AND_LOOKUP = "keys_and_lookup"
    LOOKUP_ONLY = "lookup_only"
    STATEMENT_ONLY = "statement_only"
    NEITHER = "neither"

    @property
    def honours_keys(self) -> bool:
        """Whether a repeated key gives the first answer instead of a second payout."""
        return self is Mode.KEYS_AND_LOOKUP

    @property
    def finds_by_reference(self) -> bool:
        """Whether payouts can be looked up by the customer's reference."""
        return self in {Mode.KEYS_AND_LOOKUP, Mode.LOOKUP_ONLY}

    @property
    def shows_references(self) -> bool:
        """Whether statement lines of payouts carry the customer's reference."""
        return self is not Mode.NEITHER


class Tuning(BaseModel):
    """What the control endpoint may change; lengths are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 1
    mix: Annotated[dict[str, float], AfterValidator(checked_mix)] = {}
    answer_seconds: Seconds = 0.0
    pay_seconds: Seconds = 0.1
    webhook_seconds: Seconds = 0.02
    webhook_retry_seconds: Annotated[Seconds, Field(gt=0)] = 0.5
    webhook_retry_seconds_max: Annotated[Seconds, Field(gt=0)] = 10.0
    webhooks_paused: bool = False
    slow_seconds: Seconds = 1.0
    slow_paid_seconds: Seconds = 5.0
    hold_seconds: Annotated[Seconds, Field(le=600)] = 60.0
    webhook_late_seconds: Seconds = 3.0
    not_found_seconds: Seconds = 3.0
    day_seconds: Seconds = 1.0
    """How long a day of the bank lasts: its days are compressed, 86400 is real."""
    return_days: int = Field(default=3, ge=0, le=400)
    return_fee_bps: int = Field(default=100, ge=0, le=5_000)
    rollback_seconds: Seconds = 0.5
    correction_seconds: Seconds = 1.0


class BankSettings(BaseSettings, Tuning):
    """Read once, at start, from the environment (BANK_…) or from files of a secrets directory."""

    model_config = SettingsConfigDict(env_prefix="BANK_", frozen=True, extra="ignore")

    api_key: SecretStr
    database: Path
    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65_535)
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    mode: Mode = Mode.KEYS_AND_LOOKUP
    replays_failures: bool = False
    key_lifetime_seconds: Annotated[float, Field(gt=0)] = 86_400.0
    currencies: frozenset[str] = CURRENCIES
    beneficiaries: frozenset[str] = BENEFICIARIES
    amount_minor_max: int = Field(default=10**12, gt=0, le=10**15)

    @model_validator(mode="after")
    def _secrets_are_usable(self) -> Self:
        if not self.api_key.get_secret_value():
            raise ValueError("the API key is empty")
        if self.webhook_url is not None:
            if httpx.URL(self.webhook_url).scheme not in {"http", "https"}:
                raise ValueError("the webhook URL is not one of http or https")
            if self.webhook_secret is None:
                raise ValueError("a webhook URL needs a webhook secret")
            Webhook(self.webhook_secret.get_secret_value())  # refuses what is not base64
        return self

    def tuning(self) -> Tuning:
        """Return the control settings of a first start."""
        return Tuning.model_validate(self.model_dump(include=set(Tuning.model_fields)))


def load() -> BankSettings:
    """Read the settings of this process; secrets may lie in the directory BURSAR_SECRETS_DIR."""
    directory = os.environ.get("BURSAR_SECRETS_DIR") or None
    return BankSettings(_secrets_dir=directory)
