"""`make bench-ledger`: the books beside the floor that PostgreSQL itself sets, in one run."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import asyncpg

from benchmarks.books import Databases
from benchmarks.checks import check_and_measure
from benchmarks.figures import BARS, MEANINGS, QUICK_SHARE, figures, missed, rounded
from benchmarks.floor import Pgbench
from benchmarks.report import Run, write_report
from benchmarks.rounds import BOOKS, SMALL_ENTRIES, Plan, Rounds
from benchmarks.server import server
from ops.postgres import LocalPostgres, PostgresFailed
from workers.memory import collect_seldom

FULL = Plan(rounds=5, seconds=3, sizes=(1_000_000, 10_000_000), checks=True)
QUICK = Plan(rounds=2, seconds=1, sizes=(1_000_000,))

BUSY = 0.5
"""The load of a machine on which others are at work."""

log = logging.getLogger(__name__)


def main() -> int:
    """Run, report, and return 0, 1 where a bar was missed, or 2 where it could not be run."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    collect_seldom()  # As a worker does.
    try:
        run = asyncio.run(_run(options))
    except (OSError, RuntimeError, PostgresFailed, asyncpg.PostgresError) as error:
        sys.stderr.write(f"The benchmark did not run: {error}\n")
        return 2
    if options.report is not None:
        write_report(options.report, run)
    below = missed(run.figures, QUICK_SHARE if options.quick else 1.0)
    for name, bar in BARS.items():
        if name not in run.figures:
            continue
        sign = "MISSED" if name in below else "ok" if bar.is_met(run.figures[name]) else "short"
        sys.stderr.write(
            f"{name:27} {run.figures[name]:8.2f}  {bar!s:7} {sign:7} {MEANINGS[name]}\n"
        )
    sys.stdout.write(json.dumps(run.figures) + "\n")
    return 1 if below else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two minutes; fails only on a figure below 70 %% of its bar",
    )
    parser.add_argument("--rounds", type=int, help="how many rounds the medians are taken of")
    parser.add_argument("--seconds", type=float, help="of each load in each round, 1 or more")
    parser.add_argument("--postgres-bin", type=Path, help="bin directory of another PostgreSQL")
    parser.add_argument("--report", type=Path, help="folder for the table and plots")
    parser.add_argument(
        "--peer-sql", type=_text_of, help="another ledger's schema, as one SQL file"
    )
    parser.add_argument(
        "--peer-call",
        help="the statement that posts in it; :source and :target are 1 to 10000, :amount an int",
    )
    options = parser.parse_args()
    if (options.peer_sql is None) != (options.peer_call is None):
        parser.error("--peer-sql and --peer-call go together")
    return options


def _text_of(name: str) -> str:
    """Return what a file named on the command line holds."""
    try:
        text = Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be read: {error}") from error
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{name} is empty")
    return text


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    return Plan(
        rounds=options.rounds or plan.rounds,
        seconds=options.seconds or plan.seconds,
        sizes=plan.sizes,
        peer_call=options.peer_call,
        checks=plan.checks,
    )


async def _run(options: argparse.Namespace) -> Run:
    plan = _plan(options)
    load = os.getloadavg()[0]
    if load > BUSY:
        log.warning(
            "The machine is busy (load %.1f). Its scheduler gives pgbench's many processes more of"
            " it than our few, so the ratios below are lower than on an idle one.",
            load,
        )
    with server(options.postgres_bin) as postgres, tempfile.TemporaryDirectory() as scripts:
        databases = Databases(postgres)
        pgbench = Pgbench(postgres, Path(scripts))
        if options.peer_sql is not None:
            await pgbench.prepare_peer(options.peer_sql)
        await _prepare(plan, databases, pgbench)
        results = await Rounds(plan, postgres, databases, pgbench).run()
        measured = figures(plan, results) | rounded(await _check(databases, plan))
        return Run(plan, results, measured, await _version(postgres), load)


async def _prepare(plan: Plan, databases: Databases, pgbench: Pgbench) -> None:
    log.info("Making the floor and books with %s entries …", f"{SMALL_ENTRIES:,}")
    await pgbench.prepare_floor()
    await databases.seed(SMALL_ENTRIES)
    await databases.copy(BOOKS)
    for size in plan.sizes:
        log.info("Making books with %s entries …", f"{size:,}")
        await databases.copy(f"books_{size}")
        await databases.fill(f"books_{size}", size)


async def _check(databases: Databases, plan: Plan) -> dict[str, float]:
    """Refuse figures of books that are not sound at the end; return what checking them costs."""
    largest = f"books_{plan.sizes[-1]}"
    for database in (BOOKS,) if plan.checks else (BOOKS, largest):
        log.info("Checking %s …", database)
        report = await databases.check(database)
        if report.breaks:
            raise RuntimeError(f"{database} is not sound: {report.breaks[0]}")
    if not plan.checks:
        return {}
    log.info("Checking %s, and a minute of traffic in it …", largest)
    return await check_and_measure(databases, largest)


async def _version(postgres: LocalPostgres) -> str:
    connection = await asyncpg.connect(postgres.admin_url)
    try:
        version: str = await connection.fetchval("show server_version")
        return version
    finally:
        await connection.close()


if __name__ == "__main__":
    raise SystemExit(main())
