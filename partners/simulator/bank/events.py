"""Events: what the bank has to tell, written in the commit of what they tell about."""

from __future__ import annotations

import json
from typing import Any

from partners.simulator.bank.misbehaviour import Quirks
from partners.simulator.bank.settings import Tuning
from partners.simulator.bank.store import Tx
from partners.simulator.bank.wire import Json, payout_told, stamp

DOUBLED_COUNT = 50
NEW_IDS_COUNT = 5
FORGED_TRIES_MAX = 5


def tell_payout(tx: Tx, now: float, tuning: Tuning, row: Any, word: str, **changes: Any) -> None:
    """Queue the webhooks that tell a payout's word, with what is wrong with this payout's.

    `changes` are fields that are told otherwise than the payout has them now.
    """
    quirks = Quirks.model_validate_json(row["quirks"])
    told = payout_told(row) | changes
    if quirks.answer == "other-payee-echo":
        told = with_another_payee(told)
    if quirks.webhook == "webhook-lost":
        return
    if quirks.webhook == "webhook-out-of-order":
        _tell_out_of_order(tx, now, tuning, row, word, told)
        return
    delay = tuning.webhook_seconds
    if quirks.webhook == "webhook-before-reply":
        delay = 0.0
    if quirks.webhook == "webhook-late":
        delay += tuning.webhook_late_seconds
    delay += max(0.0, row["visible_at"] - now)  # a hidden payout is not announced either
    if quirks.webhook == "webhook-credit-first" and word == "returned":
        _tell_as_a_credit(tx, now, told, due_at=now + delay)
        delay += _gap(tuning)
    copies = NEW_IDS_COUNT if quirks.webhook == "webhook-doubled-new-ids" else 1
    for _ in range(copies):
        event = _write(tx, now, f"payout.{word}", told, row["id"])
        _queue(tx, event, now + delay, quirks)


def with_another_payee(told: Json) -> Json:
    """Return a payout as it is told where the beneficiary's account is another one."""
    return {**told, "beneficiary": {**told["beneficiary"], "account": "XX00…0000"}}


def tell_credit(tx: Tx, now: float, tuning: Tuning, told: Json) -> None:
    """Queue the webhook of money that came in."""
    event = _write(tx, now, "credit.received", told, None)
    _queue(tx, event, now + tuning.webhook_seconds, Quirks())


def _tell_as_a_credit(tx: Tx, now: float, returned: Json, due_at: float) -> None:
    """Queue the webhook of a return as if it were any money that came in: the same line."""
    same = {name: returned[name] for name in ("reference", "currency", "value_on", "line_id")}
    credit = {"credit_id": f"credit-of-{returned['line_id']}", "booked_at": stamp(now)}
    told = credit | same | {"amount_minor": returned["returned_minor"]}
    _queue(tx, _write(tx, now, "credit.received", told, None), due_at, Quirks())


def _gap(tuning: Tuning) -> float:
    """Return by how many seconds a webhook that comes after another is behind it."""
    return max(0.2, 5 * tuning.webhook_seconds)


def _tell_out_of_order(tx: Tx, now: float, tuning: Tuning, row: Any, word: str, told: Json) -> None:
    """Keep "accepted" back until the outcome has been told, then contradict it with "pending"."""
    if word == "accepted":
        return
    stale = {**told, "status": "pending", "code": None}
    stale |= {"booked_at": None, "value_on": None, "line_id": None}
    first = now + tuning.webhook_seconds + max(0.0, row["visible_at"] - now)
    words = [(word, told)]
    if not tx.execute("SELECT 1 FROM events WHERE payout = ?", (row["id"],)).fetchone():
        words += [("accepted", stale), ("pending", stale)]
    for place, (each, body) in enumerate(words):
        event = _write(tx, now, f"payout.{each}", body, row["id"])
        _queue(tx, event, first + place * _gap(tuning), Quirks())


def _write(tx: Tx, now: float, kind: str, data: Json, payout: int | None) -> int:
    number: int = tx.execute("SELECT coalesce(max(id), 0) + 1 FROM events").fetchone()[0]
    body = {"id": event_name(number), "type": kind, "timestamp": stamp(now), "data": data}
    tx.execute(
        "INSERT INTO events (id, type, payout, body) VALUES (?, ?, ?, ?)",
        (number, kind, payout, json.dumps(body, ensure_ascii=False, separators=(",", ":"))),
    )
    return number


def _queue(tx: Tx, event: int, due_at: float, quirks: Quirks) -> None:
    copies = DOUBLED_COUNT if quirks.webhook == "webhook-doubled" else 1
    wrong = {"webhook-wrongly-signed": 1, "webhook-forged": FORGED_TRIES_MAX}
    tries_max = FORGED_TRIES_MAX if quirks.webhook == "webhook-forged" else None
    tx.executemany(
        "INSERT INTO deliveries (event, due_at, wrong_signatures, tries_max) VALUES (?, ?, ?, ?)",
        [(event, due_at, wrong.get(quirks.webhook or "", 0), tries_max)] * copies,
    )


def event_name(number: int) -> str:
    """Return an event's published id."""
    return f"evt_{number:012d}"
