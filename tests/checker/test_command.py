"""The command: its exit status, its last line, and what it says where it cannot check."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from bursar import names
from ops.temporal import LocalTemporal
from tests.checker.conftest import Copy, found

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "checker", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


async def test_an_honest_life_ends_with_status_0_and_its_last_line_is_json(copy: Copy) -> None:
    done = run(*copy.arguments("--json", temporal=True))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert {"checker_version", "invariants", "figures", "examples", "not_applicable"} <= set(told)
    assert set(told["invariants"].values()) == {0}


async def test_a_violation_ends_with_status_1_and_is_shown_to_people(copy: Copy) -> None:
    await copy.sql("UPDATE accounts SET tenant = 'other' WHERE path = 'wallet/bolt/EUR'")
    done = run(*copy.arguments())
    assert done.returncode == 1
    assert "of main moves wallet/bolt/EUR" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--books-url", "postgresql://nobody@127.0.0.1:9/none"), "--books-url"),
        (("--books-url", "nonsense"), "--books-url"),
        (("--books-url", "postgresql://x", "--bank", "simulator=/none"), "--bank"),
        (("--books-url", "postgresql://x", "--bank", f"a={__file__}"), "as a bank's book"),
        (("--books-url", "postgresql://x", "--bank", "simulator"), "is not NAME=FILE"),
        (("--books-url", "postgresql://x", "--client-log", "/none"), "cannot be read"),
        (("--books-url", "postgresql://x", "--client-log", __file__), "no entry of a client's log"),
        (("--books-url", "postgresql://x", "--since", "soon"), "no moment"),
    ],
)
def test_what_cannot_be_read_ends_with_status_2_and_says_what(
    arguments: tuple[str, ...], says: str
) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_login_that_may_not_read_ends_with_status_2(copy: Copy) -> None:
    await copy.sql("REVOKE SELECT ON entries FROM bursar_reader")
    done = run(*copy.arguments())
    assert done.returncode == 2
    assert "permission denied" in done.stderr


async def test_the_session_that_reads_the_books_cannot_write_even_as_a_superuser(
    copy: Copy,
) -> None:
    await copy.sql(
        "ALTER TABLE notes RENAME TO kept",
        "CREATE FUNCTION sneak() RETURNS SETOF kept LANGUAGE sql VOLATILE AS 'INSERT INTO kept"
        " (payment_id, key, actor, kind, detail) VALUES ($$p$$, $$k$$, $$a$$, $$k$$, $$d$$)"
        " RETURNING *'",
        "CREATE VIEW notes AS SELECT * FROM sneak()",
    )
    done = run("--books-url", copy.admin_url)
    assert done.returncode == 2
    assert "read-only transaction" in done.stderr


async def test_what_was_not_given_is_named_as_not_judged(copy: Copy) -> None:
    told = json.loads(run("--books-url", copy.reader_url, "--json").stdout.splitlines()[-1])
    assert "--bank" in told["not_applicable"]["INV-09"]
    assert "--client-log" in told["not_applicable"]["INV-23"]
    assert "--temporal" in told["not_applicable"]["INV-14"]
    assert "INV-09" not in told["invariants"]


@pytest.mark.parametrize(("since", "count"), [("2020-01-01", 1), ("2099-01-01", 0)])
async def test_since_leaves_alone_what_is_final_and_has_not_moved(
    copy: Copy, since: str, count: int
) -> None:
    await copy.sql("UPDATE approvals SET rule_version = 'old'")
    report = await copy.report("--since", since)
    assert report.invariants["INV-18"] == count


async def test_a_line_that_was_cut_off_by_a_crash_was_never_told(copy: Copy) -> None:
    with copy.log.open("a") as out:
        out.write('{"at": "2026-01-01T00:00:00+00:00", "op": "resu')
    assert (await copy.report()).violations == 0


async def test_inv14_an_unfinished_payment_without_a_run_is_found(copy: Copy) -> None:
    await copy.sql(
        "UPDATE payments SET state = 'submitted' WHERE id = 'po_plain'",
    )
    report = await copy.report(temporal=True)
    assert report.examples["INV-14"] == ["po_plain: is submitted, and no run takes it further"]


async def test_inv14_a_run_of_no_payment_and_of_a_finished_one_are_found(
    copy: Copy, temporal: LocalTemporal
) -> None:
    client = await Client.connect(copy.life.temporal_address, namespace=copy.life.namespace)
    handle = await client.start_workflow(
        names.PAYOUT_WORKFLOW,
        {},
        id="payout/po_ghost",
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([SearchAttributePair(names.TENANT, "main")]),
        execution_timeout=timedelta(minutes=5),
    )
    try:
        report = await copy.report(temporal=True)
    finally:
        await handle.terminate()
    while not report.invariants["INV-14"]:  # Temporal's index follows in a moment
        report = await copy.report(temporal=True)
    assert report.examples["INV-14"] == ["po_ghost: runs and is not registered"]


BREACHES = [
    # (calls at the bank, what the terms promise of keys, of look-ups, look-ups that missed): ours?
    (1, '"P1D"', "true", 0, False),
    (2, '"P1D"', "true", 0, True),
    (2, '"P1D"', "true", 1, False),
    (2, '"P1D"', "false", 0, False),
    (2, "null", "true", 0, True),
    (2, "null", "true", 1, False),
    (2, "null", "false", 0, True),
    (1, "null", "false", 0, False),
]


@pytest.mark.parametrize(("calls", "key_lifetime", "finds", "misses", "is_ours"), BREACHES)
async def test_a_double_is_the_partners_only_where_it_broke_all_that_it_promised(
    copy: Copy, calls: int, key_lifetime: str, finds: str, misses: int, is_ours: bool
) -> None:
    copy.bank_sql(
        "INSERT INTO payouts (reference, amount_minor, currency, beneficiary, truth, told,"
        " created_at, visible_at, quirks) SELECT reference, amount_minor, currency, beneficiary,"
        " 'pending', 'pending', strftime('%Y-%m-%dT%H:%M:%f000Z', created_at, '+10 seconds'), 0,"
        " quirks FROM payouts WHERE reference = 'po_plain-1'",
        f"UPDATE tries SET count = {calls} WHERE reference = 'po_plain-1'",
    )
    await copy.sql(
        "UPDATE payments SET terms = jsonb_set(jsonb_set(terms, '{guarantees,key_lifetime}',"
        f" '{key_lifetime}'), '{{guarantees,finds_by_reference}}', '{finds}')"
        " WHERE id = 'po_plain'",
        "INSERT INTO partner_words (attempt_key, verb, kind, evidence, answered_at)"
        " SELECT key, 'find', 'not_found', '', opened_at + interval '8 s' FROM attempts"
        f" WHERE key = 'po_plain-1' AND {misses} = 1",
    )
    report = await copy.report()
    expected = {"INV-06", "doubled"} if is_ours else set()
    assert found(report) - {"partner_breach"} == expected
    assert report.apart["partner_breach"] == (2 if is_ours else 3)
