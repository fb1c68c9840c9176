"""Documents: what the OpenAPI document says beyond what the routes say by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bursar.views import Problem
from gateway.problems import MEDIA_TYPE

EVENTS = "partner events"
PAYMENTS = "payments"
RAILS = "rails"
ACCOUNTS = "accounts"
BOOKS = "books"
HEALTH = "health"

TAGS = [
    {"name": EVENTS, "description": "Where partners tell what became of a payment."},
    {"name": PAYMENTS, "description": "The register: each payment's life, and what people do."},
    {"name": RAILS, "description": "The gate: what is stopped and bounded, and what waits."},
    {"name": ACCOUNTS, "description": "Customers' accounts and our own, with their balances."},
    {"name": BOOKS, "description": "The journal as a whole: its checks and its export."},
    {"name": HEALTH, "description": "For whoever runs this process."},
]
DESCRIPTION = (
    "Amounts are integers in minor units of their currency. "
    "Errors are RFC 9457 problems; act on `code`, which is stable, not on `detail`. "
    "Each answer carries `x-request-id`."
)
_MEANINGS = {
    400: "The request cannot be read.",
    401: "The token or the signature is missing or unknown: nothing was done.",
    403: "The caller may not do this: nothing was done.",
    404: "There is no such thing: nothing was done.",
    408: "The body did not arrive in time: nothing was done.",
    409: "It does not apply as things stand; `code` says why.",
    413: "The body is too large: nothing was done.",
    415: "The body is of another type than this takes: nothing was done.",
    422: "A value is wrong: nothing was done; `field` names it.",
    500: "A fault of ours; the log has the request id.",
    503: "The books or Temporal did not answer: repeat the call, a repeat is safe.",
}
REFERENCE = "#/components/schemas/{model}"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the errors with which an operation may answer."""
    schema = {"$ref": REFERENCE.format(model=Problem.__name__)}
    return {
        status: {
            "description": f"{HTTPStatus(status).phrase}. {_MEANINGS[status]}",
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in (*statuses, 500)
    }


def document(app: FastAPI, bodies: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Return the OpenAPI document of an application.

    Args:
        app: The application with all its routes.
        bodies: The models that `bodies.json_body` reads, which the routes do not tell by type.
    """
    written: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
    )
    schemas = written["components"]["schemas"]
    schemas.update(_schemas([Problem, *bodies]))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for item in written["paths"].values():
        for operation in item.values():
            _only_our_errors(operation["responses"])
    return written


def _only_our_errors(responses: dict[str, Any]) -> None:
    """Take out the error that FastAPI adds wherever a path has a parameter, and that we lack."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]


def _schemas(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """Return the JSON schemas of models by name, with everything that they refer to."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template=REFERENCE
    )
    definitions: dict[str, Any] = schemas["$defs"]
    return definitions
