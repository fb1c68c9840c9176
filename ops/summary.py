"""The summary: what the example has come to, gathered from books, bank and Temporal."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.payments import PaymentState
from bursar.views import BooksReport
from ops.auditor import Lived
from ops.comparison import Comparison
from ops.histories import Cost

Sums = Sequence[tuple[str, PaymentState, str, int, int]]


@dataclass(frozen=True)
class Summary:
    """Everything that is shown at the end and written to summary.json; amounts in minor units."""

    sums: Sums
    """(currency, state, kind, payments, minor units)."""
    comparison: Comparison
    books: BooksReport
    unfinished: Mapping[str, str]
    """Payments that are neither final nor in an open case for a person, with their state."""
    cases: Sequence[tuple[str, str, str]]
    lived: Sequence[Lived]
    costs: Sequence[Cost]
    seconds_total: float
    ui_url: str

    @property
    def good(self) -> bool:
        """Whether books and bank agree, the books are sound, and nothing is left unfinished."""
        return not (
            self.comparison.mismatches
            or any(self.books.trial_balance.values())
            or self.books.breaks
            or self.unfinished
        )

    @property
    def payments_by_state(self) -> dict[str, int]:
        """How many payments stand in each state."""
        counted: dict[str, int] = defaultdict(int)
        for _, state, _, payments, _ in self.sums:
            counted[state.value] += payments
        return dict(sorted(counted.items()))

    @property
    def sums_by_currency(self) -> dict[str, dict[str, int]]:
        """What they sum to, by currency and state."""
        summed: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for currency, state, _, _, minor in self.sums:
            summed[currency][state.value] += minor
        return {currency: dict(states) for currency, states in summed.items()}

    @property
    def latency_ms(self) -> dict[str, float | None]:
        """Half of the payments, and all but one in a hundred, took at most this long.

        From the sender's call to the first final state, waiting in line included, for payments
        that waited neither for people nor for a date.
        """
        sent_at = {cost.payment_id: cost.sent_at for cost in self.costs}
        times = sorted(
            (each.ended_at - sent_at[each.payment_id]) * 1000
            for each in self.lived
            if each.payment_id in sent_at
        )
        return {"p50": percentile(times, 0.50), "p99": percentile(times, 0.99)}

    @property
    def payouts_per_second(self) -> float | None:
        """Payouts that ended in a second, over the time in which nine of ten of them ended.

        The last tenth is left out: it waits for answers that the bank holds back on purpose.
        """
        sent_at = [c.sent_at for c in self.costs if c.payment_id.startswith("po_")]
        ended = sorted(each.ended_at for each in self.lived if each.payment_id.startswith("po_"))
        counted = ended[: math.ceil(len(ended) * 0.9)]
        if not counted or not sent_at or counted[-1] <= min(sent_at):
            return None
        return round(len(counted) / (counted[-1] - min(sent_at)), 1)

    @property
    def events_max(self) -> dict[str, int | None]:
        """The longest history of each kind of payment."""
        longest: dict[str, int | None] = {"payout": None, "transfer": None}
        for cost in self.costs:
            kind = "payout" if cost.payment_id.startswith("po_") else "transfer"
            longest[kind] = max(longest[kind] or 0, cost.events)
        return longest

    def as_json(self) -> dict[str, Any]:
        """Return what summary.json holds."""
        return {
            "payments_by_state": self.payments_by_state,
            "sums_by_currency": self.sums_by_currency,
            "trial_balance": self.books.trial_balance,
            "books_breaks": len(self.books.breaks),
            "bank_mismatches": self.comparison.mismatches,
            "non_final": len(self.unfinished),
            "open_cases": len(self.cases),
            "latency_ms": self.latency_ms,
            "payouts_per_second": self.payouts_per_second,
            "seconds_total": round(self.seconds_total, 1),
            "events_max": self.events_max,
            "actions_max": max((cost.actions for cost in self.costs), default=None),
            "ui_url": self.ui_url,
        }

    def write(self, file: Path) -> None:
        """Write summary.json, whole or not at all."""
        new = file.with_suffix(".new")
        new.write_text(json.dumps(self.as_json(), indent=2) + "\n")
        new.replace(file)


def percentile(times: Sequence[float], share: float) -> float | None:
    """Return the smallest of sorted times that at least this share of them does not exceed."""
    return round(times[math.ceil(len(times) * share) - 1], 1) if times else None
