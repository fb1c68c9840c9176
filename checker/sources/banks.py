"""The banks: each one's own book, read from its SQLite file without a lock that writes."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

from checker.rows import BankBook, BankLine, BankPayout
from checker.sources.books import CannotCheck


def read_bank(partner: str, path: Path) -> BankBook:
    """Read a bank's whole book as it was at one moment.

    Args:
        partner: Our name of the partner, as in nostro/<partner>/EUR.
        path: The bank's file; its log beside it is read too, so the bank may be running.

    Raises:
        CannotCheck: There is no such file, or it is no bank's book.
    """
    if not path.is_file():
        raise CannotCheck(f"there is no bank's book {path}; see --bank")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        try:
            connection.execute("BEGIN")
            return _read(connection, partner)
        finally:
            connection.close()
    except (sqlite3.Error, ValueError) as error:
        raise CannotCheck(f"{path} cannot be read as a bank's book: {error}") from error


def _read(connection: sqlite3.Connection, partner: str) -> BankBook:
    payouts = connection.execute(
        "SELECT id, reference, amount_minor, currency, beneficiary, truth, created_at"
        " FROM payouts ORDER BY id"
    )
    lines = connection.execute(
        "SELECT seq, booked_at, value_on, amount_minor, currency, balance_minor, reference, kind"
        " FROM lines ORDER BY seq"
    )
    return BankBook(
        partner=partner,
        payouts=[
            BankPayout._make((*row[:4], json.loads(row[4]), row[5], _moment(row[6])))
            for row in payouts
        ],
        lines=[
            BankLine(row[0], _moment(row[1]), date.fromisoformat(row[2]), *row[3:]) for row in lines
        ],
        balances=dict(connection.execute("SELECT currency, booked_minor FROM balances")),
        calls=dict(connection.execute("SELECT reference, count FROM tries")),
        body_hashes=dict(connection.execute("SELECT key, body_hash FROM keys")),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
