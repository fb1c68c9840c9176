"""The comparison: our books' entries at a partner against that partner's own book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops.auditor import NostroLine
from ops.bank import BankLine


@dataclass(frozen=True)
class Difference:
    """A movement that only one of the two books has."""

    side: str
    """Who has it: "ours" or "bank"."""
    subject: str
    currency: str
    amount_minor: int


@dataclass(frozen=True)
class CurrencyTie:
    """What both books say of one currency."""

    currency: str
    lines_ours: int
    lines_bank: int
    balance_ours: int
    balance_bank: int
    differences: int

    @property
    def agrees(self) -> bool:
        """Whether both books say the same, line by line and in sum."""
        return self.differences == 0 and self.balance_ours == self.balance_bank


@dataclass(frozen=True)
class Comparison:
    """The whole result."""

    ties: tuple[CurrencyTie, ...]
    differences: tuple[Difference, ...]

    @property
    def mismatches(self) -> int:
        """How many lines or balances differ."""
        balances = sum(tie.differences == 0 and not tie.agrees for tie in self.ties)
        return len(self.differences) + balances


def compare(
    ours: Iterable[NostroLine], bank: Iterable[BankLine], balances: Mapping[str, int]
) -> Comparison:
    """Match every line of one book with one of the other: same subject, currency and amount.

    Args:
        ours: Our entries on the accounts at the bank.
        bank: The bank's book.
        balances: The balances that the bank tells, by currency.
    """
    our_lines = Counter((line.subject, line.currency, line.amount_minor) for line in ours)
    bank_lines = Counter((line.subject, line.currency, line.amount_minor) for line in bank)
    differences = [
        Difference(side, *line)
        for side, only in (("ours", our_lines - bank_lines), ("bank", bank_lines - our_lines))
        for line in sorted(only.elements())
    ]
    currencies = sorted({line[1] for line in (*our_lines, *bank_lines)} | _nonzero(balances))
    ties = tuple(
        CurrencyTie(
            currency,
            lines_ours=_count(our_lines, currency),
            lines_bank=_count(bank_lines, currency),
            balance_ours=_sum(our_lines, currency),
            balance_bank=balances.get(currency, 0),
            differences=sum(each.currency == currency for each in differences),
        )
        for currency in currencies
    )
    return Comparison(ties, tuple(differences))


def _nonzero(balances: Mapping[str, int]) -> set[str]:
    return {currency for currency, booked in balances.items() if booked}


def _count(lines: Counter[tuple[str, str, int]], currency: str) -> int:
    return sum(count for line, count in lines.items() if line[1] == currency)


def _sum(lines: Counter[tuple[str, str, int]], currency: str) -> int:
    return sum(line[2] * count for line, count in lines.items() if line[1] == currency)
