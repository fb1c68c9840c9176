"""The ruling: who must approve what and what is charged, read from the platform's own file.

Read anew, so that what a payment has frozen can be compared with what it should have.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from checker.rows import ApprovalRule, FeeRule, Ruling
from checker.sources.books import CannotCheck

_ABSENT: Mapping[str, Any] = {"kind": None, "currency": None, "partner": None}
_APPROVAL = ("number", "role", "kind", "currency", "partner", "amount_from_minor")
"""In the order in which a version is taken of them."""
_FEE = ("kind", "currency", "fixed_minor", "rate_bps")
_NUMBERS = frozenset({"number", "amount_from_minor", "fixed_minor", "rate_bps"})


def read_ruling(path: Path) -> Ruling:
    """Read approvals and fees of a rules file (docs/OPERATIONS.md); all else in it is left alone.

    Raises:
        CannotCheck: It is missing, no TOML, or says what no rule can mean.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        return Ruling(
            approvals=[_approval(_fields(row, _APPROVAL)) for row in content.get("approvals", ())],
            fees=[FeeRule(**_fields(row, _FEE)) for row in content.get("fees", ())],
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CannotCheck(f"{path} cannot be read as rules: {error}; see --rules") from error


def _fields(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return a rule's fields in their order, with what is left out as None or 0."""
    unknown = row.keys() - set(names)
    if unknown:
        raise ValueError(f"no rule has {', '.join(sorted(unknown))}")
    found = {name: row.get(name, _ABSENT.get(name, 0)) for name in names}
    for name, value in found.items():
        wanted = int if name in _NUMBERS else str
        fits = isinstance(value, wanted) and not isinstance(value, bool)
        if not fits and not (name in _ABSENT and value is None):
            raise ValueError(f"{name} cannot be {value!r}")
    return found


def _approval(fields: dict[str, Any]) -> ApprovalRule:
    content = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    version = hashlib.sha256(content.encode()).hexdigest()[:12]
    return ApprovalRule(**fields, version=version)
