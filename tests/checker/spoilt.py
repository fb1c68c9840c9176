"""What can be wrong with a copy of an honest life, and the words to make it so."""

from __future__ import annotations

from typing import NamedTuple

IBAN = "DE89370400440532013000"
HASH = "0" * 64
MONEY = {"wrong_balance"}
UNMATCHED = {"INV-09", "unmatched_movement"} | MONEY
SETTLED = "payment_id = 'po_plain' AND after = 'settled'"


class Spoilt(NamedTuple):
    """One thing that is wrong, and every rule that has to find it."""

    name: str
    found: set[str]
    sql: tuple[str, ...] = ()
    bank: tuple[str, ...] = ()
    told: tuple[dict[str, object], ...] = ()


def told(op: str, payment_id: str, **answer: object) -> dict[str, object]:
    at = "2026-01-01T00:00:00+00:00"
    phases = {"op": op, "id": payment_id, "kind": "payout", "phase": "answered"}
    return {"at": at, **phases, "answer": {"ok": True, "error": None, **answer}}


def an_entry(change: str, *, of: str) -> str:
    """Change the entry of a transaction on the account that was opened last."""
    places = (
        "SELECT account_id, e.seq FROM entries e JOIN transactions t ON t.id = e.transaction_id"
        f" WHERE t.key = '{of}' ORDER BY account_id DESC LIMIT 1"
    )
    return on("entries", change, f"(account_id, seq) = ({places})")


def on(table: str, change: str, where: str) -> str:
    return f"UPDATE {table} SET {change} WHERE {where}"


def second_payout(reference: str) -> str:
    """Let the bank have one payout more, like that of po_plain."""
    return (
        "INSERT INTO payouts (reference, amount_minor, currency, beneficiary, truth, told,"
        f" created_at, visible_at, quirks) SELECT '{reference}', amount_minor, currency,"
        " beneficiary, 'pending', 'pending', '2099-01-01T00:00:00.000000Z', 0, quirks"
        " FROM payouts WHERE reference = 'po_plain-1'"
    )


EARLY = Spoilt(
    "money was given out before the move that it was given out for",
    {"INV-15", "INV-24"},
    (
        "UPDATE transitions t SET transaction_id = r.transaction_id FROM transitions r"
        " WHERE t.payment_id = 'po_plain' AND r.payment_id = t.payment_id"
        " AND (t.after, r.after) IN (('submitting', 'submitted'), ('submitted', 'submitting'))",
    ),
)
