"""The backend's diary: everything it asked and was told, on disk before it goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass
class Known:
    """What the diary has of one payment."""

    request: dict[str, Any] | None = None
    kind: str = "payout"
    acknowledged: bool = False
    state: str | None = None
    """The end that the backend was told."""
    done: set[tuple[str, str]] = field(default_factory=set)
    """What was asked beside and has an answer: (op, by whom or for what)."""


def lines(path: Path) -> Iterator[Line]:
    """Give every whole line of a diary; the last one may have been torn by a crash."""
    if not path.exists():
        return
    for raw in path.read_bytes().split(b"\n"):
        try:
            yield json.loads(raw)
        except json.JSONDecodeError:
            continue


class Diary:
    """A file of JSON lines; what was written is durable when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._known: dict[str, Known] = {}
        self._mend(path)
        for line in lines(path):
            self._take(line)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    @staticmethod
    def _mend(path: Path) -> None:
        """Cut off a line that a crash has torn."""
        if path.exists():
            raw = path.read_bytes()
            os.truncate(path, raw.rfind(b"\n") + 1)

    def of(self, payment_id: str) -> Known:
        """Return what is known of a payment."""
        return self._known.setdefault(payment_id, Known())

    def write(self, line: Line) -> None:
        """Write one line, and return when it is on disk."""
        line = {"at": datetime.now(UTC).isoformat(), **line}
        os.write(self._file, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        os.fsync(self._file)
        self._take(line)

    def close(self) -> None:
        """Close the file; a process that is killed does without."""
        os.close(self._file)

    def _take(self, line: Line) -> None:
        known = self.of(line["id"])
        known.kind = line["kind"]
        answer = line.get("answer") or {}
        match line["op"], line["phase"]:
            case "start", "asked" if known.request is None:
                known.request = line["request"]
            case "start", "answered" if answer["ok"] and not line.get("probe"):
                known.acknowledged = True
            case "result", "answered" if answer["ok"]:
                known.state = answer["state"]
        if line["phase"] == "answered":
            known.done.add((line["op"], line.get("by") or line.get("probe") or ""))
