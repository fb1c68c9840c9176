"""The evidence of one moment: what was told, what the banks have, what the books say."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from tests.battery.evidence import BankBook, BankLine, Told, payment_of, read_bank, read_diary
from tests.battery.installation import Installation
from tests.battery.plan import BREACHES, CONTRADICTIONS, CREDIT_FIRST, PARTNERS

ZEROS = (
    "doubled",
    "lost",
    "phantom",
    "wrong_amount",
    "wrong_balance",
    "stuck_without_case",
    "approval_bypass",
    "misled_client",
    "orphan_hold",
    "unmatched_movement",
)
"""The figures that have to be 0; docs/RELIABILITY.md defines each."""

RARE = {"unexpected_end": 0.0005, "needless_case": 0.002}
"""The figures that have to be rare, and their largest shares of all payments: what ended otherwise
than it should, or called people for nothing. A machine that is too slow for its delays makes some.
Each is far below the share of payments that one single lie of a bank is about."""
RARE_FEW = 3
"""So many may be in a small run."""

TOLD_OTHERWISE = frozenset({"mismatch", "unowned_credit", "unowned_returned"})
"""Cases of a movement that was told as two things: the second telling opens one, or, where who
noted the first has died since, puts the money into suspense."""


def is_rare(figure: str, count: int, payments: int) -> bool:
    """Tell whether so many of so many payments are few enough for a figure that has to be rare."""
    return count <= max(RARE_FEW, RARE[figure] * payments)


@dataclass
class Findings:
    """What the judge has found: for each figure, what it is about."""

    by_figure: dict[str, list[str]] = field(
        default_factory=lambda: {name: [] for name in (*ZEROS, *RARE)}
    )

    def add(self, figure: str, what: str) -> None:
        """Note one violation."""
        self.by_figure[figure].append(what)

    def join(self, others: Findings) -> None:
        """Add what was found at another moment; what was found at both counts once."""
        for figure, what in others.by_figure.items():
            known = Counter(self.by_figure[figure])
            for each in (Counter(what) - known).elements():
                self.add(figure, each)

    @property
    def any(self) -> bool:
        """Whether something is there that must never be."""
        return any(self.by_figure[name] for name in ZEROS)

    def figures(self) -> dict[str, int]:
        """Return how many there are of each."""
        return {name: len(found) for name, found in self.by_figure.items()}


@dataclass
class Case:
    """All the evidence of one moment."""

    told: dict[str, Told]
    banks: dict[str, BankBook]
    payments: dict[str, Any]
    attempts: dict[str, Any]
    approvals: dict[str, list[Any]]
    open_cases: dict[str, list[str]]
    strays: Counter[tuple[str, str, str, int]]
    """Money put into suspense by cases of no payment: (partner, reference, currency, amount)."""
    strays_found: list[tuple[str, str, datetime]]
    """When each of them became a case: (partner, reference, moment)."""
    nostro: dict[tuple[str, str], int]
    """What moved on our nostro accounts, by (payment, currency); credits to us positive."""
    totals: dict[tuple[str, str], int]
    """Our nostro balances, by (partner, currency)."""
    ledger: list[str]
    """What is wrong in the ledger itself, in words."""
    holds: list[Any]
    transferred: dict[str, datetime] = field(default_factory=dict)
    """When the money of each transfer was moved."""
    all_cases: list[Any] = field(default_factory=list)
    """Every case there ever was, closed or not."""

    def breaches(self, payment_id: str) -> Set[str]:
        """Return by which mistakes of its own a bank has broken its promises on a payment."""
        return self.quirks(payment_id) & BREACHES

    def is_told_of_a_contradiction(self, payment_id: str) -> bool:
        """Tell whether a bank has truly contradicted itself about a payment, and it is a case."""
        has_case = any(known["payment_id"] == payment_id for known in self.all_cases)
        return has_case and bool(self.quirks(payment_id) & {*CONTRADICTIONS})

    def is_told_as_a_credit(self, payment_id: str) -> bool:
        """Tell whether a bank has told a return as a credit first, and it is a case."""
        has_case = any(
            known["payment_id"] == payment_id and known["kind"] in TOLD_OTHERWISE
            for known in self.all_cases
        )
        return has_case and CREDIT_FIRST in self.quirks(payment_id)

    def quirks(self, payment_id: str | None) -> Set[str]:
        """Return what a bank does wrong with a payment; None: what may be of no payment's."""
        if payment_id is None:
            return {each for quirks in self._quirks_of.values() for each in quirks} - {CREDIT_FIRST}
        return self._quirks_of.get(payment_id, set())

    @cached_property
    def _quirks_of(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for book in self.banks.values():
            for reference, quirks in book.tries.items():
                found[payment_of(reference)].update(quirks)
        return dict(found)

    @cached_property
    def attempts_of(self) -> dict[str, list[Any]]:
        """The attempts of each payment."""
        found: dict[str, list[Any]] = defaultdict(list)
        for attempt in self.attempts.values():
            found[attempt["payment_id"]].append(attempt)
        return dict(found)

    def kept(self, payment_id: str) -> int:
        """Return what a bank kept of the money of a payment that it gave back."""
        return sum(
            payout.kept_minor
            for book in self.banks.values()
            for payout in book.payouts
            if payment_of(payout.reference) == payment_id
        )

    def clean(self) -> Iterator[Any]:
        """Return the payouts that were handed to a bank which has done nothing wrong with them."""
        for payment_id in self.attempts_of:
            payment = self.payments.get(payment_id)
            if payment is not None and not self.quirks(payment_id):
                yield payment

    def lines(self) -> dict[str, list[BankLine]]:
        """Return the banks' lines of each payment."""
        found: dict[str, list[BankLine]] = defaultdict(list)
        for book in self.banks.values():
            for line in book.lines:
                if line.kind != "credit" and line.payment_id:
                    found[line.payment_id].append(line)
        return found

    def nobodys(self) -> list[BankLine]:
        """Return the banks' debits under names that are none of ours."""
        lines = (line for book in self.banks.values() for line in book.lines)
        return [line for line in lines if line.kind != "credit" and not line.payment_id]


LEDGER = """
select format('%s sums to %s', currency, sum(posted)) from balances
 group by currency having sum(posted) <> 0
union all
select format('%s: %s/%s/%s, its entries say %s/%s/%s', a.path, b.posted, b.held, b.seq,
              coalesce(e.posted, 0), coalesce(e.held, 0), coalesce(e.seq, 0))
  from balances b join accounts a on a.id = b.account_id
  left join (select account_id, sum(delta) as posted, sum(held) as held, count(*) as seq
               from entries group by 1) e using (account_id)
 where (b.posted, b.held, b.seq)
       is distinct from (coalesce(e.posted, 0), coalesce(e.held, 0), coalesce(e.seq, 0))
union all
select format('transaction %s is off by %s', transaction_id, sum(delta)) from entries
 group by transaction_id, currency having sum(delta) <> 0
union all
select format('%s was below its floor after entry %s', a.path, e.seq)
  from entries e join balances b using (account_id) join accounts a on a.id = e.account_id
 where not b.soft and b.side * e.posted_after - e.held_after < b.floor
"""

HOLDS = """
select t.payment_id, h.amount - h.captured - h.released as open, t.key
  from holds h join transactions t on t.id = h.transaction_id
 where h.amount <> h.captured + h.released
"""

NOSTRO = """
select coalesce(t.payment_id, '') as payment_id, e.currency, -sum(e.delta)::bigint as moved
  from entries e join accounts a on a.id = e.account_id
  join transactions t on t.id = e.transaction_id
 where a.path like 'nostro/%' group by 1, 2
"""

STRAYS = """
select e.partner, e.reference, x.currency::text, x.delta, k.opened_at
  from cases k join transactions t on t.id = k.transaction_id
  join partner_events e on t.evidence_id = 'event/' || e.event_id
                       and t.actor = 'partner:' || e.partner
  join entries x on x.transaction_id = t.id join accounts a on a.id = x.account_id
 where k.payment_id is null and a.path like 'suspense/%'
"""

TOTALS = """
select split_part(a.path, '/', 2) as partner, a.currency, (b.side * b.posted)::bigint as booked
  from balances b join accounts a on a.id = b.account_id where a.path like 'nostro/%'
"""


TRANSFERRED = """
select t.payment_id, t.at from transitions t join payments p on p.id = t.payment_id
 where p.kind = 'transfer' and t.after = 'settled'
"""


async def gather(site: Installation) -> Case:
    """Collect the evidence: what was told first, so that the books know at least that."""
    told = read_diary(site.folder / "client.jsonl")
    banks = {name: read_bank(name, site.bank_file(name)) for name in PARTNERS}
    cases: dict[str, list[str]] = defaultdict(list)
    strays = await site.rows(STRAYS)
    all_cases = await site.rows("select payment_id, kind, detail, opened_at, closed_at from cases")
    for row in all_cases:
        if row["closed_at"] is None:
            cases[row["payment_id"] or ""].append(row["kind"])
    payments = {
        row["id"]: {**row, "terms": json.loads(row["terms"])}
        for row in await site.rows("select * from payments")
    }
    attempts = {row["key"]: row for row in await site.rows("select * from attempts")}
    transferred = {row["payment_id"]: row["at"] for row in await site.rows(TRANSFERRED)}
    approvals: dict[str, list[Any]] = defaultdict(list)  # last: what was claimed had them before
    for row in await site.rows("select * from approvals where decision = 'approve'"):
        approvals[row["payment_id"]].append(row)
    return Case(
        told=told,
        banks=banks,
        payments=payments,
        attempts=attempts,
        transferred=transferred,
        approvals=approvals,
        open_cases=cases,
        strays=Counter(tuple(row)[:-1] for row in strays),
        strays_found=[(row["partner"], row["reference"], row["opened_at"]) for row in strays],
        nostro={
            (row["payment_id"], row["currency"]): row["moved"] for row in await site.rows(NOSTRO)
        },
        totals={
            (row["partner"], row["currency"]): row["booked"] for row in await site.rows(TOTALS)
        },
        ledger=[row[0] for row in await site.rows(LEDGER)],
        holds=await site.rows(HOLDS),
        all_cases=all_cases,
    )
