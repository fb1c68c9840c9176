"""An honest life is found honest, by every rule there is."""

from __future__ import annotations

from checker.rulebook import APART, FIGURES, INVARIANTS, NOT_YET, SUMS
from tests.checker.conftest import Copy


async def test_an_honest_life_has_no_violation_and_every_rule_was_judged(copy: Copy) -> None:
    report = await copy.report(temporal=True)
    assert report.examples.keys() <= {"partner_breach"}
    assert report.violations == 0
    assert report.invariants.keys() == {rule.name for rule in INVARIANTS}
    assert report.figures.keys() == {rule.name for rule in FIGURES} | SUMS.keys()
    assert report.not_applicable == NOT_YET


async def test_what_a_partner_does_against_its_word_or_by_mistake_is_counted_apart(
    copy: Copy,
) -> None:
    """It paid after its own no, and debited us under a name that nobody had sent."""
    report = await copy.report()
    assert report.apart == {"partner_breach": 2}
    said = sorted(example.partition(":")[0] for example in report.examples["partner_breach"])
    assert (said[0].startswith("phantom_"), said[1]) == (True, "po_contradicted")
    assert len(APART) == 1


async def test_all_thirty_invariants_are_accounted_for() -> None:
    numbered = {f"INV-{number:02}" for number in range(1, 31)}
    assert {rule.name for rule in INVARIANTS} | NOT_YET.keys() == numbered
