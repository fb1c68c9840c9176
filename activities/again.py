"""Again: how an activity asks to be run once more later, without adding to any history."""

from __future__ import annotations

from datetime import timedelta

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory


def again(why: str, pause: timedelta) -> ApplicationError:
    """Return the error that makes Temporal run the activity again after a pause."""
    return ApplicationError(
        why, type="TryAgain", next_retry_delay=pause, category=ApplicationErrorCategory.BENIGN
    )
