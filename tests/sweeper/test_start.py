"""The start guard: what may forget, or mixes live with test, does not start (D8, H5)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import pytest

from bursar.faults import MISCONFIGURED, UNSAFE
from ops.program import ROOT, environment
from tests.conftest import run_sql
from tests.faults.site import Site

pytestmark = pytest.mark.faults


async def start(site: Site, program: str, settings: Mapping[str, str]) -> tuple[int, str]:
    """Start a program that is to refuse; return its exit status and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        program,
        cwd=ROOT,
        env=environment({**site.house.ours, "BURSAR_GATEWAY_PORT": "0", **settings}),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AssertionError(f"{program} runs, and should have refused") from None
    return process.returncode or 0, said.decode().splitlines()[-1]


@pytest.mark.parametrize("program", ["workers", "gateway"])
@pytest.mark.parametrize("variable", ["BURSAR_ENVIRONMENT", "PARTNER_SIMULATOR_ENVIRONMENT"])
async def test_a_process_and_its_partners_are_of_one_environment(
    site: Site, program: str, variable: str
) -> None:
    status, said = await start(site, program, {variable: "live"})
    assert status == UNSAFE
    assert "BURSAR_ENVIRONMENT" in said
    assert "simulator is" in said


async def test_an_environment_that_there_is_not_is_a_wrong_setting(site: Site) -> None:
    status, said = await start(site, "workers", {"BURSAR_ENVIRONMENT": "production"})
    assert (status, "BURSAR_ENVIRONMENT" in said) == (2, True)


@pytest.mark.parametrize("program", ["workers", "gateway"])
@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_a_database_that_may_forget_what_was_sent_is_refused(
    site: Site, program: str, name: str
) -> None:
    url = site.postgres.admin_url

    async def set_to(value: str) -> None:
        await run_sql(url, f"ALTER SYSTEM SET {name} = {value}", "SELECT pg_reload_conf()")

        async def is_so() -> bool:
            return str((await site.rows(f"SHOW {name}"))[0][0]) == value

        await site.until(f"{name} is {value}", is_so)

    await set_to("off")
    try:
        status, said = await start(site, program, {})
    finally:
        await set_to("on")
    assert status == UNSAFE
    assert f"set {name} = on" in said


@pytest.mark.parametrize("program", ["workers", "gateway"])
async def test_a_database_without_books_or_with_those_of_an_older_release_is_refused(
    site: Site, program: str
) -> None:
    url = site.postgres.admin_url
    await run_sql(url, "CREATE DATABASE bare")
    try:
        bare = {"BURSAR_DATABASE_URL": _at(site, path="/bare")}
        status, said = await start(site, program, bare)
        assert (status, "has no books yet" in said) == (UNSAFE, True)
        assert "ledger.migrate" in said
        await run_sql(url.rpartition("/")[0] + "/bare", *_OLD_BOOKS)
        status, said = await start(site, program, bare)
        assert (status, "of revision 0001" in said) == (UNSAFE, True)
    finally:
        await run_sql(url, "DROP DATABASE bare WITH (FORCE)")


@pytest.mark.parametrize("program", ["workers", "gateway"])
@pytest.mark.parametrize("wrong", [{"path": "/nowhere"}, {"user": "nobody-of-ours"}])
async def test_a_login_that_the_database_refuses_is_a_wrong_setting(
    site: Site, program: str, wrong: dict[str, str]
) -> None:
    status, said = await start(site, program, {"BURSAR_DATABASE_URL": _at(site, **wrong)})
    assert (status, "BURSAR_DATABASE_URL" in said) == (MISCONFIGURED, True)


_OLD_BOOKS = (
    "CREATE TABLE alembic_version (version_num text)",
    "INSERT INTO alembic_version VALUES ('0001')",
    "GRANT SELECT ON alembic_version TO PUBLIC",
)


def _at(site: Site, *, path: str = "", user: str = "") -> str:
    """Return the address of the books, with another database or login in it."""
    url = urlsplit(site.house.ours["BURSAR_DATABASE_URL"])
    login = f"{user}:{url.password}@{url.hostname}:{url.port}" if user else url.netloc
    return urlunsplit(url._replace(netloc=login, path=path or url.path))


async def test_a_partner_that_gives_no_statement_keeps_no_worker_from_starting(
    site: Site,
) -> None:
    """Its outage is not made ours: the worker says so, and compares once it answers."""
    await site.stop("worker")
    await site.stop("bank")
    log = site.house.directory / "worker.log"
    before = log.stat().st_size
    await site.start("worker")
    said = log.read_text()[before:]
    assert "no statement of simulator" in said
    assert "serving" in said
    await site.start("bank")
