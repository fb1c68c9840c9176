"""Every workflow loads under the strict sandbox, is served, and states how its steps run."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

import workflows
from activities.checking import CheckActivities
from activities.events import EventActivities
from activities.options import books, checking, partner, sweeping, waiting
from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.sweeping import SweepActivities
from activities.terms import Policy
from bursar import temporal
from workers.serving import WORKFLOWS

WORKFLOW_FILES = sorted(Path(str(workflows.__file__)).parent.glob("*.py"))
CALLS = {"execute_activity_method", "execute_local_activity_method", "start_activity_method"}
OPTIONS = {"books", "waiting", "_options", "sweeping", "marking", "checking"}
"""The only makers of options: activities/options.py, and the payout's way to a partner's."""
OWNERS = (
    PaymentActivities,
    EventActivities,
    RailActivities,
    SweepActivities,
    CheckActivities,
)


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node


@pytest.mark.parametrize("path", WORKFLOW_FILES, ids=lambda path: path.stem)
def test_each_activity_call_takes_its_options_from_the_one_place(path: Path) -> None:
    for call in _calls(path):
        assert isinstance(call.func, ast.Attribute)
        name = call.func.attr
        assert name not in {"execute_activity", "start_activity", "execute_local_activity"}
        if name in CALLS:
            makers = [
                keyword.value.func
                for keyword in call.keywords
                if keyword.arg is None and isinstance(keyword.value, ast.Call)
            ]
            made_by = {m.id if isinstance(m, ast.Name) else ast.unparse(m)[5:] for m in makers}
            assert made_by & OPTIONS, f"{path.name}:{call.lineno} states no options"


def test_options_state_time_limit_retries_and_summary() -> None:
    partners = partner("simulator", Policy(), "why")
    made = (books("why"), waiting("why"), partners, sweeping("why"))
    for options in (*made, checking("why", full=True), checking("why", full=False)):
        assert {"start_to_close_timeout", "retry_policy", "summary"} <= set(options)
        retry = options["retry_policy"]
        assert retry.maximum_attempts == 0, "no effect on money has a last try"


def test_every_activity_and_workflow_is_served() -> None:
    defined = {
        name
        for owner in OWNERS
        for name, member in inspect.getmembers(owner, inspect.isfunction)
        if activity._Definition.from_callable(member)
    }
    served = {name for owner in OWNERS for name in _served_by(owner)}
    assert served == defined
    found = {
        member
        for path in WORKFLOW_FILES
        for member in vars(__import__(f"workflows.{path.stem}", fromlist=["x"])).values()
        if inspect.isclass(member) and workflow._Definition.from_class(member)
    }
    assert set(WORKFLOWS) == found


def _served_by(owner: type) -> set[str]:
    """Return the names that a class's own list of activities holds."""
    source = ast.parse(inspect.getsource(owner.all).strip())  # type: ignore[attr-defined]  # all of them have it
    return {
        node.attr
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


@pytest.mark.parametrize("defined", WORKFLOWS, ids=lambda defined: str(defined.__name__))
async def test_each_workflow_loads_under_the_strict_sandbox(defined: type) -> None:
    """What a workflow imports is ours and passed through, or is the workflows' own code."""
    strict = workflow.SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    allowed = temporal.SANDBOX.restrictions.with_passthrough_modules(
        "workflows.desk", "workflows.received", "workflows.shelter"
    )
    runner = SandboxedWorkflowRunner(
        restrictions=dataclasses.replace(allowed, import_notification_policy=strict)
    )
    Replayer(workflows=[defined], plugins=[], workflow_runner=runner)
    runner.prepare_workflow(workflow._Definition.must_from_class(defined))
