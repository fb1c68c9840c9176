"""What has to become of each payment, and at which price: by the plan and the banks' books alone.

Nothing here asks the platform what it meant to do. Need and fee are read from the rules file anew,
and a payment may end otherwise than moved only where somebody's word, a bank's own no or a lack
of money says why.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Set
from typing import Any

from bursar.payments import PaymentState
from tests.battery.evidence import Told
from tests.battery.plan import ABOVE_ALL, BREACHES, CONTRADICTIONS, CREDIT_FIRST, RETURNS, THIN
from tests.battery.profile import RULES

S = PaymentState

_RULES = tomllib.loads(RULES)

ENDS_ITSELF = "keyed"
"""The bank whose promises leave nothing to people."""

NOES = frozenset({"reject", "accepted-then-failed"})
"""What makes a bank say no, and mean it."""

_ECHOES = frozenset({"other-amount-echo", "other-payee-echo", "other-reference-echo"})
_EXPLAINED_BY: Mapping[str, Set[str]] = {
    # An answer that names another payment is a case of that one, too: see `_judge_cases`.
    "mismatch": _ECHOES | {CREDIT_FIRST},
    "contradiction": frozenset(CONTRADICTIONS),
    "paid_twice": BREACHES,
    "phantom_debit": frozenset({"phantom-debit"}),
    "excess_return": BREACHES,
    "unowned_credit": frozenset({CREDIT_FIRST}),
    "unowned_returned": frozenset({*RETURNS, *CONTRADICTIONS}),
    "unowned_accepted": _ECHOES,
    "unowned_paid": _ECHOES,
    "unowned_failed": _ECHOES,
    "overdue": frozenset({"slow-paid", "status-rolled-back-for-good", "webhook-lost"}),
}
"""Which of a bank's misbehaviours may lead to which kind of case; others nothing may lead to."""


def need_of(kind: str, currency: str, amount_minor: int) -> int:
    """Return how many people have to approve a payment."""
    numbers = [
        int(rule["number"])
        for rule in _RULES["approvals"]
        if rule.get("kind") in (None, kind)
        and rule.get("currency") in (None, currency)
        and amount_minor >= rule.get("amount_from_minor", 0)
    ]
    return max(numbers, default=0)


def fee_of(kind: str, currency: str, amount_minor: int) -> int:
    """Return a payment's fee in minor units, a half rounded to the even one."""
    for rule in _RULES["fees"]:
        if rule["kind"] == kind and rule.get("currency") in (None, currency):
            whole, rest = divmod(int(rule.get("rate_bps", 0)) * amount_minor, 10_000)
            up = rest > 5_000 or (rest == 5_000 and whole % 2 == 1)
            return int(rule.get("fixed_minor", 0)) + whole + int(up)
    return 0


def ends(told: Told, partner: str | None, quirks: Set[str], *, paid: bool) -> Set[PaymentState]:
    """Return how a payment may end.

    Args:
        told: What the backend asked for, and what people said of it.
        partner: The bank that it went to, if any.
        quirks: What that bank has done wrong with it.
        paid: Whether that bank has paid it.
    """
    moved = {S.SETTLED, S.RETURNED} if told.kind == "payout" else {S.SETTLED}
    amount_minor, currency = _money(told)
    need = need_of(told.kind, currency, amount_minor)
    may = set(_without_a_bank(told, need, amount_minor))
    if need <= len(told.said["approve"]) and amount_minor < ABOVE_ALL:
        may |= moved
        if told.kind == "payout" and _may_fail(told, partner, quirks, paid=paid):
            may.add(S.FAILED)
    return may


def _without_a_bank(told: Told, need: int, amount_minor: int) -> Set[PaymentState]:
    """Return the ends for which nothing has to be handed over."""
    may: set[PaymentState] = set()
    if told.said["cancel"]:
        may.add(S.CANCELLED)
    if len(told.heard["approve"]) < need:
        may.add(S.EXPIRED)
    if need and told.said["deny"]:
        may.add(S.DENIED)
    if amount_minor >= ABOVE_ALL or _source(told) == THIN:
        may.add(S.REFUSED)
    return may


def is_ordinary(told: Told, quirks: Set[str]) -> bool:
    """Tell whether nothing stands in the way of a payout but bad luck on the way to its bank."""
    amount_minor, currency = _money(told)
    asks = need_of(told.kind, currency, amount_minor) or told.said["cancel"]
    refused = amount_minor >= ABOVE_ALL or _source(told) == THIN
    return told.kind == "payout" and not (asks or refused or quirks & {*NOES, *CONTRADICTIONS})


def _may_fail(told: Told, partner: str | None, quirks: Set[str], *, paid: bool) -> bool:
    """Tell whether a payout may end as never paid, though it was handed over.

    What is proven absent is not sent again where somebody has asked for a cancel meanwhile.
    """
    if paid:
        return bool(quirks & {*CONTRADICTIONS})
    given_up = partner != ENDS_ITSELF or bool(told.said["cancel"])
    return given_up or bool(quirks & {*NOES, *CONTRADICTIONS})


def is_explained(kind: str, partner: str | None, quirks: Set[str]) -> bool:
    """Tell whether a case of this kind has its reason in what a bank is, or has done wrong."""
    if kind == "overdue" and partner != ENDS_ITSELF:
        return True  # a bank that can be asked little, or nothing, and whose event is late
    if kind == "outcome_unknown":
        return partner != ENDS_ITSELF or bool(quirks & {*CONTRADICTIONS, *_ECHOES})
    return bool(quirks & _EXPLAINED_BY.get(kind, frozenset()))


def _money(told: Told) -> tuple[int, str]:
    amount: Mapping[str, Any] = told.request["amount"]
    return int(amount["amount_minor"]), str(amount["currency"])


def _source(told: Told) -> str:
    return str(told.request.get("account") or told.request.get("source"))


def price_is_right(told: Told, payment: Mapping[str, Any]) -> bool:
    """Tell whether a payment was registered with the fee and the need of approvals that it has."""
    amount_minor, currency = _money(told)
    frozen: Mapping[str, Any] = payment["terms"].get("approvals") or {"number": 0}
    registered = (int(payment["fee_minor"]), int(frozen["number"]))
    return registered == (
        fee_of(told.kind, currency, amount_minor),
        need_of(told.kind, currency, amount_minor),
    )
