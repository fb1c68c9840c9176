"""Archives: entries that have left the books for files, read as the books describe the format."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from checker.rows import Archived, Entry
from checker.sources.books import CannotCheck

FORMAT = "bursar archive 1"


def read_archives(paths: Sequence[Path], archived: Sequence[Archived]) -> list[Entry]:
    """Return the entries of every archive that the books name.

    Args:
        paths: The files.
        archived: What the books name.

    Raises:
        CannotCheck: One is missing, or is not the file that was archived.
    """
    given = {path.name: path for path in paths}
    if missing := [one.file for one in archived if one.file not in given]:
        raise CannotCheck(f"entries are archived in {', '.join(missing)}; name them by --archive")
    return [entry for one in archived for entry in _entries(given[one.file], one.sha256)]


def _entries(path: Path, sha256: str) -> Iterator[Entry]:
    try:
        packed = path.read_bytes()
        if (found := hashlib.sha256(packed).hexdigest()) != sha256:
            raise CannotCheck(f"{path} was altered: its SHA-256 is {found}, archived was {sha256}")
        head, *lines = gzip.decompress(packed).splitlines()
        if json.loads(head)["format"] != FORMAT:
            raise CannotCheck(f"{path} is of another format than {FORMAT}")
        for line in lines:
            row = json.loads(line)
            for entry in row["entries"]:
                values = {**entry, "transaction_id": row["id"]}
                yield Entry(*(values[name] for name in Entry._fields))
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise CannotCheck(f"{path} cannot be read as an archive: {error!r}") from error
