"""Received: what anybody may have sent to a run, read without letting it fail the run's tasks."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from temporalio.exceptions import ApplicationError

from bursar.actions import ACTION_READER, Action
from bursar.inputs import faults_of, json_field


def action_of(verb: str, received: Sequence[Any]) -> Action:
    """Read what came with a signal or an update; anybody may have sent it, and anything.

    Raises:
        ApplicationError: It is not one readable payload. From an update's validator that rejects
            the update before it leaves any trace; out of its handler it would fail the run's task.
    """
    if len(received) != 1 or not isinstance(received[0], dict):
        detail = f"{verb}: came with {len(received)} payloads; it takes one JSON object"
        raise ApplicationError(detail, type="InvalidRequest")
    try:
        return ACTION_READER.validate_python({**received[0], "verb": verb})
    except ValidationError as error:
        found = faults_of(error, lambda loc: json_field(loc[1:]))[0]
        reason = f"{verb}: {found} [{found.code}]"
        raise ApplicationError(reason, type="InvalidRequest") from None


def only(received: Sequence[Any]) -> Any:
    """Return what a run was started with: the one payload, else all, which no request can be.

    A start with none or several would fail a fixed arity, and with it the run's tasks for ever.
    """
    return received[0] if len(received) == 1 else list(received)


def printable(text: str) -> str:
    """Return a foreign text with nothing in it that the books or a screen could choke on."""
    plain = "".join(char for char in text if char.isprintable()).strip()
    return plain[:200] or "no reason given"
