"""Pauses: while people had stopped something, no money of that left; and what waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from checker.facts import Facts
from checker.findings import Finding
from checker.rows import Pause, Payment

GOES_ON_WITHIN = timedelta(minutes=7)
"""How long what has waited may take to go on after a pause: so many may wait for one partner."""

WAITING = frozenset({"reserved", "scheduled", "submitting"})
"""States in which a payment may wait for the end of a pause, as long as nothing was sent."""


def kept(facts: Facts) -> Iterator[Finding]:
    """INV-19: nothing was claimed, sent or booked that a pause in force covered."""
    for attempt in facts.attempts:
        payment = facts.payment.get(attempt.payment_id)
        for verb, at in (
            ("claimed", attempt.opened_at),
            ("first sent", attempt.first_sent_at),
            ("sent", attempt.sent_at),
        ):
            # What is older than its attempt is the age of a key that books of before may have sent.
            if payment is not None and at is not None and at >= attempt.opened_at:
                for pause in _in_force(facts, payment, attempt.partner, at):
                    yield Finding(attempt.key, f"was {verb} {at}, {_named(pause)}")
    for move in facts.transitions:
        payment = facts.payment.get(move.payment_id)
        if payment is not None and (move.kind, move.after) == ("transfer", "settled"):
            for pause in _in_force(facts, payment, None, move.at):
                yield Finding(payment.id, f"was booked {move.at}, {_named(pause)}")


def waits_until(facts: Facts, payment: Payment, since: datetime) -> datetime | None:
    """Return until when a pause explains that a payment waits; None: no pause does.

    A pause in force is an alarm of its own, so what waits for its end is not silent.
    """
    attempts = facts.attempts_of.get(payment.id, ())
    if payment.state not in WAITING or any(attempt.sent_at for attempt in attempts[-1:]):
        return None
    ends = [
        pause.resumed_at + GOES_ON_WITHIN if pause.resumed_at else facts.now
        for pause in facts.pauses
        if _covers(pause, payment, payment.partner)
        and (pause.resumed_at is None or pause.resumed_at > since)
    ]
    return max(ends, default=None)


def _in_force(facts: Facts, payment: Payment, partner: str | None, at: datetime) -> Iterator[Pause]:
    for pause in facts.pauses:
        lifted = pause.resumed_at is not None and pause.resumed_at <= at
        if pause.paused_at <= at and not lifted and _covers(pause, payment, partner):
            yield pause


def _covers(pause: Pause, payment: Payment, partner: str | None) -> bool:
    names = {"partner": partner, "currency": payment.currency, "tenant": payment.tenant}
    return pause.scope == "all" or names.get(pause.scope) == pause.name


def _named(pause: Pause) -> str:
    return f"while {pause.scope} {pause.name} was paused from {pause.paused_at}"
