"""Connections to the books: how they are set, and what their errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import asyncpg
from pydantic import AfterValidator, SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bursar.errors import ContentConflict

SERVER_SETTINGS = {
    "application_name": "bursar",
    "lock_timeout": "2s",
    "statement_timeout": "5s",
    "synchronous_commit": "on",
    "timezone": "UTC",
}
CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
"""Longer than the server's own limit: it only ends a wait for a server that says nothing."""

BUG = "BK001"
"""The SQLSTATE with which our functions answer what nobody may ask for."""
CONFLICT = "BK002"
"""The SQLSTATE with which they answer what exists with other content; the message is its key."""

_TRANSIENT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
_RACED = "transactions_key_key"
"""The guard of a change's key: another commit has taken it meanwhile, and a repeat will see it."""
_MALFORMED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
_LOST = (
    OSError,
    EOFError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.StatementCompletionUnknownError,
    asyncpg.DiskFullError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


def is_transient(error: Exception) -> bool:
    """Tell whether the database rolled back for a reason that may be gone the next time."""
    return isinstance(error, _TRANSIENT) or _is_raced(error)


def is_cancelled(error: Exception) -> bool:
    """Tell whether the database gave up, and rolled back, because the statement took too long."""
    return isinstance(error, asyncpg.QueryCanceledError)


def is_malformed(error: Exception) -> bool:
    """Tell whether the database rolled back because of what it was asked to write."""
    if getattr(error, "sqlstate", None) == BUG:
        return True
    return isinstance(error, _MALFORMED) and not _is_raced(error)


def _is_raced(error: Exception) -> bool:
    return isinstance(error, asyncpg.UniqueViolationError) and error.constraint_name == _RACED


def is_lost(error: Exception) -> bool:
    """Tell whether it is unknown what the database did, so that only a repeat can tell."""
    return isinstance(error, _LOST) and not (is_cancelled(error) or is_malformed(error))


def as_malformed(error: Exception, key: str) -> ValueError:
    """Return the error of a caller's bug: what it is about, and what the database says of it."""
    text = str(error)
    return ValueError(text if text.startswith(f"{key}: ") else f"{key}: {text}")


def _an_address(value: SecretStr) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):  # their own words may repeat the password
        url = None
    if url is None or not url.drivername.startswith("postgres"):
        raise ValueError("must be postgresql://user:password@host:port/database")
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_an_address)]
"""Where the books are, with a password in it: never shown, and judged before anybody connects."""


async def open_pool(dsn: str, *, idle: int, connections_max: int) -> asyncpg.Pool:
    """Open a pool for statements that are one transaction each and leave nothing behind.

    So a connection goes back as it is: by its default the driver would reset every one after each
    use, in a second round trip. An open transaction it still ends by itself.

    Args:
        dsn: postgresql://…, as a login in the role bursar_writer.
        idle: How many connections are opened at once; the others come as they are needed.
        connections_max: How many there may be; who needs one more waits for it.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=idle,
        max_size=connections_max,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        server_settings=SERVER_SETTINGS,
        reset=_as_it_is,
    )


async def _as_it_is(_connection: asyncpg.Connection) -> None:
    """Leave a connection's session alone: no statement of ours sets anything beyond its end."""


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Turn the driver's errors into those that the books promise.

    Args:
        what: What is asked, for the message.

    Raises:
        ConnectionError: The database did not answer, or could not: a repeat is safe.
        ValueError: The database found the call malformed.
        ContentConflict: What is asked for exists with other content.
    """
    try:
        yield
    except Exception as error:
        if is_malformed(error):
            raise as_malformed(error, what) from error
        if is_lost(error) or is_transient(error) or is_cancelled(error):
            raise ConnectionError(f"the books do not answer {what}: {error}") from error
        if getattr(error, "sqlstate", None) == CONFLICT:
            raise ContentConflict(str(error)) from error
        raise
