"""Problems: every error leaves the gateway as RFC 9457 problem+json, and none tells a secret."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bursar.errors import (
    ActionRefused,
    BursarError,
    CaseNotFound,
    ContentConflict,
    InvalidRequest,
    LedgerBusy,
    NotAuthorised,
    PaymentNotFound,
    ServiceUnavailable,
)
from bursar.views import Problem

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "2"
FIELD_LENGTH_MAX = 100

_CODES = {
    400: "bad_request",
    401: "not_authorised",
    403: "not_authorised",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    500: "internal_error",
    503: "service_unavailable",
}
_STATUSES: dict[type[BursarError], int] = {
    ActionRefused: 409,
    CaseNotFound: 404,
    ContentConflict: 409,
    InvalidRequest: 422,
    LedgerBusy: 503,
    NotAuthorised: 403,
    PaymentNotFound: 404,
    ServiceUnavailable: 503,
}

_log = structlog.get_logger("gateway.problems")


class Refused(Exception):
    """A request that is answered with a problem instead of a result."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code or _CODES.get(status, "bad_request")
        self.field = field
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer that says so."""
        return problem(
            self.status, self.detail, code=self.code, field=self.field, headers=self.headers
        )


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an answer."""
    code = code or _CODES.get(status, "bad_request")
    body = Problem(
        type=f"urn:bursar:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        field=field,
    )
    extra = {"retry-after": RETRY_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(
        body.model_dump_json(),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={**extra, **(headers or {})},
    )


def invalid(error: ValidationError | RequestValidationError) -> Refused:
    """Return the refusal of an input that does not fit its model; never shows the input."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    path = path[:FIELD_LENGTH_MAX]  # an unknown field's name is the caller's own text
    reason = str(first["msg"]).removeprefix("Value error, ")
    return Refused(422, f"{path}: {reason}" if path else reason, field=path or None)


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - the registration below says so
    return error.response()


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    return invalid(error).response()


async def _on_http(request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses: no such page, no such method there."""
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    return problem(error.status_code, str(error.detail), headers=error.headers)


async def _on_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, BursarError)  # noqa: S101 - as above
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    return problem(status, str(error), code=error.code, field=getattr(error, "field", None))


async def _on_no_database(request: Request, error: Exception) -> Response:
    _log.warning("the database did not answer", error=type(error).__name__)
    return problem(503, "The books did not answer; repeat the call, a repeat is safe.")


def answer_with_problems(app: FastAPI) -> None:
    """Make an application answer every error that it knows as a problem."""
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(BursarError, _on_ours)
    app.add_exception_handler(ConnectionError, _on_no_database)
