"""The command that takes periods of the books that ended long ago out into files.

    python -m ledger.archive show                periods, and why those stay that stay
    python -m ledger.archive run DIRECTORY       archive all that may go, oldest first
    python -m ledger.archive verify FILE …       compare files with what the books know of them
    python -m ledger.archive drop DIRECTORY      drop tables whose files are whole there
    python -m ledger.archive ahead               make the next periods (each sweep does so, too)

Exit status: 0 all is done that may be done now, 1 books or files are not what they should be, 2 it
could not be tried.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from bursar.faults import settings_fault
from ledger.archive_file import Contents, Damaged, Period
from ledger.archiving import Archive, Refused
from ledger.connections import DatabaseUrl

OLDER_THAN_DAYS = 400
"""More than the 13 months in which a debit may be claimed back. Source: directive (EU) 2015/2366,
article 71."""


class ArchiveSettings(BaseSettings):
    """Where the books are."""

    model_config = SettingsConfigDict(env_prefix="BURSAR_", frozen=True, extra="ignore")

    database_admin_url: DatabaseUrl
    """postgresql://…, as whoever migrates."""


async def show(archive: Archive, asked: argparse.Namespace) -> bool:
    """Write what each period is, and why those that are not archived stay."""
    for period in await archive.periods():
        told = (
            f"period {period.number}: transactions {period.first_id:,} to {period.until_id - 1:,}"
        )
        if period.archived_at:
            gone = "; its table is dropped" if period.dropped_at else ""
            _say(f"{told}: archived on {period.archived_at:%Y-%m-%d} in {period.file}{gone}")
        else:
            _tell(told, await archive.kept_by(period, asked.older_than))
    return True


async def run(archive: Archive, asked: argparse.Namespace) -> bool:
    """Archive one period after another until one has to stay; False if the books are broken."""
    if not asked.directory.is_dir():
        raise NotADirectoryError(f"{asked.directory} is no directory")
    await archive.make_ahead()
    for period in await archive.periods():
        if period.archived_at:
            continue
        why = await archive.kept_by(period, asked.older_than)
        broken = [] if why else await archive.broken()
        if why or broken or asked.dry_run:
            _tell(f"period {period.number}", why or broken)
            return not broken
        contents = await archive_one(archive, period, asked)
        _say(
            f"period {period.number}: {contents.transactions:,} transactions with"
            f" {contents.entries:,} entries are in {asked.directory / period.file_name}"
        )
    return True


async def archive_one(archive: Archive, period: Period, asked: argparse.Namespace) -> Contents:
    """Take a period through all steps.

    Raises:
        Refused: Something has begun to keep it meanwhile.
    """
    await archive.close(period)
    path = await archive.export(period, asked.directory)
    why = await archive.kept_by(period, asked.older_than)
    if why:
        raise Refused(f"period {period.number} stays: {'; '.join(why)}")
    return await archive.take_out(period, path)


async def verify(archive: Archive, asked: argparse.Namespace) -> bool:
    """Compare each file with what the books know of it."""
    for path in asked.files:
        contents = await archive.verify(path)
        _say(f"{path}: period {contents.period}, as it was archived, to the last byte")
    return True


async def drop(archive: Archive, asked: argparse.Namespace) -> bool:
    """Drop the tables of archived periods whose files are whole in the directory."""
    for period in await archive.periods():
        if period.archived_at and not period.dropped_at:
            await archive.drop(period, asked.directory)
            _say(f"period {period.number}: its table is dropped")
    return True


async def ahead(archive: Archive, _: argparse.Namespace) -> bool:
    """Make the periods that are to come."""
    _say(f"{await archive.make_ahead()} periods made")
    return True


def _tell(told: str, why: Sequence[str]) -> None:
    _say(f"{told}: stays: {'; '.join(why)}" if why else f"{told}: may go")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _days(text: str) -> timedelta:
    days = int(text)
    if days < 0:
        raise ValueError(text)
    return timedelta(days=days)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    age = argparse.ArgumentParser(add_help=False)
    age.add_argument(
        "--older-than",
        type=_days,
        default=timedelta(days=OLDER_THAN_DAYS),
        metavar="DAYS",
        help=f"how long ago everything in it has to have ended (default: {OLDER_THAN_DAYS})",
    )
    options = argparse.ArgumentParser(
        prog="python -m ledger.archive",
        description="Take periods of the books that ended long ago out into files.",
        epilog="BURSAR_DATABASE_ADMIN_URL says where the books are. Exit status: 0 all is done that"
        " may be done now, 1 books or files are not what they should be, 2 it could not be tried.",
    )
    commands = options.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("show", parents=[age], help="each period, and why it stays")
    one.set_defaults(what=show)
    one = commands.add_parser("run", parents=[age], help="archive all that may go, oldest first")
    one.add_argument("directory", type=Path, metavar="DIRECTORY", help="where the files go")
    one.add_argument("--dry-run", action="store_true", help="say what would go first, or why not")
    one.set_defaults(what=run)
    one = commands.add_parser("verify", help="compare files with what the books know of them")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE")
    one.set_defaults(what=verify)
    one = commands.add_parser("drop", help="drop tables whose files are whole in a directory")
    one.add_argument("directory", type=Path, metavar="DIRECTORY", help="where the files are")
    one.set_defaults(what=drop)
    one = commands.add_parser("ahead", help="make the periods that are to come")
    one.set_defaults(what=ahead)
    return options


async def _act(url: str, asked: argparse.Namespace) -> bool:
    async with Archive.open(url) as archive:
        done: bool = await asked.what(archive, asked)
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    asked = parser().parse_args(arguments)
    try:
        settings = ArchiveSettings(_secrets_dir=os.environ.get("BURSAR_SECRETS_DIR"))
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"{settings_fault(error, 'BURSAR_')}\n")
        return 2
    try:
        url = settings.database_admin_url.get_secret_value()
        return 0 if asyncio.run(_act(url, asked)) else 1
    except (Refused, Damaged) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.stderr.write(f"It could not be done: {error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
