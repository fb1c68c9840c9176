"""Problems: every error leaves the gateway as RFC 9457 problem+json, and none tells a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bursar.errors import (
    ActionRefused,
    BursarError,
    CaseNotFound,
    ContentConflict,
    Fault,
    InvalidRequest,
    LedgerBusy,
    NotAuthorised,
    PaymentNotFound,
    ServiceUnavailable,
)
from bursar.inputs import fault_of, json_field
from bursar.views import FaultView, Problem

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "2"
FAULTS_TOLD_MAX = 20
UNREADABLE = frozenset({"malformed_json", "duplicate_key"})
"""Codes of a body that cannot be read at all: a 400; what is read and wrong is a 422."""

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
        faults: tuple[Fault, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code or _CODES.get(status, "bad_request")
        self.field = field
        self.headers = dict(headers or {})
        self.faults = faults

    def response(self) -> Response:
        """Return the answer that says so."""
        return problem(
            self.status,
            self.detail,
            code=self.code,
            field=self.field,
            headers=self.headers,
            faults=self.faults,
        )


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    faults: tuple[Fault, ...] = (),
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
        what_to_do=faults[0].what_to_do if faults else None,
        faults=tuple(FaultView(**asdict(each)) for each in faults[:FAULTS_TOLD_MAX]),
    )
    extra = {"retry-after": RETRY_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(
        body.model_dump_json(),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={**extra, **(headers or {})},
    )


def invalid(faults: tuple[Fault, ...]) -> Refused:
    """Return the refusal of an input that is wrong; it never shows the input."""
    first = faults[0]
    status = 400 if first.code in UNREADABLE else 422
    return Refused(status, str(first), code=first.code, field=first.field, faults=faults)


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - the registration below says so
    return error.response()


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    # The first part of a place is where in the request it is: query, or path.
    found = (fault_of(each, lambda loc: json_field(loc[1:])) for each in error.errors())
    return invalid(tuple(found)).response()


async def _on_http(request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses: no such page, no such method there."""
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    return problem(error.status_code, str(error.detail), headers=error.headers)


async def _on_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, BursarError)  # noqa: S101 - as above
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    if isinstance(error, InvalidRequest):
        return problem(status, str(error), code=error.code, field=error.field, faults=error.faults)
    return problem(status, str(error), code=error.code)


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
