"""Payouts: taking them once for each key, finding them, cancelling them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from partners.simulator.bank.book import available_minor
from partners.simulator.bank.events import tell_payout
from partners.simulator.bank.lifecycle import change, payout_row, schedule
from partners.simulator.bank.misbehaviour import (
    BEFORE_BOOKING,
    THROTTLED_CALLS,
    Quirks,
    drawn,
    marked,
)
from partners.simulator.bank.settings import BankSettings, Tuning
from partners.simulator.bank.store import Tx
from partners.simulator.bank.wire import (
    Json,
    PayoutOrder,
    Problem,
    payout_name,
    payout_told,
    stamp,
)

_FOUND_MAX = 100

_STORED_FAILURES = {
    "500-after-booking": 500,
    "500-without-booking": 500,
    "409-on-the-key": 409,
    "409-without-booking": 409,
    "rejected-but-paid": 422,
}


@dataclass(frozen=True)
class Taken:
    """What a call to create a payout comes to: the true answer, and how it is spoiled."""

    status: int
    body: Json
    spoiled: str | None = None
    """The misbehaviour that this answer suffers on its way; None: it is told as it is."""
    webhook: str | None = None
    """The webhook misbehaviour, where the answer has to wait for it."""
    payout: int | None = None
    replayed: bool = False


@dataclass(frozen=True)
class Desk:
    """Takes payouts by the rules and settings of the bank at one moment."""

    settings: BankSettings
    tuning: Tuning
    now: float

    def take(self, tx: Tx, key: str, order: PayoutOrder) -> Taken:
        """Take a payout, or say again what was said to this key, or refuse.

        Raises:
            Problem: The order is refused, or its key was used with another body.
        """
        count, quirks = self._tried(tx, order)
        stored = self._stored(tx, key, order)
        if stored is not None:
            return stored
        spoiled = quirks.spoils_answer()
        if count <= THROTTLED_CALLS.get(spoiled or "", 0):
            return Taken(429, {}, spoiled)
        if count > 1 and spoiled != "reject":
            spoiled = None
        taken = self._processed(tx, order, quirks, spoiled)
        self._remember(tx, key, order, taken)
        return taken

    def _tried(self, tx: Tx, order: PayoutOrder) -> tuple[int, Quirks]:
        """Count a call and return what is wrong with its reference: decided at the first one."""
        row = tx.execute("SELECT * FROM tries WHERE reference = ?", (order.reference,)).fetchone()
        if row is None:
            quirks = _quirks(order, self.tuning)
            tx.execute(
                "INSERT INTO tries VALUES (?, 1, ?)", (order.reference, quirks.model_dump_json())
            )
            return 1, quirks
        count = row["count"] + 1
        tx.execute("UPDATE tries SET count = ? WHERE reference = ?", (count, order.reference))
        return count, Quirks.model_validate_json(row["quirks"])

    def _stored(self, tx: Tx, key: str, order: PayoutOrder) -> Taken | None:
        """Return the answer that the key already has, while it lives."""
        if not self.settings.mode.honours_keys:
            return None
        row = tx.execute("SELECT * FROM keys WHERE key = ?", (key,)).fetchone()
        if row is None or row["stored_at"] + self.settings.key_lifetime_seconds <= self.now:
            return None
        if row["body_hash"] != _body_hash(order):
            return Taken(409, _error("idempotency_key_conflict", "this key has another body"))
        return Taken(row["status"], json.loads(row["body"]), replayed=True)

    def _processed(self, tx: Tx, order: PayoutOrder, quirks: Quirks, spoiled: str | None) -> Taken:
        if spoiled in BEFORE_BOOKING:
            return Taken(500, _error("internal_error", "not processed"), spoiled)
        refusal = self._refusal(tx, order)
        if spoiled == "reject" and refusal is None:
            refusal = quirks.code or "account_invalid"
        if refusal is not None:
            return Taken(422, _error(refusal, f"the payout is refused: {refusal}"))
        payout = self._insert(tx, order, quirks)
        if spoiled != "rejected-but-paid":  # a refused payout cannot well be announced as accepted
            tell_payout(tx, self.now, self.tuning, payout_row(tx, payout), "accepted")
        schedule(tx, self.now, self.tuning, payout, quirks)
        body = payout_told(payout_row(tx, payout))
        return Taken(201, body, spoiled, webhook=quirks.webhook, payout=payout)

    def _refusal(self, tx: Tx, order: PayoutOrder) -> str | None:
        """Return the code of a definite refusal; None where the bank can pay."""
        if order.currency not in self.settings.currencies:
            return "currency_not_supported"
        if order.beneficiary.kind not in self.settings.beneficiaries:
            return "beneficiary_not_supported"
        if order.beneficiary.account() is None:
            return "account_invalid"
        if order.amount_minor > self.settings.amount_minor_max:
            return "amount_limit"
        if order.amount_minor > available_minor(tx, order.currency):
            return "insufficient_funds"
        return None

    def _insert(self, tx: Tx, order: PayoutOrder, quirks: Quirks) -> int:
        hidden = self.tuning.not_found_seconds if quirks.lookup else 0.0
        tx.execute(
            "INSERT INTO payouts (reference, amount_minor, currency, beneficiary, truth, told,"
            " created_at, visible_at, quirks) VALUES (?, ?, ?, ?, 'pending', 'pending', ?, ?, ?)",
            (
                order.reference,
                order.amount_minor,
                order.currency,
                json.dumps(order.beneficiary.told()),
                stamp(self.now),
                self.now + hidden,
                quirks.model_dump_json(),
            ),
        )
        payout: int = tx.execute("SELECT last_insert_rowid()").fetchone()[0]
        return payout

    def _remember(self, tx: Tx, key: str, order: PayoutOrder, taken: Taken) -> None:
        """Store the answer of a key, where this bank stores such answers."""
        status, body = taken.status, taken.body
        if self.settings.replays_failures and taken.spoiled in _STORED_FAILURES:
            status = _STORED_FAILURES[taken.spoiled]
            body = failure_body(status)
        if status >= 300 and not self.settings.replays_failures:
            return
        if taken.spoiled in BEFORE_BOOKING and taken.spoiled not in _STORED_FAILURES:
            return  # the call never arrived, as far as the bank can tell
        tx.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " body_hash = excluded.body_hash, status = excluded.status, body = excluded.body,"
            " stored_at = excluded.stored_at",
            (key, _body_hash(order), status, json.dumps(body), self.now),
        )


def failure_body(status: int) -> Json:
    """Return the error body of a made-up failure."""
    return {
        500: _error("internal_error", "something went wrong"),
        409: _error("idempotency_key_in_use", "another call with this key is at work"),
        422: _error("account_invalid", "the payout is refused: account_invalid"),
    }[status]


def find(tx: Tx, now: float, reference: str) -> list[Json]:
    """Return the payouts of a reference that can be seen by now, oldest first."""
    rows = tx.execute(
        "SELECT * FROM payouts WHERE reference = ? AND visible_at <= ? ORDER BY id LIMIT ?",
        (reference, now, _FOUND_MAX),
    ).fetchall()
    return [payout_told(row) for row in rows]


def newest_other(tx: Tx, reference: str) -> Json:
    """Return id and reference of the newest payout that has another reference, or made-up ones."""
    row = tx.execute(
        "SELECT id, reference FROM payouts WHERE reference <> ? ORDER BY id DESC LIMIT 1",
        (reference,),
    ).fetchone()
    if row is None:
        return {"id": payout_name(0), "reference": "somebody-else-1"}
    return {"id": payout_name(row["id"]), "reference": row["reference"]}


def cancel(tx: Tx, now: float, tuning: Tuning, payout: int) -> Json:
    """Cancel a payout that is not booked; it never will be then.

    Raises:
        Problem: There is no such payout, or it cannot be cancelled any more.
    """
    row = visible(tx, now, payout)
    if row["truth"] == "pending":
        row = change(tx, payout, truth="cancelled", told="cancelled", code="cancelled")
        tell_payout(tx, now, tuning, row, "cancelled")
    if row["truth"] != "cancelled":
        message = f"the payout is {row['told']} and cannot be cancelled"
        raise Problem(409, "not_cancellable", message, payout=payout_told(row))
    return payout_told(row)


def visible(tx: Tx, now: float, payout: int) -> Any:
    """Return a payout's row.

    Raises:
        Problem: There is none, or none that can be seen yet.
    """
    row = payout_row(tx, payout)
    if row is None or row["visible_at"] > now:
        raise Problem(404, "payout_not_found", "there is no such payout")
    return row


def _quirks(order: PayoutOrder, tuning: Tuning) -> Quirks:
    chosen = marked(order.remittance, order.beneficiary.name)
    return chosen or drawn(tuning.mix, tuning.seed, order.reference)


def _error(code: str, message: str) -> Json:
    return {"code": code, "message": message}


def _body_hash(order: PayoutOrder) -> str:
    canonical = json.dumps(order.model_dump(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
