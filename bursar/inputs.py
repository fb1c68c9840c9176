"""Inputs: what is wrong with what somebody sent, as code, field, reason and what to do.

The one place where a model's findings become faults: client, command line and gateway all speak
through it. Nothing here repeats what a field holds, which may be an account number or a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bursar.errors import Fault, InvalidRequest

_M = TypeVar("_M", bound=BaseModel)

FieldName: TypeAlias = Callable[[tuple[int | str, ...]], str | None]
"""Gives the name that a field has where it was written: a column, or a path into JSON."""

SHOWN_DIGITS_MAX = 8
SHOWN_LENGTH_MAX = 30
FIELD_LENGTH_MAX = 100

WHAT_TO_DO: Mapping[str, str] = {
    "account_invalid": "Write wallet/<owner>/<currency>, such as wallet/acme/EUR.",
    "account_number_invalid": "Write 4 to 17 digits, nothing else.",
    "actor_invalid": 'Write a name of at most 80 letters, digits, spaces or "@._:+-".',
    "amount_invalid": "Write a whole number of minor units from 1 to 10^15 in JSON, or plain "
    "decimal text such as 12.50 in CSV.",
    "batch_id_invalid": 'Write at most 60 letters, digits, "_", "." or "-".',
    "beneficiary_kind_invalid": "Write iban, us_account or mobile_wallet.",
    "bic_invalid": "Ask the beneficiary for the BIC, or leave it out: the IBAN is enough.",
    "bic_mismatch": "Ask the beneficiary which of the two is right, or leave the BIC out.",
    "card_number": "Remove it: card numbers are never kept here, not even in texts.",
    "charset": "Remove the character that the reason names; type the text anew, do not copy it.",
    "choice_invalid": "Write one of the values that the documentation lists.",
    "content_hash_invalid": "Write the 64 hex digits that the payment's view shows.",
    "currency_invalid": "Write the ISO 4217 code in capitals, such as EUR.",
    "currency_mismatch": "Use an account of the amount's currency, or an amount of the account's.",
    "currency_scale": "Write no more digits after the point than the currency has; nothing is "
    "rounded here.",
    "duplicate_key": "Write each field once.",
    "empty": "Write something, with no space at the beginning or the end.",
    "iban_invalid": "Compare it with what the beneficiary gave; do not correct it by guessing.",
    "id_invalid": 'Write "po_" for a payout or "tr_" for a transfer, then 1 to 29 letters, digits '
    'or "_".',
    "invalid": "Correct the field as its reason says.",
    "malformed_line": "Write one cell for each column, and close every quote.",
    "malformed_json": "Send one JSON document in UTF-8, without a byte order mark.",
    "metadata_invalid": 'Write keys of at most 40 letters, digits, "_", "." or "-".',
    "missing": "Give the field.",
    "msisdn_invalid": "Write the number with its country: +254712345678.",
    "out_of_range": "Write a number within the range that the reason names.",
    "partner_invalid": 'Write 1 to 31 lower case letters, digits or "_", a letter first.',
    "routing_number_invalid": "Compare it with what the beneficiary gave.",
    "same_account": "Name two different accounts.",
    "secret_text": "Remove it, and take the key or token for known: replace it where it is used.",
    "tenant_invalid": 'Write 1 to 31 lower case letters, digits or "-", a letter first.',
    "time_invalid": "Write a day such as 2026-12-01, or a moment with its zone such as "
    "2026-12-01T09:30:00Z.",
    "times_conflict": "Give one of the two.",
    "too_long": "Shorten it.",
    "too_short": "Write more.",
    "type_invalid": "Write the type that the reason names.",
    "unknown_field": "Remove it, or correct its name.",
}
"""Every code of a fault, and what whoever wrote the input can do; docs/errors.md says the same."""

_CODES: Mapping[str, str] = {
    "missing": "missing",
    "union_tag_not_found": "missing",
    "union_tag_invalid": "choice_invalid",
    "enum": "choice_invalid",
    "literal_error": "choice_invalid",
    "extra_forbidden": "unknown_field",
    "invalid_key": "type_invalid",
    "string_pattern_mismatch": "invalid",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "string_unicode": "charset",
    "json_invalid": "malformed_json",
    "timezone_aware": "time_invalid",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
}

_SHAPES: Mapping[str, str] = {
    "id": "id_invalid",
    "account": "account_invalid",
    "path": "account_invalid",
    "source": "account_invalid",
    "destination": "account_invalid",
    "tenant": "tenant_invalid",
    "partner": "partner_invalid",
    "created_by": "actor_invalid",
    "by": "actor_invalid",
    "confirmed_by": "actor_invalid",
    "principal": "actor_invalid",
    "batch_id": "batch_id_invalid",
    "account_number": "account_number_invalid",
    "content_hash": "content_hash_invalid",
}
"""Codes of values that do not have the form of their field."""

_REASONS: Mapping[str, str] = {
    "missing": "is missing",
    "union_tag_not_found": "is missing",
    "extra_forbidden": "is no field of this; remove it",
    "greater_than": "must be more than 0",
    "less_than_equal": "is more than one payment may be: 10^15 minor units",
    "timezone_aware": "needs a time zone, such as 2026-12-01T09:30:00Z",
    "json_invalid": "is no JSON",
    "string_unicode": "holds half of a character (a lone surrogate); remove it",
    "invalid_key": "must be text",
}
_MOMENT = "must be a moment, such as 2026-12-01T09:30:00Z"
_DAY = "must be a day, such as 2026-12-01"
_KINDS = "must be one of iban, us_account, mobile_wallet"


def read(model: type[_M], content: Any) -> _M:
    """Read a model strictly out of JSON (text or bytes), or out of plain data.

    Raises:
        InvalidRequest: It does not fit; the message, `code` and `field` are those of the first of
            its `faults`.
    """
    try:
        if isinstance(content, str | bytes):
            strict_json(content)
            return model.model_validate_json(content)
        # As JSON, so that "2026-12-01" is a day here too, and nothing but plain data passes.
        return model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise refusal(faults_of(error, json_field)) from None
    except (TypeError, ValueError, RecursionError):
        raise refusal((fault("malformed_json", None, "is no plain data that JSON has"),)) from None


def refusal(faults: tuple[Fault, ...]) -> InvalidRequest:
    """Return the error that tells faults; there is at least one."""
    first = faults[0]
    return InvalidRequest(str(first), field=first.field, code=first.code, faults=faults)


def fault(code: str, field: str | None, reason: str) -> Fault:
    """Return a fault with what its code says to do."""
    return Fault(code=code, field=field, reason=reason, what_to_do=WHAT_TO_DO[code])


def faults_of(error: ValidationError, field_name: FieldName) -> tuple[Fault, ...]:
    """Return every fault that a model found, each with the field's name where it was written."""
    return tuple(fault_of(found, field_name) for found in error.errors(include_url=False))


def fault_of(found: ErrorDetails, field_name: FieldName) -> Fault:
    """Return one finding of a model as a fault."""
    return fault(_code(found), field_name(found["loc"]), _reason(found))


def json_field(loc: tuple[int | str, ...]) -> str | None:
    """Return where in a JSON document a fault is: beneficiary.iban."""
    if loc == ("beneficiary",):
        return "beneficiary.kind"
    if loc[:1] == ("beneficiary",):
        loc = (loc[0], *loc[2:])  # the second part is the kind, which is no part of the JSON
    return ".".join(map(_named, loc))[:FIELD_LENGTH_MAX] or None


def shown(value: object) -> str:
    """Return a wrong value for a message: short, printable, and nothing like an account number."""
    text = ascii(value)
    tells_a_number = sum(char.isdigit() for char in text) > SHOWN_DIGITS_MAX
    return "what stands there" if tells_a_number or len(text) > SHOWN_LENGTH_MAX else text


def strict_json(content: str | bytes) -> Any:
    """Read JSON in which no key stands twice; the model that it is for judges all values.

    Raises:
        InvalidRequest: It is no JSON in UTF-8 (`malformed_json`), or says something twice
            (`duplicate_key`).
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return json.loads(text, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise refusal((fault("malformed_json", None, _why_no_json(error)),)) from None


def _why_no_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is no JSON at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 at byte {error.start}"
    deep = isinstance(error, RecursionError)
    return "is nested too deeply" if deep else "holds a number of too many digits"


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise refusal((fault("duplicate_key", _named(key), "stands there twice"),))
            seen.add(key)
    return content


def _named(part: int | str) -> str:
    """Return a part of a field's path; a foreign name may be a value in the wrong place."""
    text = str(part)
    if not text:
        return "(a name without a letter)"
    unlike = sum(char.isdigit() for char in text) > SHOWN_DIGITS_MAX or not text.isprintable()
    return "(a name that is not shown)" if unlike or len(text) > 60 else text


def _code(found: ErrorDetails) -> str:
    kind, field = found["type"], str(found["loc"][-1]) if found["loc"] else ""
    if kind in WHAT_TO_DO and kind not in _CODES:
        return kind  # a rule of ours has named it
    if kind == "union_tag_invalid":
        return "beneficiary_kind_invalid" if field == "beneficiary" else "choice_invalid"
    if kind == "string_pattern_mismatch":
        return "metadata_invalid" if "metadata" in found["loc"] else _SHAPES.get(field, "invalid")
    if field in {"amount_minor", "amount"} and kind not in {"missing", "extra_forbidden"}:
        return "amount_invalid"
    if kind.startswith(("date_", "datetime_", "time")) or field in {"execute_on", "execute_at"}:
        return "time_invalid"
    if kind in _CODES:
        return _CODES[kind]
    return "type_invalid" if kind.endswith(("_type", "_parsing")) else "invalid"


def _reason(found: ErrorDetails) -> str:
    kind, field = found["type"], str(found["loc"][-1]) if found["loc"] else ""
    if kind == "union_tag_invalid" and field == "beneficiary":
        return _KINDS
    if kind in {"greater_than", "less_than_equal"} and field != "amount_minor":
        return _plain(found)
    if kind in _REASONS:
        return _out_of_place(found) if kind == "extra_forbidden" else _REASONS[kind]
    if kind == "string_pattern_mismatch":
        return f"{shown(found['input'])} does not have the right form"
    if field == "execute_on" and kind != "time_invalid":
        return _DAY
    if field == "execute_at" and kind != "time_invalid":
        return _MOMENT
    return _plain(found)


def _plain(found: ErrorDetails) -> str:
    message = found["msg"].removeprefix("Value error, ")
    ours = found["type"] in WHAT_TO_DO or found["type"] == "value_error"
    return message if ours else message[:1].lower() + message[1:]


def _out_of_place(found: ErrorDetails) -> str:
    loc = found["loc"]
    if loc[0] == "beneficiary" and len(loc) > 2:
        return f"does not belong to a beneficiary of kind {loc[1]}; leave it empty"
    return _REASONS["extra_forbidden"]
