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


async def test_a_partner_that_pays_after_its_own_no_is_counted_apart(copy: Copy) -> None:
    report = await copy.report()
    assert report.apart == {"partner_breach": 1}
    assert report.examples["partner_breach"][0].startswith("po_contradicted:")
    assert len(APART) == 1


async def test_all_thirty_invariants_are_accounted_for() -> None:
    numbered = {f"INV-{number:02}" for number in range(1, 31)}
    assert {rule.name for rule in INVARIANTS} | NOT_YET.keys() == numbered
