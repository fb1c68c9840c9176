"""Terms: what a rules file says that a payment needs and costs, judged with no word of its own."""

from __future__ import annotations

from checker.facts import Facts
from checker.rows import ApprovalRule, FeeRule, Payment, Ruling

_BPS_OF_ALL = 10_000


def need_of(ruling: Ruling, payment: Payment) -> ApprovalRule | None:
    """Return what has to approve a payment: of the rules that match, the one that asks for most."""
    found = [rule for rule in ruling.approvals if _matches(rule, payment)]
    return max(found, key=lambda rule: rule.number, default=None)


def _matches(rule: ApprovalRule, payment: Payment) -> bool:
    return (
        rule.kind in (None, payment.kind)
        and rule.currency in (None, payment.currency)
        and rule.partner in (None, payment.partner)
        and payment.amount_minor >= rule.amount_from_minor
    )


def otherwise_than_ruled(facts: Facts, payment: Payment) -> str | None:
    """Return how the need that a payment has frozen differs from the rules; None where not."""
    if facts.rules is None:
        return None
    ruled = need_of(facts.rules, payment)
    need = payment.terms.get("approvals") or {}
    wanted = (ruled.number, ruled.role, ruled.version) if ruled else (None, None, None)
    frozen = (need.get("number"), need.get("role"), need.get("version"))
    return (
        None if frozen == wanted else f"has frozen {frozen} to approve it, the rules say {wanted}"
    )


def fee_of(facts: Facts, payment: Payment) -> int:
    """Return what a payment costs by the rules, in minor units; without them, what it says."""
    if facts.rules is None:
        return payment.fee_minor
    for rule in facts.rules.fees:
        if rule.kind == payment.kind and rule.currency in (None, payment.currency):
            return _fee(rule, payment.amount_minor)
    return 0


def _fee(rule: FeeRule, amount_minor: int) -> int:
    """Return a fee, its part of the amount rounded half to even."""
    whole, rest = divmod(amount_minor * rule.rate_bps, _BPS_OF_ALL)
    more = 2 * rest > _BPS_OF_ALL or (2 * rest == _BPS_OF_ALL and whole % 2 == 1)
    return rule.fixed_minor + whole + more
