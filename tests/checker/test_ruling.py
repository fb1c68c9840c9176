"""The rules file is read anew, and what a payment has frozen is compared with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from activities.rules import read_rules
from checker.facts import Facts
from checker.rows import ApprovalRule, FeeRule, Ruling
from checker.rules import people, terms
from checker.sources.books import CannotCheck
from checker.sources.ruling import read_ruling
from tests.battery.profile import RULES
from tests.checker.test_command import ROOT, run
from tests.checker.test_proofs import payout

MORE = """
approvals = [
    { number = 1, role = "approve", kind = "transfer", partner = "bank" },
    { number = 3, role = "approve-l2", kind = "payout" },
]
fees = [{ kind = "payout" }]
"""


EXAMPLE = (ROOT / "examples" / "local" / "rules.toml").read_text()


@pytest.mark.parametrize("text", [RULES, MORE, EXAMPLE])
def test_it_reads_what_the_platform_reads(tmp_path: Path, text: str) -> None:
    """Versions included: a rule that is frozen under another one has other content."""
    file = tmp_path / "rules.toml"
    file.write_text(text)
    theirs, ours = read_rules(file), read_ruling(file)
    assert [rule.version for rule in ours.approvals] == [r.version() for r in theirs.approvals]
    assert [(f.kind, f.currency, f.fixed_minor, f.rate_bps) for f in ours.fees] == [
        (f.kind.value, f.currency, f.fixed_minor, f.rate_bps) for f in theirs.fees
    ]


@pytest.mark.parametrize(
    "text",
    [
        "approvals = [",
        'approvals = [{ number = "two", role = "approve" }]',
        'approvals = [{ number = 2, role = "approve", from_minor = 5 }]',
        "approvals = [2]",
        "fees = [{ kind = 'payout', rate_bps = 1.5 }]",
    ],
)
def test_what_no_rule_can_mean_ends_with_status_2(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(CannotCheck, match="--rules"):
        read_ruling(file)


def test_a_file_that_is_not_there_ends_with_status_2() -> None:
    done = run("--books-url", "postgresql://x", "--rules", "/none")
    assert (done.returncode, "--rules" in done.stderr) == (2, True)


TWO = ApprovalRule(2, "approve", None, "EUR", None, 100, "two")
ONE = ApprovalRule(1, "approve", None, None, None, 0, "one")


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ([ONE, TWO], TWO),
        ([TWO, ONE], TWO),
        ([ONE, ONE._replace(version="twin")], ONE),
        ([TWO._replace(amount_from_minor=101)], None),
        ([TWO._replace(kind="transfer"), TWO._replace(currency="GBP")], None),
        ([TWO._replace(partner="other")], None),
        (
            [TWO._replace(partner="bank", kind="payout")],
            TWO._replace(partner="bank", kind="payout"),
        ),
    ],
)
def test_of_rules_that_match_the_one_that_asks_for_most_counts(
    rules: list[ApprovalRule], wanted: ApprovalRule | None
) -> None:
    assert terms.need_of(Ruling(rules, []), payout("po_a", "reserved")) == wanted


def test_the_first_fee_that_fits_is_charged_and_half_a_cent_goes_to_the_even_one(
    facts: Facts,
) -> None:
    one = payout("po_a", "reserved")
    fees = [FeeRule("transfer", None, 9, 0), FeeRule("payout", "EUR", 3, 50)]
    ruled = replace(facts, rules=Ruling([], fees))
    wanted = {100: 3, 300: 5, 500: 5, 101: 4, 299: 4}
    assert {a: terms.fee_of(ruled, one._replace(amount_minor=a)) for a in wanted} == wanted
    assert terms.fee_of(ruled, one._replace(currency="GBP")) == 0
    unruled = replace(facts, rules=None)
    assert terms.fee_of(unruled, one._replace(fee_minor=7)) == 7


def test_inv18_a_need_that_was_not_frozen_as_the_rules_say_is_found(facts: Facts) -> None:
    assert facts.rules is not None
    assert not list(people.approved(facts))
    stricter = [rule._replace(currency="EUR") for rule in facts.rules.approvals]
    for rules in (stricter, [], [r._replace(number=3) for r in facts.rules.approvals]):
        assert list(people.approved(replace(facts, rules=Ruling(rules, []))))
    frozen = [
        one._replace(terms={**one.terms, "approvals": None}) if one.id == "po_approved" else one
        for one in facts.payments
    ]
    assert [found.where for found in people.approved(replace(facts, payments=frozen))] == [
        "po_approved"
    ]
    assert not list(people.approved(replace(facts, payments=frozen, rules=None)))
