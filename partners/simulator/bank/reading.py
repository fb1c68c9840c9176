"""Reading of requests: who calls, and bodies of a bounded size in the published shape."""

from __future__ import annotations

import hmac
import re
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from partners.simulator.bank.bank import Bank
from partners.simulator.bank.wire import Problem

BODY_BYTES_MAX = 64 * 1024

M = TypeVar("M", bound=BaseModel)

_KEY = re.compile(r"[!-~]{1,64}")


def bank_of(request: Request) -> Bank:
    """Return the bank that serves a request."""
    bank: Bank = request.app.state.bank
    return bank


async def authorised(request: Request) -> None:
    """Refuse a call without the API key, before anything of its body is read."""
    expected = "Bearer " + bank_of(request).settings.api_key.get_secret_value()
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Problem(401, "unauthorized", "the API key is missing or wrong")


async def read(request: Request, model: type[M]) -> M:
    """Read a JSON body.

    Raises:
        Problem: It is too large, or not of the published shape.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Problem(413, "body_too_large", f"a body has at most {BODY_BYTES_MAX} bytes")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Problem(400, "invalid_request", f"{where}: {first['msg']}") from None


def idempotency_key(request: Request) -> str:
    """Return the key of a call.

    Raises:
        Problem: There is none, or it has not the published form.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        raise Problem(400, "idempotency_key_missing", "the header Idempotency-Key is needed")
    if not _KEY.fullmatch(key):
        message = "an idempotency key has 1 to 64 printable ASCII characters"
        raise Problem(400, "idempotency_key_invalid", message)
    return key
