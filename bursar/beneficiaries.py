"""Beneficiaries: who is paid, and where; each kind checks its own numbers."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal, Self

import phonenumbers
import schwifty
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from schwifty import exceptions as schwifty_says
from stdnum.exceptions import ValidationError as StdnumError
from stdnum.us import rtn

from bursar.texts import PrintableText as PrintableText

NAME_LENGTH_MAX = 70

_IBAN_REASONS: dict[type[Exception], str] = {
    schwifty_says.InvalidChecksumDigits: "its checksum does not fit",
    schwifty_says.InvalidLength: "its length is not that of its country",
    schwifty_says.InvalidStructure: "its characters are not those of its country",
    schwifty_says.InvalidCountryCode: "its country has none",
    schwifty_says.InvalidBBANChecksum: "its national checksum does not fit",
}
"""In our words: the package's own repeat the number."""

_BIC_COUNTRIES: dict[str, frozenset[str]] = {
    "FR": frozenset(["BL", "GF", "GP", "MC", "MF", "MQ", "NC", "PF", "PM", "RE", "TF", "WF", "YT"]),
    "GB": frozenset({"GG", "IM", "JE"}),
    "FI": frozenset({"AX"}),
}
"""Countries whose IBANs stand for banks with BICs of others. Source: SWIFT IBAN registry."""


def _checked_iban(value: str) -> str:
    try:
        with warnings.catch_warnings():
            # Of some countries the package cannot check the national digits too, and warns of it.
            warnings.simplefilter("ignore", schwifty_says.NationalChecksumNotVerified)
            parsed = schwifty.IBAN(value, validate_bban=True)
    except schwifty_says.SchwiftyException as error:
        why = _IBAN_REASONS.get(type(error), "it is not one that a bank gives out")
        raise PydanticCustomError("iban_invalid", f"is not a valid IBAN: {why}") from None
    if str(parsed) != value:
        raise PydanticCustomError(
            "iban_invalid", "is not in its plain form: capitals and digits, no spaces"
        )
    return value


def _checked_bic(value: str) -> str:
    try:
        plain = str(schwifty.BIC(value))
    except schwifty_says.SchwiftyException:
        raise PydanticCustomError("bic_invalid", "is not a valid BIC") from None
    if plain != value:
        raise PydanticCustomError(
            "bic_invalid", "is not in its plain form: 8 or 11 capitals and digits, no spaces"
        )
    return value


def _checked_routing_number(value: str) -> str:
    try:
        plain = rtn.validate(value)
    except StdnumError as error:
        raise PydanticCustomError(
            "routing_number_invalid", f"is not a valid ABA routing number: {error}"
        ) from None
    if plain != value:
        raise PydanticCustomError(
            "routing_number_invalid", "is not in its plain form: nine digits, nothing else"
        )
    return value


def _checked_msisdn(value: str) -> str:
    try:
        parsed = phonenumbers.parse(value)
    except phonenumbers.NumberParseException as error:
        raise PydanticCustomError(
            "msisdn_invalid", f"is not an international phone number, such as +254…: {error}"
        ) from None
    plain = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(parsed) or plain != value:
        raise PydanticCustomError(
            "msisdn_invalid",
            "is not a valid phone number in its plain form, such as +254712345678",
        )
    return value


HolderName = Annotated[PrintableText, Field(max_length=NAME_LENGTH_MAX)]


class _Beneficiary(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    name: HolderName


class IbanAccount(_Beneficiary):
    """A bank account with an IBAN (ISO 13616): check digits, length and structure are checked."""

    kind: Literal["iban"] = "iban"
    iban: Annotated[str, AfterValidator(_checked_iban)]
    bic: Annotated[str, AfterValidator(_checked_bic)] | None = None

    @model_validator(mode="after")
    def _bank_of_one_country(self) -> Self:
        country = self.iban[:2]
        if self.bic is not None and self.bic[4:6] not in {
            country,
            *_BIC_COUNTRIES.get(country, ()),
        }:
            raise PydanticCustomError("bic_mismatch", "bic and iban are of two countries")
        return self

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
