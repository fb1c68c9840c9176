"""The report: each rule's count, a few examples of each, and what could not be judged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from checker import VERSION
from checker.facts import Facts
from checker.findings import Finding, Rule
from checker.rulebook import APART, FIGURES, INVARIANTS, NOT_YET, SUMS

EXAMPLES_MAX = 20

_PAYMENT = re.compile(r"(?:po|tr)_\w+")

MISSING = {
    "banks": "no bank's book was given (--bank)",
    "told": "no client's log was given (--client-log)",
    "runs": "no Temporal was given (--temporal)",
    "rules": "no file of rules was given (--rules), so what was frozen is believed",
}
"""Why a rule was not judged, by the source that it needs."""


@dataclass
class Report:
    """What a check has found; every count but those apart has to be 0."""

    invariants: dict[str, int] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)
    apart: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)

    @property
    def violations(self) -> int:
        """How many violations there are in all."""
        return sum(self.invariants.values()) + sum(self.figures.values())

    def as_json(self) -> str:
        """Return the report as one line."""
        return json.dumps(
            {
                "checker_version": VERSION,
                "invariants": self.invariants,
                "figures": self.figures,
                "apart": self.apart,
                "examples": self.examples,
                "not_applicable": self.not_applicable,
            }
        )

    def write_table(self, out: IO[str]) -> None:
        """Write the report for people."""
        console = Console(file=out, highlight=False)
        table = Table(box=None, pad_edge=False)
        table.add_column("rule")
        table.add_column("says", overflow="fold")
        table.add_column("found", justify="right")
        counts = {**self.invariants, **self.figures, **self.apart}
        for rule in (*INVARIANTS, *FIGURES, *APART):
            found = str(counts[rule.name]) if rule.name in counts else "-"
            table.add_row(rule.name, rule.says, found)
        for name, parts in SUMS.items():
            found = str(counts[name]) if name in counts else "-"
            table.add_row(name, f"Sum of {', '.join(parts)}", found)
        console.print(table)
        for name, lines in self.examples.items():
            console.print(Text(f"\n{name}"), *(Text(f"  {line}") for line in lines), sep="\n")
        for name, why in self.not_applicable.items():
            console.print(Text(f"{name}: not judged: {why}"))
        console.print(Text(f"{self.violations} violations"))


def judge(facts: Facts) -> Report:
    """Judge everything that the facts allow."""
    report = Report(not_applicable=dict(NOT_YET))
    for counts, rules in (
        (report.invariants, INVARIANTS),
        (report.figures, FIGURES),
        (report.apart, APART),
    ):
        for rule in rules:
            lack = _lack(facts, rule)
            if lack:
                report.not_applicable[rule.name] = lack
            else:
                found = (f for f in rule.judge(facts) if not _is_left_alone(facts, f))
                counts[rule.name] = _count(report, rule.name, found)
            for source in rule.by:
                if getattr(facts, source) is None:
                    report.not_applicable[f"{rule.name} by {source}"] = MISSING[source]
    for name, parts in SUMS.items():
        judged = [report.invariants[part] for part in parts if part in report.invariants]
        if len(judged) == len(parts):
            report.figures[name] = sum(judged)
        else:
            report.not_applicable[name] = f"not all of {', '.join(parts)} were judged"
    return report


def _is_left_alone(facts: Facts, finding: Finding) -> bool:
    about = _PAYMENT.match(finding.where)
    return about is not None and about.group() in facts.left_alone


def _lack(facts: Facts, rule: Rule) -> str | None:
    for source in rule.needs:
        if getattr(facts, source) is None:
            return MISSING[source]
    return None


def _count(report: Report, name: str, found: Iterable[Finding]) -> int:
    count = 0
    for count, finding in enumerate(found, start=1):
        if count <= EXAMPLES_MAX:
            report.examples.setdefault(name, []).append(f"{finding.where}: {finding.detail}")
    return count
