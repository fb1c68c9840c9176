"""Debits of no payment of ours: a bank's own mistake only where our books know of it."""

from __future__ import annotations

from tests.checker.spoilt import UNMATCHED, Spoilt

KNOWN = "kind = 'phantom_debit'"

PHANTOMS = (
    Spoilt(
        "a bank paid what nobody asked for",
        {"phantom", "INV-27"} | UNMATCHED,
        bank=(
            "INSERT INTO lines (booked_at, value_on, amount_minor, currency, reference, kind,"
            " balance_minor) SELECT booked_at, value_on, -1, currency, 'po_ghost-1', 'payout',"
            " balance_minor - 1 FROM lines WHERE currency = 'EUR' ORDER BY seq DESC LIMIT 1",
            "UPDATE balances SET booked_minor = booked_minor - 1 WHERE currency = 'EUR'",
        ),
    ),
    Spoilt(
        "a bank's own debit has no case",
        {"phantom", "INV-07"},
        (f"DELETE FROM cases WHERE {KNOWN}",),
    ),
    Spoilt(
        "a bank's own debit is in suspense with another amount",
        {"phantom", "INV-07", "INV-01", "INV-02", "INV-05", "INV-25", "wrong_balance"},
        (
            "UPDATE entries SET delta = delta + 1 FROM accounts a, cases c"
            f" WHERE a.id = account_id AND a.path LIKE 'suspense/%' AND c.{KNOWN}"
            " AND entries.transaction_id = c.transaction_id",
        ),
    ),
    Spoilt(
        "a bank was asked for a debit under a name that is not ours",
        {"phantom", "INV-07"},
        bank=(
            "INSERT INTO tries (reference, count, quirks)"
            " SELECT reference, 1, '{}' FROM lines WHERE reference LIKE 'phantom_%'",
        ),
    ),
)
