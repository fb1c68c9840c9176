"""The judge: counts what must never be, from the banks' books, the register and the diary."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from bursar.payments import FINAL, PaymentState
from tests.battery import expected
from tests.battery.case import Case, Findings
from tests.battery.evidence import BankLine, Told
from tests.battery.orders import Swallowed

S = PaymentState
ANYWHERE = frozenset(S)
AFTER = {
    "cancelled": {S.CANCELLED},
    "approved": ANYWHERE - {S.AWAITING_APPROVAL, S.DENIED, S.EXPIRED},
    "denied": {S.DENIED},
}
"""Where a payment may be after what a person was told of a word on it."""
ENOUGH = 30
"""Ordinary payouts through a bank, for their share that has failed to say something."""
FAILED_MAX = 0.35
"""The largest such share; about a tenth has been seen at the banks that can be asked little."""
NEVER_MOVED = FINAL - {S.SETTLED, S.RETURNED}


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
    _judge_cases(case, findings)
    _judge_banks(case, findings)
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
    if told.conflicts_made_up:
        findings.add("misled_client", f"{payment_id}: the same content was refused as other")
    if told.end in NEVER_MOVED and paid and not explained:
        findings.add("misled_client", f"{payment_id}: told {told.end}, and it was paid")
    if told.end == S.SETTLED and told.kind == "payout" and not paid:
        findings.add("misled_client", f"{payment_id}: told settled, and nothing was paid")
    _judge_words(case, payment, told, paid=paid, findings=findings)
    _judge_end(case, payment, told, paid=paid, findings=findings)
    now = {payment["state"], S.SETTLED if payment["state"] == S.RETURNED else payment["state"]}
    if told.end is not None and told.end not in now:
        findings.add("misled_client", f"{payment_id}: told {told.end}, is {payment['state']}")


def _judge_words(
    case: Case, payment: Mapping[str, Any], told: Told, *, paid: bool, findings: Findings
) -> None:
    """Compare what people were told of their words with what became of the payment."""
    for verdict in told.verdicts:
        came_true = payment["state"] in AFTER.get(verdict, ANYWHERE)
        if verdict == "cancelled":
            came_true = came_true and not paid
        if verdict == "too_late":
            opened = [attempt["opened_at"] for attempt in _attempts(case, payment["id"])]
            came_true = bool(opened) and min(opened) <= min(told.too_late_at)
        if not came_true:
            text = f"{payment['id']}: told {verdict}, is {payment['state']}, paid: {paid}"
            findings.add("misled_client", text)


def _judge_end(
    case: Case, payment: Mapping[str, Any], told: Told, *, paid: bool, findings: Findings
) -> None:
    """Compare how a payment has ended with how it may."""
    quirks = case.quirks(payment["id"])
    may = expected.ends(told, payment["partner"], quirks, paid=paid)
    if S(payment["state"]) in FINAL - may:
        text = f"{payment['id']} is {payment['state']}, not {', '.join(sorted(may))}"
        findings.add("unexpected_end", text)


def _judge_cases(case: Case, findings: Findings) -> None:
    """Find the cases that call people although nothing is the matter.

    An answer that names another payment is a case of both.
    """
    others = sum(
        "other-reference-echo" in quirks
        for book in case.banks.values()
        for quirks in book.tries.values()
    )
    for known in case.all_cases:
        payment = case.payments.get(known["payment_id"] or "")
        partner = payment["partner"] if payment else None
        if expected.is_explained(known["kind"], partner, case.quirks(known["payment_id"])):
            continue
        if known["kind"] == "event_set_aside" and Swallowed.__name__ in known["detail"]:
            continue  # so many orders came upon one event
        if known["kind"] == "mismatch" and others > 0:
            others -= 1
            continue
        findings.add("needless_case", f"{known['kind']} of {known['payment_id']} at {partner}")


def _judge_banks(case: Case, findings: Findings) -> None:
    """Find the banks through which hardly anything is paid, though nothing stands in the way."""
    ended: dict[str, list[str]] = defaultdict(list)
    for payment_id, payment in case.payments.items():
        told = case.told.get(payment_id)
        if (
            told is not None
            and told.request
            and expected.is_ordinary(told, case.quirks(payment_id))
        ):
            ended[payment["partner"]].append(payment["state"])
    for partner, states in ended.items():
        failed = states.count(S.FAILED)
        if len(states) >= ENOUGH and failed > FAILED_MAX * len(states):
            for _ in range(failed):
                text = f"{failed} of {len(states)} ordinary payouts failed at {partner}"
                findings.add("unexpected_end", text)


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
    """A payout is returned just when the bank has given all of it back, but for what it kept.

    Where it was told as a credit first, it may be left in suspense, and a person hears of it.
    """
    back = sum(line.amount_minor for line in lines if line.kind == "payout_return")
    whole = bool(back) and back + case.kept(payment["id"]) >= payment["amount_minor"]
    if whole and case.is_told_as_a_credit(payment["id"]):
        return
    if whole != (payment["state"] == S.RETURNED):
        text = f"{payment['id']} is {payment['state']}, and {back} of it came back"
        findings.add("unmatched_movement", text)


def _judge_approval(
    case: Case, payment_id: str, payment: Mapping[str, Any], findings: Findings
) -> None:
    told = case.told.get(payment_id)
    need = expected.need_of(payment["kind"], payment["currency"], payment["amount_minor"])
    if told is not None and told.request and not expected.price_is_right(told, payment):
        findings.add("wrong_amount", f"{payment_id}: not the fee or need of approvals that it has")
    claims = [attempt["opened_at"] for attempt in _attempts(case, payment_id)]
    if payment_id in case.transferred:
        claims.append(case.transferred[payment_id])
    if not need or not claims:
        return
    people = {
        word["principal"]
        for word in case.approvals.get(payment_id, [])
        if word["at"] <= min(claims)
        and word["content_hash"] == payment["content_hash"]
        and word["principal"] != payment["created_by"]
    }
    if len(people) < need:
        findings.add("approval_bypass", f"{payment_id}: {sorted(people)} of {need}")


def _attempts(case: Case, payment_id: str) -> list[Any]:
    return case.attempts_of.get(payment_id, [])


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
