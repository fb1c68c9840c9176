"""Run the races longer: `python -m tests.races --rounds 10000 --seed 7`, or `make races`.

Prints a line for each contest and, last, one line of JSON; exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

from ledger.migrate import ensure_login, upgrade
from ops.postgres import LocalPostgres
from tests.conftest import LOGIN_PASSWORD, WRITER, run_sql
from tests.races.contests import CONTESTS
from tests.races.running import Tally, run_contest
from tests.races.stage import open_stage


async def race(postgres: LocalPostgres, name: str, rounds: int, seed: int) -> Tally:
    """Run one contest in a database of its own."""
    database = f"race_{list(CONTESTS).index(name)}"
    await run_sql(postgres.admin_url, f"CREATE DATABASE {database}")
    admin_url = postgres.url(database, user="postgres", password=postgres.password)
    await upgrade(admin_url)
    await ensure_login(admin_url, WRITER, LOGIN_PASSWORD, "bursar_writer")
    books_url = postgres.url(database, user=WRITER, password=LOGIN_PASSWORD)
    async with open_stage(books_url) as stage:
        return await run_contest(stage, books_url, name, rounds=rounds, seed=seed)


async def race_all(names: list[str], rounds: int, seed: int) -> list[Tally]:
    """Run contests one after the other on a server of their own, and tell how each went."""
    directory = Path(tempfile.mkdtemp(prefix="bursar-races-"))
    postgres = LocalPostgres(directory)
    tallies = []
    try:
        await asyncio.to_thread(postgres.start)
        for name in names:
            tally = await race(postgres, name, rounds, seed)
            tallies.append(tally)
            won = ", ".join(f"{winner} {times}" for winner, times in tally.winners.items())
            print(  # noqa: T201
                f"{name:28} rounds {tally.rounds:6} of {tally.racers} racers  won: {won}; "
                f"violations {tally.violations}, held money left {tally.held_left_minor}, "
                f"breaks {len(tally.book_breaks)}  ({tally.seconds} s)",
                flush=True,
            )
            for told in (*tally.first_violations, *tally.book_breaks):
                print(f"    {told}", flush=True)  # noqa: T201
    finally:
        await asyncio.to_thread(postgres.stop, "immediate")
        shutil.rmtree(directory)
    return tallies


def main() -> int:
    """Read the arguments, race, and say in JSON what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.races", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000, help="rounds of each contest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(CONTESTS), help="one contest")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    tallies = asyncio.run(race_all(given.only or list(CONTESTS), given.rounds, given.seed))
    summary = {
        "seed": given.seed,
        "rounds": sum(tally.rounds for tally in tallies),
        "violations": sum(tally.violations for tally in tallies),
        "held_left_minor": sum(tally.held_left_minor for tally in tallies),
        "book_breaks": sum(len(tally.book_breaks) for tally in tallies),
        "contests": [tally.line() for tally in tallies],
    }
    print(json.dumps(summary))  # noqa: T201
    return 0 if all(tally.clean for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
