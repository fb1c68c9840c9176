"""All runs of a process share their sandbox, and none can do more, or sees anything, for that."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from pydantic import TypeAdapter
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import CompositePayloadConverter, WithSerializationContext
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxRestrictions

import workflows
from bursar import temporal
from bursar.sandbox import Sandbox

RUNS = 8
PROBES = """
from datetime import datetime, timedelta
from temporalio import workflow

RELEASE = 1

@workflow.defn
class Quick:
    @workflow.run
    async def run(self) -> None:
        if RELEASE != 1:
            await workflow.sleep(timedelta(days=1))

@workflow.defn
class LooksAtTheClock:
    @workflow.run
    async def run(self) -> None:
        datetime.now()

@workflow.defn
class OpensAFile:
    @workflow.run
    async def run(self) -> None:
        open("/etc/hostname")
"""


@pytest.fixture
def probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of some workflows that only these tests have."""
    file = tmp_path / "bursar_probes.py"
    file.write_text(PROBES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # as in an image
    yield file
    sys.modules.pop("bursar_probes", None)


def _history(workflow: str, number: int) -> WorkflowHistory:
    """Return the history of a run that has ended in its first task."""
    kinds = (
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    )
    events = [HistoryEvent(event_id=n, event_type=kind) for n, kind in enumerate(kinds, start=1)]
    started = events[0].workflow_execution_started_event_attributes
    started.workflow_type.name = workflow
    started.original_execution_run_id = f"{workflow}-{number}"
    events[1].workflow_task_scheduled_event_attributes.SetInParent()
    events[2].workflow_task_started_event_attributes.scheduled_event_id = 2
    events[3].workflow_task_completed_event_attributes.scheduled_event_id = 2
    events[3].workflow_task_completed_event_attributes.started_event_id = 3
    events[4].workflow_execution_completed_event_attributes.workflow_task_completed_event_id = 4
    return WorkflowHistory(f"{workflow}-{number}", events)


async def _failures(replayer: Replayer, runs: Iterable[WorkflowHistory]) -> list[str]:
    """Return what each of some runs has failed with; an empty text for one that has not."""

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for run in runs:
            yield run

    async with replayer.workflow_replay_iterator(histories()) as results:
        return [str(result.replay_failure or "") async for result in results]


def _replayer(*names: str) -> Replayer:
    module = importlib.import_module("bursar_probes")
    served = [getattr(module, name) for name in names]
    runner = Sandbox(restrictions=SandboxRestrictions.default)
    return Replayer(workflows=served, workflow_runner=runner, build_id="probes")


@pytest.mark.usefixtures("probes")
async def test_what_the_sdk_forbids_a_workflow_is_forbidden_to_each_run() -> None:
    replayer = _replayer("Quick", "LooksAtTheClock", "OpensAFile")
    for number in range(RUNS):
        kinds = ("LooksAtTheClock", "Quick", "OpensAFile")
        runs = [_history(kind, number) for kind in kinds]
        clock, quick, file = await _failures(replayer, runs)
        assert "datetime.datetime.now" in clock
        assert quick == ""
        assert "__builtins__.open" in file


async def test_a_file_that_a_deployment_replaces_changes_no_run_of_this_release(
    probes: Path,
) -> None:
    replayer = _replayer("Quick")
    assert await _failures(replayer, [_history("Quick", 1)]) == [""]
    probes.write_text(PROBES.replace("RELEASE = 1", "RELEASE = 22"))
    assert await _failures(replayer, [_history("Quick", 2)]) == [""]
    sys.modules.pop("bursar_probes")
    importlib.invalidate_caches()
    (failure,) = await _failures(_replayer("Quick"), [_history("Quick", 3)])
    assert "timer" in failure.lower(), "the next release's own sandbox runs the new file"


KEEPS_NOTHING = (ModuleType, FunctionType, type, str, int, frozenset, TypeAdapter)


def _shared(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Give all that a module and its classes hold by name, for every run to see."""
    for name, value in vars(module).items():
        if not name.startswith("__"):
            yield f"{module.__name__}.{name}", value
        if inspect.isclass(value) and value.__module__ == module.__name__:
            for inner, held in vars(value).items():
                if not inner.startswith("__"):
                    yield f"{module.__name__}.{name}.{inner}", held


@pytest.mark.parametrize("stem", sorted(p.stem for p in Path(*workflows.__path__).glob("*.py")))
def test_workflows_modules_hold_nothing_that_a_run_could_change(stem: str) -> None:
    """What one run wrote there the next would read, and could not replay elsewhere."""
    module = importlib.import_module(f"workflows.{stem}" if stem != "__init__" else "workflows")
    for name, value in _shared(module):
        of_typing = type(value).__module__ == "typing"
        assert isinstance(value, KEEPS_NOTHING) or of_typing, f"{name} may change"


@pytest.mark.parametrize("keys", [None, {"k1": b"k" * 32}], ids=["plain", "encrypted"])
def test_no_converter_asks_what_a_payload_belongs_to(keys: dict[str, bytes] | None) -> None:
    """The sandbox answers that question with nothing, so that it need not be entered for it."""
    converter = temporal.data_converter(keys)
    composite = converter.payload_converter_class()
    assert isinstance(composite, CompositePayloadConverter)
    asked = [*composite.converters.values(), converter.payload_codec, converter.failure_converter]
    assert not [each for each in asked if isinstance(each, WithSerializationContext)]
    assert converter.external_storage is None
