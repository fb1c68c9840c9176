"""The command: read every source that is named, judge, and say what is wrong.

Exit status: 0 nothing is wrong, 1 something is, 2 it could not be checked.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from checker.facts import FINAL, Facts
from checker.report import judge
from checker.sources.archives import read_archives
from checker.sources.banks import read_bank
from checker.sources.books import CannotCheck, read_books
from checker.sources.engine import read_runs
from checker.sources.logs import read_logs
from checker.sources.ruling import read_ruling

CLEAN, VIOLATED, UNCHECKED = 0, 1, 2

GRACE_SECONDS = 60.0


async def gather(asked: argparse.Namespace) -> Facts:
    """Read all sources: what clients were told first, so that the books know at least that.

    Raises:
        CannotCheck: A source cannot be read.
    """
    told = read_logs(asked.client_log) if asked.client_log else None
    banks = [read_bank(name, path) for name, path in asked.bank] if asked.bank else None
    rules = read_ruling(asked.rules) if asked.rules else None
    books = await read_books(asked.books_url)
    archived = read_archives(asked.archive, books.archived)
    runs = None
    if asked.temporal:
        unfinished = [p.id for p in books.payments if p.state not in FINAL]
        runs = await read_runs(asked.temporal, asked.namespace, unfinished)
    return Facts(
        **books._replace(entries=archived + books.entries)._asdict(),
        grace=timedelta(seconds=asked.grace_seconds),
        since=asked.since,
        banks=banks,
        told=told,
        runs=runs,
        rules=rules,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, write the report, and return the exit status."""
    asked = parser().parse_args(arguments)
    try:
        report = judge(asyncio.run(gather(asked)))
    except CannotCheck as error:
        sys.stderr.write(f"cannot check: {error}\n")
        return UNCHECKED
    if asked.json:
        sys.stdout.write(report.as_json() + "\n")
    else:
        report.write_table(sys.stdout)
    return VIOLATED if report.violations else CLEAN


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    options = argparse.ArgumentParser(
        prog="python -m checker",
        description="Judge the books, the banks' own books, what clients were told, and Temporal.",
        epilog="Exit status: 0 nothing is wrong, 1 something is, 2 it could not be checked.",
    )
    options.add_argument("--books-url", required=True, help="postgresql://… of a reading login")
    options.add_argument(
        "--bank",
        action="append",
        type=_bank,
        metavar="NAME=FILE",
        help="a partner and its own book (SQLite); may be given again",
    )
    options.add_argument(
        "--archive",
        nargs="+",
        action="extend",
        type=Path,
        default=[],
        metavar="FILE",
        help="files of periods that were archived; needed as soon as there are any",
    )
    options.add_argument(
        "--client-log", nargs="+", action="extend", type=Path, metavar="FILE", help="JSON lines"
    )
    options.add_argument(
        "--rules",
        type=Path,
        metavar="FILE",
        help="the rules (TOML) that were in force when the payments opened",
    )
    options.add_argument("--temporal", metavar="ADDRESS", help="host:port of Temporal's frontend")
    options.add_argument("--namespace", default="bursar", help="default: bursar")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options.add_argument(
        "--since",
        type=_moment,
        metavar="MOMENT",
        help="ISO 8601: judge what there is news of since",
    )
    options.add_argument(
        "--grace-seconds",
        type=float,
        default=GRACE_SECONDS,
        help="how young something may be to be still on its way (default: 60; 0 when all is quiet)",
    )
    return options


def _bank(text: str) -> tuple[str, Path]:
    name, found, path = text.partition("=")
    if not (name and found and path):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=FILE, such as simulator=bank.sqlite"
        )
    return name, Path(path)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment in ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    raise SystemExit(main())
