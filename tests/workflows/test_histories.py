"""Histories outlive releases: what was recorded replays, and stays within its budget.

`BURSAR_RECORD_HISTORIES=1 pytest tests/workflows/test_histories.py` records them anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from bursar import Bursar, temporal
from tests.house import House
from tests.workflows.scenarios import SCENARIOS
from workers.serving import WORKFLOWS

HISTORIES = Path(__file__).parent / "histories"
RECORD = "BURSAR_RECORD_HISTORIES"

BUDGET = {
    "payout_settled": 20,
    "payout_told_before_the_reply": 18,
    "payout_rejected": 14,
    "payout_refused": 9,
    "transfer_settled": 9,
    "transfer_refused": 9,
    "payout_approved": 29,
}
"""The most events that a run may take; polling, retries and waiting add none or nearly none."""

TEACH = """{name} does not replay: the code now issues other commands than the history holds.
Runs that are under way at the next deployment would fail their tasks until the code is mended.
Either keep the old order behind `workflow.patched("…")`, which is right whenever such runs may
exist, or, when none can (the workflow was never released), record anew with
{record}=1 pytest tests/workflows/test_histories.py.
{failure}"""


def without_this_machine(told: Any) -> Any:
    """Return a history without stack traces and identities, which say where it was recorded."""
    if isinstance(told, str):
        return re.sub(r"\b\d+@[\w-]+", "worker", told)
    if isinstance(told, dict):
        kept = {key: each for key, each in told.items() if key not in {"stackTrace", "identity"}}
        return {key: without_this_machine(each) for key, each in kept.items()}
    return [without_this_machine(each) for each in told] if isinstance(told, list) else told


def test_no_recorded_history_says_where_it_was_recorded() -> None:
    for path in HISTORIES.glob("*.json"):
        told = json.loads(path.read_text())
        assert told == without_this_machine(told), path.name


async def replay(name: str, history: WorkflowHistory) -> None:
    """Replay a history with the plugin of production; teach what to do when it fails."""
    replayer = Replayer(workflows=WORKFLOWS, plugins=[temporal.plugin()])
    outcome = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    if outcome.replay_failure is not None:
        pytest.fail(TEACH.format(name=name, record=RECORD, failure=outcome.replay_failure))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_run_replays_and_stays_within_its_budget(
    house: House, bursar: Bursar, name: str
) -> None:
    client: Client = await temporal.connect(house.temporal_address, house.namespace)
    async with house.reader() as reader:
        await reader.open_accounts([("wallet/bolt/EUR", "main")])
    workflow_id = await SCENARIOS[name](house, bursar, client)
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    if os.environ.get(RECORD):
        HISTORIES.mkdir(exist_ok=True)
        told = without_this_machine(json.loads(history.to_json()))
        compact = json.dumps(told, separators=(",", ":"))
        (HISTORIES / f"{name}.json").write_text(compact + "\n")
    kinds = [event.WhichOneof("attributes") for event in history.events]
    assert len(kinds) <= BUDGET.get(name, 60), kinds
    await replay(name, history)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_recorded_history_still_replays(name: str) -> None:
    recorded = (HISTORIES / f"{name}.json").read_text()
    await replay(name, WorkflowHistory.from_json(f"recorded/{name}", recorded))


def test_every_recorded_history_has_its_scenario() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == set(SCENARIOS)
