"""The judge: counts what must never be, from the banks' books, the register and the diary."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bursar.payments import FINAL, PaymentState
from tests.battery.evidence import BankBook, BankLine, Told, read_bank, read_diary
from tests.battery.installation import Installation
from tests.battery.plan import BREACHES, CONTRADICTIONS, PARTNERS

S = PaymentState
ANYWHERE = frozenset(S)
AFTER = {
    "cancelled": {S.CANCELLED},
    "approved": ANYWHERE - {S.AWAITING_APPROVAL, S.DENIED, S.EXPIRED},
    "denied": {S.DENIED},
}
"""Where a payment may be after what a person was told of a word on it."""
NEVER_MOVED = FINAL - {S.SETTLED, S.RETURNED}

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


@dataclass
class Findings:
    """What the judge has found: for each figure, what it is about."""

    by_figure: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ZEROS})

    def add(self, figure: str, what: str) -> None:
        """Note one violation."""
        self.by_figure[figure].append(what)

    @property
    def any(self) -> bool:
        return any(self.by_figure.values())

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
    nostro: dict[tuple[str, str], int]
    """What moved on our nostro accounts, by (payment, currency); credits to us positive."""
    totals: dict[tuple[str, str], int]
    """Our nostro balances, by (partner, currency)."""
    ledger: list[str]
    """What is wrong in the ledger itself, in words."""
    holds: list[Any]
    all_cases: list[Any] = field(default_factory=list)
    """Every case there ever was, closed or not."""

    def breaches(self, payment_id: str) -> set[str]:
        """Return by which mistakes of its own a bank has broken its promises on a payment."""
        return self._quirks(payment_id) & BREACHES

    def is_told_of_a_contradiction(self, payment_id: str) -> bool:
        """Tell whether a bank has truly contradicted itself about a payment, and it is a case."""
        has_case = any(known["payment_id"] == payment_id for known in self.all_cases)
        return has_case and bool(self._quirks(payment_id) & {*CONTRADICTIONS})

    def _quirks(self, payment_id: str) -> set[str]:
        return {
            quirk
            for book in self.banks.values()
            for payout in book.payouts
            if payout.reference.rpartition("-")[0] == payment_id
            for quirk in payout.quirks
        }

    def kept(self, payment_id: str) -> int:
        """Return what a bank kept of the money of a payment that it gave back."""
        return sum(
            payout.kept_minor
            for book in self.banks.values()
            for payout in book.payouts
            if payout.reference.rpartition("-")[0] == payment_id
        )

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
select e.partner, e.reference, x.currency::text, x.delta
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


async def gather(site: Installation) -> Case:
    """Collect the evidence: what was told first, so that the books know at least that."""
    told = read_diary(site.folder / "client.jsonl")
    banks = {name: read_bank(name, site.bank_file(name)) for name in PARTNERS}
    approvals: dict[str, list[Any]] = defaultdict(list)
    for row in await site.rows("select * from approvals where decision = 'approve'"):
        approvals[row["payment_id"]].append(row)
    cases: dict[str, list[str]] = defaultdict(list)
    all_cases = await site.rows("select payment_id, kind, opened_at, closed_at from cases")
    for row in all_cases:
        if row["closed_at"] is None:
            cases[row["payment_id"] or ""].append(row["kind"])
    return Case(
        told=told,
        banks=banks,
        payments={row["id"]: row for row in await site.rows("select * from payments")},
        attempts={row["key"]: row for row in await site.rows("select * from attempts")},
        approvals=approvals,
        open_cases=cases,
        strays=Counter(tuple(row) for row in await site.rows(STRAYS)),
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


def judge(case: Case) -> Findings:
    """Return everything that is wrong at a moment at which nothing moves any more."""
    findings = Findings()
    lines = case.lines()
    for payment_id, moved in lines.items():
        _judge_bank(case, payment_id, moved, findings)
    for payment_id, told in case.told.items():
        _judge_told(case, payment_id, told, lines.get(payment_id, []), findings)
    for payment_id, payment in case.payments.items():
        _judge_payment(case, payment_id, payment, lines.get(payment_id, []), findings)
    for what in case.ledger:
        findings.add("wrong_balance", what)
    for hold in case.holds:
        held_for = case.payments.get(hold["payment_id"])
        if held_for is None or S(held_for["state"]) in FINAL:
            findings.add("orphan_hold", f"{hold['key']}: {hold['open']} held")
    _judge_movements(case, lines, findings)
    _judge_nobodys(case, findings)
    return findings


def judge_at_any_moment(case: Case) -> Findings:
    """Return what is wrong already, however much is still on its way."""
    findings = Findings()
    for payment_id, moved in case.lines().items():
        _judge_bank(case, payment_id, moved, findings)
        told = case.told.get(payment_id, Told())
        if "cancelled" in told.verdicts:
            findings.add("misled_client", f"{payment_id}: told cancelled, and it was paid")
    for payment_id, payment in case.payments.items():
        _judge_approval(case, payment_id, payment, findings)
        if case.told.get(payment_id, Told()).conflicts_missed:
            findings.add("misled_client", f"{payment_id}: other content was taken for the same")
    for what in case.ledger:
        findings.add("wrong_balance", what)
    return findings


def _judge_bank(case: Case, payment_id: str, lines: list[BankLine], findings: Findings) -> None:
    debits = [line for line in lines if line.kind == "payout"]
    if len(debits) > 1 and not case.breaches(payment_id):
        findings.add("doubled", f"{payment_id}: {[line.reference for line in debits]}")
    payment = case.payments.get(payment_id)
    for line in debits:
        if line.reference not in case.attempts or payment is None:
            findings.add("phantom", line.reference)
        elif (-line.amount_minor, line.currency) != (payment["amount_minor"], payment["currency"]):
            findings.add("wrong_amount", f"{line.reference}: {line.amount_minor} {line.currency}")


def _judge_nobodys(case: Case, findings: Findings) -> None:
    """A debit under no name of ours is a bank's own mistake only where the books know of it."""
    known = Counter(case.strays)
    for line in case.nobodys():
        what = (line.partner, line.reference, line.currency, line.amount_minor)
        if known[what] <= 0:
            findings.add("phantom", line.reference)
        known[what] -= 1


def _judge_told(
    case: Case, payment_id: str, told: Told, lines: list[BankLine], findings: Findings
) -> None:
    payment = case.payments.get(payment_id)
    if payment is None:
        if told.acknowledged:
            findings.add("lost", f"{payment_id} was acknowledged, and is not in the register")
        return
    paid = any(line.kind == "payout" for line in lines)
    explained = case.is_told_of_a_contradiction(payment_id)
    if told.conflicts_missed:
        findings.add("misled_client", f"{payment_id}: other content was taken for the same")
    if told.end in NEVER_MOVED and paid and not explained:
        findings.add("misled_client", f"{payment_id}: told {told.end}, and it was paid")
    if told.end == S.SETTLED and told.kind == "payout" and not paid:
        findings.add("misled_client", f"{payment_id}: told settled, and nothing was paid")
    _judge_words(payment, told, paid=paid, findings=findings)
    now = {payment["state"], S.SETTLED if payment["state"] == S.RETURNED else payment["state"]}
    if told.end is not None and told.end not in now:
        findings.add("misled_client", f"{payment_id}: told {told.end}, is {payment['state']}")


def _judge_words(payment: Mapping[str, Any], told: Told, *, paid: bool, findings: Findings) -> None:
    """Compare what people were told of their words with what became of the payment."""
    for verdict in told.verdicts:
        if payment["state"] not in AFTER.get(verdict, ANYWHERE) or (
            verdict == "cancelled" and paid
        ):
            text = f"{payment['id']}: told {verdict}, is {payment['state']}, paid: {paid}"
            findings.add("misled_client", text)


def _judge_payment(
    case: Case,
    payment_id: str,
    payment: Mapping[str, Any],
    lines: list[BankLine],
    findings: Findings,
) -> None:
    state = S(payment["state"])
    if payment_id not in case.told:
        findings.add("phantom", f"{payment_id} is in the register, and nobody asked for it")
    if state not in FINAL and payment_id not in case.open_cases:
        findings.add("stuck_without_case", f"{payment_id} is {state}")
    paid = any(line.kind == "payout" for line in lines)
    if payment["kind"] == "payout" and state in (S.SETTLED, S.RETURNED) and not paid:
        findings.add("lost", f"{payment_id} is {state}, and the bank never paid")
    if state in (S.SETTLED, S.RETURNED) and not case.breaches(payment_id):
        _judge_return(case, payment, lines, findings)
    _judge_approval(case, payment_id, payment, findings)


def _judge_return(
    case: Case, payment: Mapping[str, Any], lines: list[BankLine], findings: Findings
) -> None:
    """A payout is returned just when the bank has given all of it back, but for what it kept."""
    back = sum(line.amount_minor for line in lines if line.kind == "payout_return")
    whole = bool(back) and back + case.kept(payment["id"]) >= payment["amount_minor"]
    if whole != (payment["state"] == S.RETURNED):
        text = f"{payment['id']} is {payment['state']}, and {back} of it came back"
        findings.add("unmatched_movement", text)


def _judge_approval(
    case: Case, payment_id: str, payment: Mapping[str, Any], findings: Findings
) -> None:
    need = json.loads(payment["terms"]).get("approvals")
    claims = [
        attempt["opened_at"]
        for attempt in case.attempts.values()
        if attempt["payment_id"] == payment_id
    ]
    if not need or not claims:
        return
    people = {
        word["principal"]
        for word in case.approvals.get(payment_id, [])
        if word["at"] <= min(claims)
        and word["content_hash"] == payment["content_hash"]
        and word["principal"] != payment["created_by"]
    }
    if len(people) < need["number"]:
        findings.add("approval_bypass", f"{payment_id}: {sorted(people)} of {need['number']}")


def _judge_movements(case: Case, lines: Mapping[str, list[BankLine]], findings: Findings) -> None:
    """Compare what moved at the banks with what moved on our accounts there."""
    theirs: Counter[tuple[str, str]] = Counter()
    for payment_id, moved in lines.items():
        for line in moved:
            theirs[payment_id, line.currency] += line.amount_minor
    ours = {key: moved for key, moved in case.nostro.items() if key[0]}
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs[key] != ours.get(key, 0):
            text = f"{key[0]}: the bank {theirs[key]}, we {ours.get(key, 0)} {key[1]}"
            findings.add("unmatched_movement", text)
    for partner, book in case.banks.items():
        for currency, booked in book.balances.items():
            if booked != case.totals.get((partner, currency), 0):
                text = f"{partner} {currency}: the bank {booked}, we "
                text += f"{case.totals.get((partner, currency), 0)}"
                findings.add("wrong_balance", text)
