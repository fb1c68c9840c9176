"""`make bench-payouts`: a payout beside what Temporal itself costs, and beside the usual way."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig

from benchmarks.figures import QUICK_SHARE
from benchmarks.payouts import once
from benchmarks.payouts.books import check_books, make_books
from benchmarks.payouts.driver import Bell, listening
from benchmarks.payouts.engines import DEV, ON_POSTGRES, Unbuildable, open_engine
from benchmarks.payouts.figures import BARS, MEANINGS, bottleneck, disturbed, figures, missed
from benchmarks.payouts.report import Run, write_report
from benchmarks.payouts.rounds import Plan, Results, Rounds
from benchmarks.payouts.site import RATE_PER_SECOND, Site
from benchmarks.server import server
from bursar.errors import BursarError
from bursar.exit import leave
from ops.ports import free_port
from ops.postgres import LocalPostgres, PostgresFailed
from ops.program import ProgramFailed
from ops.temporal import TemporalFailed
from ops.temporal_binary import TemporalNotFound

FULL = Plan(
    rounds=5,
    seconds=20,
    warm_up_seconds=4,
    half_seconds=30,
    starts=10_000,
    memory=(1_000, 20_000),
    backlog=20_000,
)
QUICK = Plan(
    rounds=1,
    seconds=8,
    warm_up_seconds=3,
    half_seconds=8,
    starts=1_000,
    memory=None,
    backlog=0,
)
BACKLOG_RATE = 15.0
"""What the rail allows while its backlog drains: less than two cores can do."""

NOT_RUN = (
    BursarError,
    OSError,
    RuntimeError,
    PostgresFailed,
    ProgramFailed,
    TemporalFailed,
    TemporalNotFound,
    asyncpg.PostgresError,
)

log = logging.getLogger(__name__)


def main() -> int:
    """Run, report, and return 0, 1 where a bar was missed, or 2 where it could not be run."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for stranger in ("httpx", "alembic"):
        logging.getLogger(stranger).setLevel(logging.WARNING)
    Runtime.set_default(  # the SDK's own log would go to standard output
        Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="OFF")))
    )
    try:
        servers = options.server or ([DEV] if options.quick else [DEV, ON_POSTGRES])
        run = asyncio.run(_run(_plan(options), servers))
    except NOT_RUN as error:
        sys.stderr.write(f"The benchmark did not run: {error}\n")
        return 2
    except ExceptionGroup as group:  # of callers that ran side by side; a bug shows itself whole
        known, bugs = group.split(NOT_RUN)
        if bugs is not None or known is None:
            raise
        sys.stderr.write(f"The benchmark did not run: {known.exceptions[0]}\n")
        return 2
    if options.report is not None:
        write_report(options.report, run)
    below = missed(run.figures, QUICK_SHARE if options.quick else 1.0)
    for name in BARS:
        sys.stderr.write(_line(run, name, "MISSED" if name in below else "short") + "\n")
    warning = disturbed(run.figures)
    if warning is not None:
        sys.stderr.write(f"{warning}.\n")
    sys.stdout.write(json.dumps(run.figures | run.bottlenecks) + "\n")
    return 1 if below else 0


def _line(run: Run, name: str, otherwise: str) -> str:
    bar = BARS[name]
    if name not in run.figures:
        return f"{name:28} {'-':>8}  {bar!s:7} {'not run':7} {MEANINGS[name]}"
    figure = run.figures[name]
    sign = "ok" if bar.is_met(figure) else otherwise
    return f"{name:28} {figure:8.2f}  {bar!s:7} {sign:7} {MEANINGS[name]}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.payouts", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two minutes on the dev server; fails only on a figure below 70 %% of its bar",
    )
    parser.add_argument("--rounds", type=int, help="how many rounds the medians are taken of")
    parser.add_argument("--seconds", type=float, help="of each load in each round")
    parser.add_argument(
        "--server", choices=(DEV, ON_POSTGRES), action="append", help="only this Temporal server"
    )
    parser.add_argument("--starts", type=int, help="payouts that the client starts in a row")
    parser.add_argument("--memory", type=int, help="payouts after which memory is compared, or 0")
    parser.add_argument("--backlog", type=int, help="payouts behind a paused rail, or 0")
    parser.add_argument("--report", type=Path, help="folder for the table and plots")
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    memory = plan.memory
    if options.memory is not None:
        memory = (min(1_000, options.memory // 2), options.memory) if options.memory else None
    return replace(
        plan,
        rounds=options.rounds or plan.rounds,
        seconds=options.seconds or plan.seconds,
        starts=plan.starts if options.starts is None else options.starts,
        memory=memory,
        backlog=plan.backlog if options.backlog is None else options.backlog,
    )


async def _run(plan: Plan, servers: Sequence[str]) -> Run:
    with server(None) as postgres:
        found = {kind: await _measure(plan, postgres, kind) for kind in servers}
        results = {kind: result for kind, result in found.items() if result is not None}
        more = await _backlog(plan, postgres) if plan.backlog and DEV in servers else {}
    return Run(
        plan=plan,
        results=results,
        figures=figures(results.get(DEV), results.get(ON_POSTGRES)) | more,
        bottlenecks={f"bottleneck_{kind}": bottleneck(each) for kind, each in results.items()},
    )


async def _measure(plan: Plan, postgres: LocalPostgres, kind: str) -> Results | None:
    """Measure on one Temporal server; None where that cannot be had."""
    try:
        async with _site(postgres, kind, RATE_PER_SECOND) as (site, client, bell):
            rounds = Rounds(plan, site, client, bell)
            results = await rounds.run()
            if kind == DEV:
                await rounds.at_half_rate()
                results.more |= await _once(plan, site)
    except Unbuildable as reason:
        log.info("SKIPPED: Temporal server on PostgreSQL: %s", reason)
        return None
    return results


async def _once(plan: Plan, site: Site) -> dict[str, float]:
    found: dict[str, float] = {}
    if plan.memory is not None:
        log.info("Memory over %s payouts …", f"{plan.memory[1]:,}")
        found["memory_growth"] = await once.memory(site, *plan.memory)
    if plan.starts:
        log.info("Starting %s payouts …", f"{plan.starts:,}")
        await site.quiet()
        found[f"start_{plan.starts}_seconds"] = await once.starts(site, plan.starts)
    return found


async def _backlog(plan: Plan, postgres: LocalPostgres) -> dict[str, float]:
    log.info("A backlog of %s payouts …", f"{plan.backlog:,}")
    async with _site(postgres, DEV, BACKLOG_RATE) as (site, _client, _bell):
        return await once.backlog(site, plan.backlog, BACKLOG_RATE)


@asynccontextmanager
async def _site(
    postgres: LocalPostgres, kind: str, rate_per_second: float
) -> AsyncIterator[tuple[Site, Client, Bell]]:
    """Start everything on books of its own; refuse what was measured on books that broke."""
    database = f"books_{uuid.uuid4().hex[:8]}"
    port = free_port()
    async with open_engine(kind, log.info) as engine:
        log.info("Making books and starting everything on the %s …", engine.description)
        url = await make_books(postgres, database)
        with tempfile.TemporaryDirectory(prefix="bursar-benchmark-", dir="/var/tmp") as folder:
            site = Site(Path(folder), postgres, url, engine, port, rate_per_second=rate_per_second)
            try:
                await site.start()
                client = await site.client()
                bell = Bell(client)
                async with listening(bell, port):
                    yield site, client, bell
                    report = await check_books(postgres, database)
                    if report.breaks:
                        raise RuntimeError(f"the books are not sound: {report.breaks[0]}")
            finally:
                await site.stop()


if __name__ == "__main__":
    leave(main())
