"""The clients: what each wrote down of its own calls and their answers, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from checker.rows import Told
from checker.sources.books import CannotCheck


def read_logs(paths: Sequence[Path]) -> list[Told]:
    """Read clients' logs; a last line that was cut off by a crash was never told to anybody.

    Raises:
        CannotCheck: A file is missing, or a whole line in it is no entry of a log.
    """
    return [told for path in paths for told in _read(path)]


def _read(path: Path) -> Iterator[Told]:
    try:
        content = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotCheck(f"the client's log {path} cannot be read: {error}") from error
    whole, _, _cut_off = content.rpartition("\n")
    for number, line in enumerate(whole.splitlines(), start=1):
        if line.strip():
            yield _told(f"{path.name}:{number}", line)


def _told(place: str, line: str) -> Told:
    try:
        entry: dict[str, Any] = json.loads(line)
        at = datetime.fromisoformat(entry["at"])
        return Told(
            place=place,
            at=at if at.tzinfo else at.replace(tzinfo=UTC),
            op=entry["op"],
            id=entry["id"],
            kind=entry.get("kind") or "",
            phase=entry["phase"],
            request=entry.get("request") or {},
            answer=entry.get("answer") or {},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotCheck(f"{place} is no entry of a client's log: {error!r}") from error
