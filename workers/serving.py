"""Serving: which worker serves which queue, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from temporalio.worker import Worker

from activities.checking import CheckActivities
from activities.events import EventActivities
from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.sweeping import Pace, SweepActivities
from bursar import names
from workers.resources import Resources
from workers.settings import Settings
from workflows.check import CheckBooks
from workflows.incoming import Deposit, LateEvent, Return
from workflows.payout import Payout
from workflows.sweep import Sweep
from workflows.transfer import Transfer

WORKFLOWS = (Payout, Transfer, Deposit, Return, LateEvent, Sweep, CheckBooks)


def queues(settings: Settings) -> tuple[str, ...]:
    """Return every queue of an installation: the payments' own, and one for each partner."""
    return (names.PAYMENTS_QUEUE, *map(names.partner_queue, settings.partners))


def workers(settings: Settings, resources: Resources, wanted: Sequence[str]) -> list[Worker]:
    """Return a worker for each queue that is wanted."""
    return [
        _payments(settings, resources)
        if queue == names.PAYMENTS_QUEUE
        else _partner(settings, resources, queue)
        for queue in wanted
    ]


def _payments(settings: Settings, resources: Resources) -> Worker:
    """Serve all workflows, and their steps on the books as local activities."""
    steps = PaymentActivities(resources.books, resources.partners, resources.rules)
    events = EventActivities(resources.books)
    sweep = SweepActivities(
        resources.books, resources.oversight, resources.client, Pace(grace=settings.sweep_grace)
    )
    checks = CheckActivities(resources.books, resources.oversight, resources.reader)
    return Worker(
        resources.client,
        task_queue=names.PAYMENTS_QUEUE,
        workflows=WORKFLOWS,
        activities=[*steps.all(), *events.all(), *sweep.all(), *checks.all()],
        max_concurrent_workflow_tasks=settings.workflow_tasks_max,
        max_concurrent_local_activities=settings.book_steps_max,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=settings.shutdown_grace,
    )


def _partner(settings: Settings, resources: Resources, queue: str) -> Worker:
    """Serve one partner's calls, at the rate that the partner allows over all workers."""
    name = queue.removeprefix("partner-")
    partner = resources.partners[name]
    return Worker(
        resources.client,
        task_queue=queue,
        activities=RailActivities(resources.books, {name: partner}).all(),
        max_concurrent_activities=settings.partner_calls_max,
        max_task_queue_activities_per_second=partner.guarantees.rate_per_second,
        graceful_shutdown_timeout=settings.shutdown_grace,
    )
