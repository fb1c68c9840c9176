"""Starting: a server that a slow or hurt machine did not bring up is tried again."""

from __future__ import annotations

from collections.abc import Callable

from ops.postgres import PostgresFailed
from ops.temporal import TemporalFailed

STARTS_MAX = 3


def started(start: Callable[[], None]) -> None:
    """Start a server, again where it did not come up: nobody else would.

    Raises:
        OSError: It came up on none of the tries.
        PostgresFailed: Likewise.
        TemporalFailed: Likewise.
    """
    for starts_left in reversed(range(STARTS_MAX)):
        try:
            start()
            break
        except (OSError, PostgresFailed, TemporalFailed):
            if not starts_left:
                raise
