"""The end of a short-lived command."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End the process at once with a status, after all that was printed and logged is out.

    Temporal's SDK runs threads of its own; a process that ends the usual way within milliseconds
    of its last call may crash while the interpreter is taken apart, and so end with the wrong
    status. Call this last, when everything that had to be closed is closed.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:  # the reader, such as `head`, has what it wanted
            continue
    os._exit(status)
