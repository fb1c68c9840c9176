"""The chronicle: what happened when, for the plot and for whoever looks into a failed run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class Chronicle:
    """Lines of (seconds since the start, what), in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def note(self, what: str, detail: Any = None) -> None:
        """Write down one thing."""
        line = {"at": round(self.seconds, 2), "what": what, "detail": detail}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
