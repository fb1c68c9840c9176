"""Sessions: from a command's options to Temporal and to the gateway."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError

from bursar.cli.connection import CONNECTION_FILE, Connection, load
from bursar.errors import InvalidRequest
from bursar.ids import PaymentId
from bursar.inputs import shown

if TYPE_CHECKING:  # both take longer to import than a file check takes to run
    from bursar.client import Bursar
    from bursar.reader import Reader

_T = TypeVar("_T")

CANCEL_AGAIN_SECONDS = 0.5
"""After a Ctrl-C that has not ended the work yet."""

_PAYMENT_ID: TypeAdapter[str] = TypeAdapter(PaymentId)


def connection_of(context: typer.Context) -> Connection:
    """Return where the services are, by the options before the command's name and the rest.

    Raises:
        InvalidRequest: The settings cannot be read.
    """
    given = context.find_root().params
    return load(
        temporal_address=given.get("temporal"),
        temporal_namespace=given.get("namespace"),
        gateway_url=given.get("gateway"),
        token=given.get("token"),
    )


def reader(connection: Connection) -> Reader:
    """Return a reader of the gateway; close it.

    Raises:
        InvalidRequest: Nothing says where the gateway is.
    """
    from bursar.reader import Reader

    if connection.gateway_url is None:
        raise InvalidRequest(
            "nothing says where the gateway is: run `make run` in this directory (it writes "
            f"{CONNECTION_FILE}), or give --gateway or BURSAR_GATEWAY_URL"
        )
    token = connection.token.get_secret_value() if connection.token else None
    return Reader(connection.gateway_url, token)


async def bursar(connection: Connection) -> Bursar:
    """Connect to Temporal.

    Raises:
        ServiceUnavailable: Temporal does not answer.
    """
    from bursar.client import Bursar

    _keep_standard_output_clean()
    return await Bursar.connect(
        connection.temporal_address, namespace=connection.temporal_namespace
    )


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a command's work in an event loop of its own, closed when this returns.

    Raises:
        KeyboardInterrupt: Somebody pressed Ctrl-C; the work has been cancelled.
    """
    return asyncio.run(_interruptible(work))


async def _interruptible(work: Coroutine[Any, Any, _T]) -> _T:
    """Await work that Ctrl-C cancels, again and again where a library has lost a cancellation."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        if not task.done():
            task.cancel()
            loop.call_later(CANCEL_AGAIN_SECONDS, interrupt)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise


def checked_id(payment_id: str, prefix: str = "") -> str:
    """Return a payment's id if it has the form of one.

    Raises:
        InvalidRequest: It has not, or is of the other kind.
    """
    try:
        _PAYMENT_ID.validate_python(payment_id)
    except ValidationError as error:
        raise InvalidRequest(
            f"{shown(payment_id)} is no payment id; one looks like po_01jd… or tr_01jd…",
            field="id",
            code="id_invalid",
        ) from error
    if not payment_id.startswith(prefix):
        kind = "transfer" if payment_id.startswith("tr_") else "payout"
        raise InvalidRequest(
            f"{payment_id} is a {kind}; use `bursar {kind}s show {payment_id}`",
            field="id",
            code="id_invalid",
        )
    return payment_id


def _keep_standard_output_clean() -> None:
    """Silence the log of Temporal's SDK, which would go to standard output; errors are raised."""
    from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig

    telemetry = TelemetryConfig(logging=LoggingConfig(filter="OFF"))
    Runtime.set_default(Runtime(telemetry=telemetry), error_if_already_set=False)
