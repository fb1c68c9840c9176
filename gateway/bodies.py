"""Bodies: read under a limit while they come in, and read as JSON by the model they must fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from email.message import Message
from typing import Any, TypeVar

from pydantic import BaseModel, RootModel
from starlette.requests import ClientDisconnect, Request

from bursar import inputs
from bursar.errors import InvalidRequest
from gateway.problems import Refused, invalid

EVENT_BYTES_MAX = 256 * 1024
JSON_BYTES_MAX = 256 * 1024
BODY_SECONDS_MAX = 15.0
DROP_BYTES_MAX = 1024 * 1024
DROP_SECONDS_MAX = 1.0

_Model = TypeVar("_Model", bound=BaseModel)


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Return a request's body as it came.

    Of a body that is too large a little more is read and dropped: most clients read no answer
    before they have sent all, and would see a broken connection instead of the 413.

    Raises:
        Refused: 413 when the body is too large, 408 when it comes too slowly.
    """
    stream = request.stream()
    if not _told_too_large(request, bytes_max):
        body = await _whole(stream, bytes_max)
        if body is not None:
            return body
    await _drop(stream)
    # More of it may be on its way, so that the connection cannot be used again.
    detail = f"The body is larger than {bytes_max} bytes."
    raise Refused(413, detail, headers={"connection": "close"})


def _told_too_large(request: Request, bytes_max: int) -> bool:
    told = request.headers.get("content-length", "")
    return told.isascii() and told.isdigit() and (len(told) > 12 or int(told) > bytes_max)


async def _whole(stream: AsyncIterator[bytes], bytes_max: int) -> bytes | None:
    """Return all of a stream, or None as soon as it is too large."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for part in stream:
                body += part
                if len(body) > bytes_max:
                    return None
    except TimeoutError as error:
        raise Refused(408, "The body did not arrive in time.") from error
    except ClientDisconnect as error:  # nobody reads this answer
        raise Refused(400, "The body ended early.") from error
    return bytes(body)


async def _drop(stream: AsyncIterator[bytes]) -> None:
    left = DROP_BYTES_MAX
    with suppress(TimeoutError, ClientDisconnect):  # then there is nothing more to wait for
        async with asyncio.timeout(DROP_SECONDS_MAX):
            async for part in stream:
                left -= len(part)
                if left < 0:
                    return


def json_body(model: type[_Model]) -> Callable[[Request], Awaitable[_Model]]:
    """Return a dependency that reads a request's body as one model."""

    async def read(request: Request) -> _Model:
        _require_json(request)
        raw = await read_body(request, JSON_BYTES_MAX)
        try:
            return inputs.read(model, raw)
        except InvalidRequest as error:
            raise invalid(error.faults) from error

    return read


def _require_json(request: Request) -> None:
    """Refuse any other type of content: a form posted from a browser must not act."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "none/none")
    charset = header.get_param("charset", "utf-8")
    if header.get_content_type() != "application/json" or str(charset).lower() != "utf-8":
        raise Refused(415, "Send the body as application/json in UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "Send the body without a content encoding.")


def documented(model: type[BaseModel] | type[RootModel[Any]]) -> dict[str, Any]:
    """Return what OpenAPI says of an operation whose body is read by `json_body`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
