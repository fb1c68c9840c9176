"""One honest life for all tests of this folder; each test spoils a copy of its own."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from checker.__main__ import gather, parser
from checker.facts import Facts
from checker.report import Report, judge
from ops.postgres import LocalPostgres
from ops.temporal import LocalTemporal
from tests.checker.life import ClientLog, copy_book, live
from tests.conftest import LOGIN_PASSWORD, READER, WRITER, run_sql
from tests.house import RULES, open_house

PATIENT = RULES.replace("approval_expires_after = 3", "approval_expires_after = 10")


@dataclass(frozen=True)
class Life:
    """What an honest life has left behind."""

    database: str
    bank: Path
    log: Path
    rules: Path
    temporal_address: str
    namespace: str


@dataclass(frozen=True)
class Copy:
    """A copy of a life that may be spoiled, and how it is judged then."""

    admin_url: str
    reader_url: str
    bank: Path
    log: Path
    life: Life

    async def sql(self, *statements: str) -> None:
        """Write past every guard, as only a superuser can."""
        await run_sql(
            self.admin_url, "; ".join(("SET session_replication_role = replica", *statements))
        )

    def bank_sql(self, *statements: str) -> None:
        """Write into the bank's own book past its triggers."""
        with closing(sqlite3.connect(self.bank)) as book, book:
            book.execute("DROP TRIGGER lines_stay")
            book.execute("DROP TRIGGER lines_never_go")
            for statement in statements:
                book.execute(statement)

    def tell(self, **line: Any) -> None:
        """Write one more line into the client's log."""
        with self.log.open("a") as out:
            out.write(json.dumps(line) + "\n")

    def arguments(self, *more: str, temporal: bool = False) -> list[str]:
        """Return the command's arguments for this copy."""
        of_temporal = ["--temporal", self.life.temporal_address, "--namespace", self.life.namespace]
        return [
            *("--books-url", self.reader_url, "--bank", f"simulator={self.bank}"),
            *("--client-log", str(self.log), "--grace-seconds", "0"),
            *("--rules", str(self.life.rules)),
            *(of_temporal if temporal else ()),
            *more,
        ]

    async def report(self, *more: str, temporal: bool = False) -> Report:
        """Judge this copy."""
        return judge(await gather(parser().parse_args(self.arguments(*more, temporal=temporal))))


@pytest.fixture(scope="package")
async def life(
    postgres: LocalPostgres, template: str, temporal: LocalTemporal
) -> AsyncIterator[Life]:
    """A house that lived honestly and was shut; its data stay."""
    database = f"life_{uuid.uuid4().hex}"
    await run_sql(postgres.admin_url, f"CREATE DATABASE {database} TEMPLATE {template}")
    directory = Path(tempfile.mkdtemp(prefix="bursar-checker-"))
    books_url = postgres.url(database, user=WRITER, password=LOGIN_PASSWORD)
    async with open_house(directory, temporal, books_url, rules=PATIENT) as house:
        await live(house, ClientLog(directory / "client.jsonl"))
    await _nobody_is_connected(postgres.admin_url, database)
    yield Life(
        database,
        directory / "bank.sqlite",
        directory / "client.jsonl",
        house.rules_file,
        house.temporal_address,
        house.namespace,
    )
    shutil.rmtree(directory)


async def _nobody_is_connected(admin_url: str, database: str) -> None:
    """End what connections are left: a database is copied only when nobody uses it."""
    query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "
    await run_sql(admin_url, f"{query}'{database}'")


@pytest.fixture(scope="package")
async def facts(life: Life, postgres: LocalPostgres) -> Facts:
    """Everything that the honest life has left behind, as the rules see it."""
    url = postgres.url(life.database, user=READER, password=LOGIN_PASSWORD)
    arguments = ["--books-url", url, "--bank", f"simulator={life.bank}", "--grace-seconds", "0"]
    arguments += ["--client-log", str(life.log), "--rules", str(life.rules)]
    read = await gather(parser().parse_args(arguments))
    await _nobody_is_connected(postgres.admin_url, life.database)
    return read


@pytest.fixture
async def copy(life: Life, postgres: LocalPostgres, tmp_path: Path) -> AsyncIterator[Copy]:
    """A copy of the honest life: database, bank's book and client's log."""
    name = f"copy_{uuid.uuid4().hex}"
    await run_sql(postgres.admin_url, f"CREATE DATABASE {name} TEMPLATE {life.database}")
    copy_book(life.bank, tmp_path / "bank.sqlite")
    shutil.copy(life.log, tmp_path / "client.jsonl")
    yield Copy(
        admin_url=postgres.url(name, user="postgres", password=postgres.password),
        reader_url=postgres.url(name, user=READER, password=LOGIN_PASSWORD),
        bank=tmp_path / "bank.sqlite",
        log=tmp_path / "client.jsonl",
        life=life,
    )
    await run_sql(postgres.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


def found(report: Report) -> set[str]:
    """Return the rules that have found something."""
    counts = {**report.invariants, **report.figures, **report.apart}
    return {name for name, count in counts.items() if count}
