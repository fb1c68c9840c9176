"""Clients: what they were told is true, and the same request is the same payment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from checker.facts import Facts
from checker.findings import Finding
from checker.rows import Payment, Told
from checker.rules.lives import NEVER_MOVED
from checker.rules.partners import ALIVE, content_hash, lied_about

CONFLICT = "conflict"
"""What every spelling of "this id has other content" has in it."""


def cancelled_means_unpaid(facts: Facts) -> Iterator[Finding]:
    """INV-17: what a client was told is cancelled, a bank has never paid and never will."""
    told = {t.id for t in facts.told or () if "cancelled" in (_state(t), t.answer.get("verdict"))}
    told |= {payment.id for payment in facts.payments if payment.state == "cancelled"}
    for payment_id in sorted(told):
        alive = [p for _, p in facts.bank_payouts_of.get(payment_id, ()) if p.truth in ALIVE]
        if alive or payment_id in facts.debits_of:
            yield Finding(payment_id, "told as cancelled, and the bank has it")


def told_the_truth(facts: Facts) -> Iterator[Finding]:
    """INV-23: each state told was one the payment had, then or later, and no end told is false."""
    for told in facts.told or ():
        state = _state(told)
        payment = facts.payment.get(told.id)
        if state is None or payment is None:
            continue  # of an id that the register does not have, see `lost`
        if state not in {move.after for move in facts.life_of.get(told.id, ())}:
            yield Finding(told.id, f"{told.place}: told {state}, which it never was")
        contradiction = _contradiction(facts, payment, state)
        if contradiction:
            yield Finding(told.id, f"{told.place}: told {state}, {contradiction}")


def _contradiction(facts: Facts, payment: Payment, state: str) -> str | None:
    """Return how a final state is denied by the bank's book, unless the bank itself had said so."""
    if facts.banks is None or payment.kind != "payout":
        return None
    has_left = payment.id in facts.debits_of
    if state in NEVER_MOVED and has_left and not lied_about(facts, payment):
        return "and the bank has paid"
    if state in {"settled", "returned"} and not has_left:
        return "and the bank has not paid"
    return None


def lost(facts: Facts) -> Iterator[Finding]:
    """Requests that a client was told are taken, and of which nothing is left."""
    running = facts.runs.running if facts.runs else {}
    for payment_id in sorted(_taken(facts)):
        payment = facts.payment.get(payment_id)
        if payment is None and payment_id not in running:
            yield Finding(payment_id, "was taken, and is neither registered nor running")


def _taken(facts: Facts) -> set[str]:
    return {
        told.id
        for told in facts.told or ()
        if told.op == "start" and told.answer.get("ok") and told.at <= facts.settled_before
    }


def same_request_same_payment(facts: Facts) -> Iterator[Finding]:
    """INV-26: the same request is the same payment, made once; another under its id is refused."""
    made: dict[str, str] = {}
    for told in facts.told or ():
        if told.op != "start" or told.phase != "answered":
            continue
        payment = facts.payment.get(told.id)
        if payment is None:
            continue
        yield from _answer_fits(told, payment)
        if told.answer.get("ok") and told.answer.get("existed") is False:
            if told.id in made:
                yield Finding(told.id, f"{told.place}: made again, first at {made[told.id]}")
            made[told.id] = told.place


def _answer_fits(told: Told, payment: Payment) -> Iterator[Finding]:
    same = _is_same(told.request, payment)
    refused = CONFLICT in str(told.answer.get("error") or "").lower()
    if same is False and told.answer.get("ok"):
        yield Finding(told.id, f"{told.place}: other content was taken for the same")
    if same and refused:
        yield Finding(told.id, f"{told.place}: the same content was refused as another")


def _is_same(request: Mapping[str, Any], payment: Payment) -> bool | None:
    """Tell whether a logged request is what was registered; None where the log does not say.

    A log keeps a request whole, with its nested amount, or only the fields that move money.
    """
    if not request:
        return None
    if "amount" in request:
        return content_hash({"tenant": "main", "metadata": {}, **request}) == payment.content_hash
    registered = {
        "account": payment.account,
        "source": payment.account,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "partner": payment.request.get("partner"),
        "destination": payment.request.get("destination"),
        "beneficiary": payment.request.get("beneficiary"),
    }
    return all(
        _without_absent(request[name]) == _without_absent(registered[name])
        for name in registered.keys() & request.keys()
    )


def _without_absent(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: one for name, one in value.items() if one is not None}
    return value


def _state(told: Told) -> str | None:
    state = told.answer.get("state")
    return str(state) if state and told.answer.get("ok") else None
