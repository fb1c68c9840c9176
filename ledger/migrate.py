"""Migrations: bring a database to the newest schema and give its processes their logins."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import sys
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from bursar.faults import settings_fault
from ledger.connections import DatabaseUrl
from ledger.migrations.preparing import prepare
from ledger.start_guard import revision_of

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x6275_7273_6172
"""The advisory lock ("bursar" in ASCII) that one migration holds while another waits."""
LOCK_TIMEOUT = "2s"
"""How long a migration may wait for a table, and so make everybody behind it wait."""
TRIES_MAX = 5
LOST_LOCK = frozenset({"40P01", "55P03"})
"""Deadlock, lock time-out: the server has let others go first. Each revision is a commit of its
own, so what was done is kept."""
GROUP_ROLES = frozenset({"bursar_writer", "bursar_reader"})


class MigrateSettings(BaseSettings):
    """Where to migrate, and which logins to make; a login without a password is left alone."""

    model_config = SettingsConfigDict(env_prefix="BURSAR_", frozen=True, extra="ignore")

    database_admin_url: DatabaseUrl
    """postgresql://…, as a superuser or a role that may create roles."""
    worker_password: SecretStr | None = Field(default=None, min_length=8)
    """Makes the login bursar_worker, a writer."""
    gateway_password: SecretStr | None = Field(default=None, min_length=8)
    """Makes the login bursar_gateway, a writer."""
    auditor_password: SecretStr | None = Field(default=None, min_length=8)
    """Makes the login bursar_auditor, a reader."""


def head() -> str:
    """Return the newest revision that this code knows."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise RuntimeError(f"there are no revisions in {MIGRATIONS}")
    return newest


async def current(url: str) -> str | None:
    """Return the revision a database is at; None for one that was never migrated."""
    connection = await asyncpg.connect(url)
    try:
        return await revision_of(connection)
    finally:
        await connection.close()


async def upgrade(admin_url: str, revision: str = "head") -> None:
    """Bring a database to a revision, or the newest; safe to repeat, and when two run at once."""
    engine = create_async_engine(
        make_url(admin_url).set(drivername="postgresql+asyncpg"), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
            await connection.commit()
            await connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
            await connection.commit()
            await prepare(connection)
            await _upgrade_among_writers(connection, revision)
    finally:
        await engine.dispose()


async def _upgrade_among_writers(connection: AsyncConnection, revision: str) -> None:
    for tries_left in reversed(range(TRIES_MAX)):
        try:
            await connection.run_sync(_upgrade, revision)
            await connection.commit()
        except (DBAPIError, asyncpg.PostgresError) as error:
            await connection.rollback()
            cause = error.orig if isinstance(error, DBAPIError) else error
            if not tries_left or getattr(cause, "sqlstate", None) not in LOST_LOCK:
                raise
            await asyncio.sleep(secrets.randbelow(500) / 1000)
        else:
            return


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


async def ensure_login(admin_url: str, name: str, password: str, group_role: str) -> None:
    """Make a login with exactly this password in one group role, or set it right.

    Args:
        admin_url: The migrated database, as a role that may create roles.
        name: The login's name.
        password: Printable ASCII; the server only ever sees its SCRAM verifier.
        group_role: bursar_writer or bursar_reader.
    """
    if group_role not in GROUP_ROLES:
        raise ValueError(f"{group_role!r} is not one of {', '.join(sorted(GROUP_ROLES))}")
    verifier = _scram_verifier(password)
    connection = await asyncpg.connect(admin_url)
    try:
        for tries_left in reversed(range(TRIES_MAX)):
            try:
                await _set_login(connection, name, verifier, group_role)
            except (
                asyncpg.InternalServerError,
                asyncpg.UniqueViolationError,
                asyncpg.DuplicateObjectError,
            ):
                # Roles belong to the whole server: another database's migration touched this one.
                if tries_left == 0:
                    raise
                await asyncio.sleep(0.05 + secrets.randbelow(100) / 1000)
            else:
                return
    finally:
        await connection.close()


async def _set_login(
    connection: asyncpg.Connection, name: str, verifier: str, group_role: str
) -> None:
    exists = await connection.fetchval("select true from pg_roles where rolname = $1", name)
    verb = "alter" if exists else "create"
    statements = await connection.fetchrow(
        "select format('%s role %I login password %L', $1::text, $2::text, $3::text),"
        " format('grant %I to %I', $4::text, $2::text)",
        verb,
        name,
        verifier,
        group_role,
    )
    if statements is None:
        raise RuntimeError("the server did not format the statements")
    member = exists and await connection.fetchval(
        "select pg_has_role($1, $2, 'member')", name, group_role
    )
    await connection.execute(statements[0])
    if not member:
        await connection.execute(statements[1])


def _scram_verifier(password: str) -> str:
    """Return what the server keeps of a password, so that no log of it can hold the password.

    Source: RFC 5803; PostgreSQL manual, pg_authid.rolpassword.
    """
    if not (password.isascii() and password.isprintable() and password):
        raise ValueError("a database password has to be of printable ASCII characters")
    rounds, salt = 4096, secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = base64.b64encode(hashlib.sha256(client_key).digest()).decode()
    server = base64.b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
    return f"SCRAM-SHA-256${rounds}:{base64.b64encode(salt).decode()}${stored}:{server}"


async def _run(settings: MigrateSettings) -> None:
    url = settings.database_admin_url.get_secret_value()
    await upgrade(url)
    for login, password, group_role in (
        ("bursar_worker", settings.worker_password, "bursar_writer"),
        ("bursar_gateway", settings.gateway_password, "bursar_writer"),
        ("bursar_auditor", settings.auditor_password, "bursar_reader"),
    ):
        if password is not None:
            await ensure_login(url, login, password.get_secret_value(), group_role)


def main() -> int:
    """Migrate as the environment says; return 0, or 2 with the reason on standard error."""
    try:
        settings = MigrateSettings(_secrets_dir=os.environ.get("BURSAR_SECRETS_DIR"))
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"{settings_fault(error, 'BURSAR_')}\n")
        return 2
    try:
        asyncio.run(_run(settings))
    except (OSError, ValueError, asyncpg.PostgresError, SQLAlchemyError) as error:
        sys.stderr.write(f"The books were not migrated: {error}\n")
        return 2
    sys.stdout.write(f"The books are at revision {head()}.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
