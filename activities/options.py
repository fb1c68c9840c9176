"""Options: time limits and retries of every activity, by kind of effect, in one place.

No kind has a last try of its own: what cannot be done now is done later, with the money held.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy

from activities.terms import Policy
from bursar import names

BOOKS_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=5),
)
"""Each late try of a local activity takes six events, and a history ends at 51,200: at five
minutes between tries a payment can wait a month for its books, or for a fix."""
PARTNER_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=60),
)


SWEEP_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=30),
)
MARK_FOR = timedelta(minutes=1)
"""How long a sweep tries its last step: a worker of another release may refuse it as it is asked
for, and while one sweep goes on no other begins."""


class WaitOptions(TypedDict):
    """Options of a step on the books that waits by being tried again, without any history."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    summary: str


class LocalOptions(TypedDict):
    """Options of a step on the books."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    local_retry_threshold: timedelta
    summary: str


class PartnerOptions(TypedDict):
    """Options of a call to a partner."""

    task_queue: str
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    summary: str


class SweepOptions(TypedDict):
    """Options of a walk over many payments."""

    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    summary: str


class MarkOptions(SweepOptions):
    """Options of a sweep's last step."""

    schedule_to_close_timeout: timedelta


def checking(summary: str, *, full: bool) -> SweepOptions:
    """Return the options of a round of checks; one over all of the books may take long."""
    return SweepOptions(
        start_to_close_timeout=timedelta(hours=6) if full else timedelta(minutes=10),
        heartbeat_timeout=timedelta(seconds=60),
        retry_policy=SWEEP_RETRY,
        summary=summary,
    )


def books(summary: str) -> LocalOptions:
    """Return the options of a step on the books: quick, for ever; long waits become timers."""
    return LocalOptions(
        start_to_close_timeout=timedelta(seconds=15),
        retry_policy=BOOKS_RETRY,
        local_retry_threshold=timedelta(seconds=3),
        summary=summary,
    )


def waiting(summary: str) -> WaitOptions:
    """Return the options of a step on the books that may not be taken yet."""
    return WaitOptions(
        start_to_close_timeout=timedelta(seconds=15), retry_policy=PARTNER_RETRY, summary=summary
    )


def partner(name: str, policy: Policy, summary: str) -> PartnerOptions:
    """Return the options of a partner call; pauses between tries come from the activity."""
    return PartnerOptions(
        task_queue=names.partner_queue(name),
        start_to_close_timeout=policy.partner_call_timeout,
        retry_policy=PARTNER_RETRY,
        summary=summary,
    )


def sweeping(summary: str) -> SweepOptions:
    """Return the options of a walk over many payments, which says again and again that it goes."""
    return SweepOptions(
        start_to_close_timeout=timedelta(minutes=5),
        heartbeat_timeout=timedelta(seconds=60),
        retry_policy=SWEEP_RETRY,
        summary=summary,
    )


def marking(summary: str) -> MarkOptions:
    """Return the options of a sweep's last step, which ends the sweep when it cannot be done."""
    return MarkOptions(schedule_to_close_timeout=MARK_FOR, **sweeping(summary))
