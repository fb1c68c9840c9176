"""The bank's book of the customer's account: lines, balances, statements."""

from __future__ import annotations

from datetime import date
from typing import Any

from partners.simulator.bank.store import Tx
from partners.simulator.bank.wire import CreditOrder, Json, Problem, line_told, stamp


def book(tx: Tx, now: float, amount_minor: int, currency: str, **facts: Any) -> Any:
    """Write one line and the balance after it; return the line's row.

    Args:
        tx: The transaction.
        now: The moment of booking.
        amount_minor: Signed: credits to the account positive.
        currency: The account's currency.
        facts: `reference` and `kind`, and `payout` or `credit_id`.
    """
    row = tx.execute("SELECT booked_minor FROM balances WHERE currency = ?", (currency,)).fetchone()
    balance = (row["booked_minor"] if row else 0) + amount_minor
    tx.execute(
        "INSERT INTO balances VALUES (?, ?)"
        " ON CONFLICT (currency) DO UPDATE SET booked_minor = excluded.booked_minor",
        (currency, balance),
    )
    booked_at = stamp(now)
    values = {"payout": None, "credit_id": None, **facts}
    tx.execute(
        "INSERT INTO lines (booked_at, value_on, amount_minor, currency, balance_minor,"
        " reference, kind, payout, credit_id)"
        " VALUES (:booked_at, :value_on, :amount_minor, :currency, :balance,"
        " :reference, :kind, :payout, :credit_id)",
        {
            **values,
            "booked_at": booked_at,
            "value_on": booked_at[:10],
            "amount_minor": amount_minor,
            "currency": currency,
            "balance": balance,
        },
    )
    return tx.execute("SELECT * FROM lines WHERE seq = last_insert_rowid()").fetchone()


def available_minor(tx: Tx, currency: str) -> int:
    """Return what may still be paid out: booked less pending."""
    row = tx.execute(
        "SELECT coalesce((SELECT booked_minor FROM balances WHERE currency = :currency), 0)"
        " - coalesce((SELECT sum(amount_minor) FROM payouts"
        "             WHERE truth = 'pending' AND currency = :currency), 0) AS available",
        {"currency": currency},
    ).fetchone()
    return int(row["available"])


def credit(tx: Tx, now: float, order: CreditOrder) -> tuple[Json, bool]:
    """Book money that comes in, once for each credit id; tell whether it is new.

    Raises:
        Problem: The id belongs to a credit with other content.
    """
    row = tx.execute("SELECT * FROM lines WHERE credit_id = ?", (order.credit_id,)).fetchone()
    if row is None:
        facts = {"reference": order.reference, "kind": "credit", "credit_id": order.credit_id}
        row = book(tx, now, order.amount_minor, order.currency, **facts)
        return line_told(row, with_reference=True), True
    known = (row["amount_minor"], row["currency"], row["reference"])
    if known != (order.amount_minor, order.currency, order.reference):
        raise Problem(409, "credit_conflict", "this credit id was booked with other content")
    return line_told(row, with_reference=True), False


def balances(tx: Tx) -> list[Json]:
    """Return each currency's balance."""
    rows = tx.execute("SELECT currency, booked_minor FROM balances ORDER BY currency").fetchall()
    told = []
    for row in rows:
        available = available_minor(tx, row["currency"])
        told.append(
            {
                "currency": row["currency"],
                "booked_minor": row["booked_minor"],
                "pending_minor": row["booked_minor"] - available,
                "available_minor": available,
            }
        )
    return told


def lines_after(tx: Tx, after: int, limit: int, *, with_reference: bool) -> list[Json]:
    """Return the lines behind a number, in the order of booking."""
    rows = tx.execute(
        "SELECT * FROM lines WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    ).fetchall()
    return [line_told(row, with_reference=with_reference) for row in rows]


def statements(tx: Tx, day: date, currency: str | None, *, with_reference: bool) -> list[Json]:
    """Return a day's statements: of one currency, or of all that ever had a line."""
    if currency is not None:
        currencies = [currency]
    else:
        rows = tx.execute("SELECT currency FROM balances ORDER BY currency").fetchall()
        currencies = [row["currency"] for row in rows]
    return [_statement(tx, day, one, with_reference) for one in currencies]


def _statement(tx: Tx, day: date, currency: str, with_reference: bool) -> Json:
    start, end = day.isoformat(), day.isoformat() + "U"  # "U" sorts behind the "T" of every moment
    before = tx.execute(
        "SELECT coalesce(sum(amount_minor), 0) FROM lines WHERE currency = ? AND booked_at < ?",
        (currency, start),
    ).fetchone()[0]
    rows = tx.execute(
        "SELECT * FROM lines WHERE currency = ? AND booked_at >= ? AND booked_at < ? ORDER BY seq",
        (currency, start, end),
    ).fetchall()
    return {
        "currency": currency,
        "opening_minor": before,
        "closing_minor": before + sum(row["amount_minor"] for row in rows),
        "lines": [line_told(row, with_reference=with_reference) for row in rows],
    }
