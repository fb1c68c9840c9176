"""Beneficiaries: who is paid, and where; each kind checks its own numbers."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

import phonenumbers
import schwifty
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from schwifty.exceptions import SchwiftyException
from stdnum.exceptions import ValidationError as StdnumError
from stdnum.us import rtn

NAME_LENGTH_MAX = 70


def _checked_text(value: str) -> str:
    """Refuse what could hide or break text: control and direction characters, empty, not NFC."""
    if value != value.strip() or not value:
        raise ValueError("must not be empty, nor begin or end with a space")
    for char in value:
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            raise ValueError(f"holds the unprintable character U+{ord(char):04X}; remove it")
    return unicodedata.normalize("NFC", value)


def _checked_iban(value: str) -> str:
    try:
        parsed = schwifty.IBAN(value, validate_bban=True)
    except SchwiftyException as error:
        raise ValueError(f"is not a valid IBAN: {error}") from None
    if str(parsed) != value:
        raise ValueError("is not in its plain form: capitals and digits, no spaces")
    return value


def _checked_bic(value: str) -> str:
    try:
        schwifty.BIC(value)
    except SchwiftyException as error:
        raise ValueError(f"is not a valid BIC: {error}") from None
    return value


def _checked_routing_number(value: str) -> str:
    try:
        plain = rtn.validate(value)
    except StdnumError as error:
        raise ValueError(f"is not a valid ABA routing number: {error}") from None
    if plain != value:
        raise ValueError("is not in its plain form: nine digits, nothing else")
    return value


def _checked_msisdn(value: str) -> str:
    try:
        parsed = phonenumbers.parse(value)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"is not an international phone number, such as +254…: {error}") from None
    plain = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(parsed) or plain != value:
        raise ValueError("is not a valid phone number in its plain form, such as +254712345678")
    return value


PrintableText = Annotated[str, AfterValidator(_checked_text)]
"""Text that prints as it is: normalised (NFC), with no control or direction characters."""

HolderName = Annotated[PrintableText, Field(max_length=NAME_LENGTH_MAX)]


class _Beneficiary(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: HolderName


class IbanAccount(_Beneficiary):
    """A bank account with an IBAN (ISO 13616): check digits, length and structure are checked."""

    kind: Literal["iban"] = "iban"
    iban: Annotated[str, AfterValidator(_checked_iban)]
    bic: Annotated[str, AfterValidator(_checked_bic)] | None = None

    def account(self) -> str:
        """Return the number that identifies the account on the rail."""
        return self.iban


class UsAccount(_Beneficiary):
    """An account at a bank in the United States: ABA routing number and account number."""

    kind: Literal["us_account"] = "us_account"
    routing_number: Annotated[str, AfterValidator(_checked_routing_number)]
    account_number: Annotated[str, Field(pattern=r"^[0-9]{4,17}$")]

    def account(self) -> str:
        """Return the number that identifies the account on the rail."""
        return f"{self.routing_number}/{self.account_number}"


class MobileWallet(_Beneficiary):
    """A mobile money wallet, named by its phone number in E.164 form."""

    kind: Literal["mobile_wallet"] = "mobile_wallet"
    msisdn: Annotated[str, AfterValidator(_checked_msisdn)]

    def account(self) -> str:
        """Return the number that identifies the account on the rail."""
        return self.msisdn


Beneficiary = Annotated[IbanAccount | UsAccount | MobileWallet, Field(discriminator="kind")]
"""Who is paid: told apart by `kind`."""


def masked(account: str) -> str:
    """Return an account number that is safe to show: the first four and last four characters."""
    return account if len(account) <= 8 else f"{account[:4]}…{account[-4:]}"
