"""A copy of this checkout in which commands run as a user runs them, and the truth about it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from ops.postgres import LocalPostgres
from ops.program import OUR_PREFIXES, ROOT

BIN = Path(sys.executable).parent
FINAL = {"settled", "returned", "refused", "denied", "expired", "cancelled", "failed"}


@dataclass(frozen=True)
class Books:
    """What Postgres holds, asked of it directly while nothing else runs."""

    payments: Mapping[str, str]
    """State by id."""
    nostro: Counter[tuple[str | None, str, int]]
    """How often each (payment, wallet or neither, currency, minor units to us) was booked."""
    trial_balance: Mapping[str, int]
    transactions: int


@dataclass(frozen=True)
class Bank:
    """What the bank's own file holds, read without the bank."""

    lines: Counter[tuple[str | None, str, int]]
    doubled: list[str]
    """References that were debited more than once."""
    requests: int
    """How often a payout was asked for, repeats included."""


class Checkout:
    """The copy; its commands find the installed packages of this very environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".bursar"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.split("\0"):
            if name and (ROOT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(OUR_PREFIXES)}
        cli = os.environ.get("BURSAR_TEMPORAL_CLI")
        self.environment |= {"BURSAR_TEMPORAL_CLI": cli} if cli else {}

    def make_run(self, *variables: str) -> list[str]:
        """Return the command `make run` with the packages that are installed already."""
        return ["make", "-o", ".venv/installed", f"BIN={BIN}", "run", *variables]

    def run_once(self, seconds_max: float = 240) -> subprocess.CompletedProcess[str]:
        """Run `make run ONCE=1` to its end."""
        return subprocess.run(
            self.make_run("ONCE=1"),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )

    def summary(self) -> dict[str, Any]:
        """Return what the last run has written."""
        content: dict[str, Any] = json.loads((self.home / "summary.json").read_text())
        return content

    def books(self) -> Books:
        """Ask Postgres directly; nothing else may run on the data."""
        server = LocalPostgres(self.home / "postgres")
        server.start()
        try:
            url = server.url("bursar", user="postgres", password=server.password)
            return asyncio.run(_books(url))
        finally:
            server.stop()

    def bank(self) -> Bank:
        """Read the bank's own file."""
        with sqlite3.connect(f"file:{self.home / 'bank.sqlite'}?mode=ro", uri=True) as file:
            lines = file.execute("SELECT reference, currency, amount_minor FROM lines").fetchall()
            doubled = file.execute(
                "SELECT reference FROM lines WHERE kind = 'payout'"
                " GROUP BY reference HAVING count(*) > 1"
            ).fetchall()
            requests = file.execute("SELECT coalesce(sum(count), 0) FROM tries").fetchone()[0]
        file.close()
        return Bank(
            Counter((_subject(ref), currency, minor) for ref, currency, minor in lines),
            [reference for (reference,) in doubled],
            int(requests),
        )

    def processes(self) -> dict[str, int]:
        """Return the pids that a run has written down, by name."""
        return {
            file.stem: int(json.loads(file.read_text())["pid"])
            for file in (self.home / "pids").glob("*.json")
        }


def _subject(reference: str) -> str | None:
    """Return an attempt's payment, nothing for what the bank has made up, and all else as it is."""
    if reference.startswith("phantom_"):
        return None
    return re.sub(r"^(po_.*)-[0-9]+$", r"\1", reference)


async def _books(url: str) -> Books:
    connection = await asyncpg.connect(url)
    try:
        payments = await connection.fetch("SELECT id, state FROM payments")
        nostro = await connection.fetch(
            "SELECT a.currency, e.delta, t.payment_id, t.id,"
            " (SELECT string_agg(o.path, ' ') FROM entries x JOIN accounts o ON o.id = x.account_id"
            "   WHERE x.transaction_id = t.id AND o.path LIKE 'wallet/%') AS wallet"
            " FROM entries e JOIN accounts a ON a.id = e.account_id"
            " JOIN transactions t ON t.id = e.transaction_id"
            " WHERE a.path LIKE 'nostro/%' AND e.delta <> 0"
        )
        trial = await connection.fetch(
            "SELECT a.currency, sum(e.delta)::bigint AS total FROM entries e"
            " JOIN accounts a ON a.id = e.account_id GROUP BY a.currency"
        )
        transactions = await connection.fetchval("SELECT count(*) FROM transactions")
    finally:
        await connection.close()
    return Books(
        {row["id"]: row["state"] for row in payments},
        Counter(
            (row["payment_id"] or row["wallet"], row["currency"], -row["delta"]) for row in nostro
        ),
        {row["currency"]: row["total"] for row in trial},
        int(transactions),
    )
