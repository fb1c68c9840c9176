"""Sending through a real Temporal server: started once, whatever is sent again."""

from __future__ import annotations

from bursar.cli.codes import ExitCode
from bursar.ids import new_payout_id
from ops.temporal import LocalTemporal
from tests.cli.conftest import Cli
from tests.cli.sample import HEADER, good


async def test_a_file_is_sent_once_and_a_changed_line_is_a_conflict(
    cli: Cli, temporal: LocalTemporal
) -> None:
    one, two, bad = new_payout_id(), new_payout_id(), new_payout_id()
    cli.connect(temporal_address=temporal.address, temporal_namespace=temporal.namespace)
    lines = [HEADER, good(one), good(two), good(bad, "0"), good(one), good(two, "77.00")]
    file = cli.file("p.csv", "\n".join(lines))

    first = cli("payouts", "send", file, "--json")
    assert first.code == ExitCode.CONFLICT
    assert first.json["counts"] == {"started": 2, "repeated": 1, "conflict": 1, "refused": 1}

    again = cli("payouts", "send", cli.file("p.csv", "\n".join(lines[:3])))
    assert (again.code, again.err) == (ExitCode.OK, "")
    assert "sent before; not again" in again.out

    changed = cli.file("p.csv", "\n".join([HEADER, good(one, "1.00"), good(two)]))
    ended = cli("payouts", "send", changed, "--json")
    assert ended.code == ExitCode.CONFLICT
    assert [line["outcome"] for line in ended.json["lines"]] == ["conflict", "existed"]

    memo = await temporal.client.get_workflow_handle(f"payout/{one}").describe()
    assert memo.workflow_type == "Payout"
