"""The runbook: every kind of case that the house opens is explained, and no other."""

from __future__ import annotations

import re
import subprocess

from activities.gate import FOR_PEOPLE
from bursar.cases import KINDS, kind_of
from ops.program import ROOT


def told_kinds() -> set[str]:
    page = (ROOT / "docs" / "cases.md").read_text()
    return set(re.findall(r"^\| `([a-z_]+)`", page, re.MULTILINE))


def opened_kinds() -> set[str]:
    """Return the kinds that the code opens, by its own words."""
    listed = subprocess.run(
        ["git", "ls-files", "activities/*.py", "ledger/*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    code = "".join((ROOT / name).read_text() for name in listed)
    named = r'(?:CaseOpened\(\s*kind=|open_case\(\s*\w+,\s*)"([a-z_]+)"'
    return {*re.findall(named, code), *FOR_PEOPLE}


def test_the_runbook_explains_every_kind_of_case_and_marks_the_partners_breaches() -> None:
    assert told_kinds() == set(KINDS)
    page = (ROOT / "docs" / "cases.md").read_text()
    for name, kind in KINDS.items():
        assert (f"| `{name}` † |" in page) == kind.partner_breach, name


def test_no_case_is_opened_of_a_kind_that_nobody_explains() -> None:
    assert {"outcome_unknown", "wedged", "over_limit"} < opened_kinds(), "each way is looked at"
    assert opened_kinds() <= set(KINDS)
    assert "does not know" in kind_of("made_up").says
