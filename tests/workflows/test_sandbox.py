"""All runs of a process share their sandbox, and none can do more, or sees anything, for that."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from pydantic import TypeAdapter
from temporalio import workflow
from temporalio.api.common.v1 import Payloads
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import CompositePayloadConverter, WithSerializationContext
from temporalio.worker import WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxRestrictions
from temporalio.worker.workflow_sandbox._runner import _fake_info

import workflows
from bursar import temporal
from bursar.sandbox import Sandbox

RUNS = 8
FORBIDDEN = {"LooksAtTheClock": "datetime.datetime.now", "OpensAFile": "__builtins__.open"}
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


def _runner(*workflows: str) -> Sandbox:
    """Return a runner that has loaded the probes, as a worker does when it starts."""
    runner = Sandbox(restrictions=SandboxRestrictions.default)
    for name in workflows:
        runner.prepare_workflow(_definition(name))
    return runner


def _definition(name: str) -> Any:
    probe = getattr(importlib.import_module("bursar_probes"), name)
    return workflow._Definition.must_from_class(probe)


async def _run(runner: Sandbox, name: str) -> WorkflowActivationCompletion:
    """Take a run's first task in a thread, as a worker does; return its answer to Temporal."""
    run_id = str(uuid.uuid4())
    details = WorkflowInstanceDetails(
        payload_converter_factory=temporal.PLAIN._new_payload_converter,
        failure_converter_class=temporal.PLAIN.failure_converter_class,
        interceptor_classes=[],
        defn=_definition(name),
        info=replace(_fake_info, run_id=run_id, workflow_id=run_id, workflow_type=name),
        randomness_seed=1,
        extern_functions={},
        disable_eager_activity_execution=False,
        worker_level_failure_exception_types=[],
        patch_activation_callback=None,
        last_completion_result=Payloads(),
        last_failure=None,
    )
    activation = WorkflowActivation(run_id=run_id)
    activation.jobs.add().initialize_workflow.workflow_type = name
    return await asyncio.to_thread(runner.create_instance(details).activate, activation)


@pytest.mark.usefixtures("probes")
async def test_what_the_sdk_forbids_a_workflow_is_forbidden_to_each_run_in_each_thread() -> None:
    runner = _runner("Quick", "LooksAtTheClock", "OpensAFile")
    kinds = ["LooksAtTheClock", "Quick", "OpensAFile"] * RUNS
    answers = await asyncio.gather(*(_run(runner, kind) for kind in kinds))
    for kind, answer in zip(kinds, answers, strict=True):
        said = answer.failed.failure.message
        if kind == "Quick":
            assert answer.successful.commands[0].HasField("complete_workflow_execution"), said
        else:
            assert FORBIDDEN[kind] in said


async def test_a_file_that_a_deployment_replaces_changes_no_run_of_this_release(
    probes: Path,
) -> None:
    runner = _runner("Quick")
    probes.write_text(PROBES.replace("RELEASE = 1", "RELEASE = 22"))  # noqa: ASYNC240
    assert not (await _run(runner, "Quick")).successful.commands[0].HasField("start_timer")
    sys.modules.pop("bursar_probes")
    importlib.invalidate_caches()
    next_release = _runner("Quick")
    assert (await _run(next_release, "Quick")).successful.commands[0].HasField("start_timer")


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
