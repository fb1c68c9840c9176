"""The sandbox: as strict as the SDK's own, and entered as seldom as can be.

The SDK's loads the workflows' modules anew for every run, and enters the sandbox for every payload
on its way in or out, to ask what the payload belongs to. Of a payout's CPU in its worker that was
a quarter. Here a process loads the modules once, and answers for the payloads outside.
Source: docs/decisions/0013-what-makes-payouts-fast.md.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext
from temporalio.worker.workflow_sandbox._runner import _Instance


class _PerThread(RestrictionContext, threading.local):
    """Whether a workflow runs now: each thread says it for itself, since all share the modules."""


class Sandbox(SandboxedWorkflowRunner):
    """Runs workflows in a sandbox whose modules all runs of the process share.

    What a workflow may not do, it may not do here either. Only what a run writes into a module
    would be seen by the next, so the workflows' modules hold nothing that changes; a test keeps
    them so. A file that a deployment replaces under a worker changes no run of this release.
    """

    @cached_property
    def _importer(self) -> Importer:
        return Importer(self.restrictions, _PerThread())

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make the instance of one run."""
        return _Run(det, self, self._importer)


class _Run(_Instance):
    """One run, in modules that are loaded already."""

    def __init__(
        self, details: WorkflowInstanceDetails, runner: Sandbox, importer: Importer
    ) -> None:
        self._shared = importer
        super().__init__(details, runner.runner_class, runner.restrictions)

    def _create_instance(self) -> None:
        self.importer = self._shared
        super()._create_instance()

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        """Return None: no converter or codec of ours asks what a payload belongs to."""
        return None

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        """Return a context without a target: payloads are kept where Temporal keeps them."""
        return StorageDriverStoreContext(target=None)
