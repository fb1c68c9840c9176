"""The life of a payout after it was taken: steps that wait in the file until they are due."""

from __future__ import annotations

from typing import Any

from partners.simulator.bank.book import book
from partners.simulator.bank.events import tell_payout
from partners.simulator.bank.misbehaviour import Quirks
from partners.simulator.bank.settings import Tuning
from partners.simulator.bank.store import Tx

_STEPS_AT_ONCE = 100


def schedule(tx: Tx, now: float, tuning: Tuning, payout: int, quirks: Quirks) -> None:
    """Write down the steps of a payout that was just taken, and do those that are due at once."""
    for delay, action in _steps(quirks, tuning):
        if delay == 0:
            _perform(tx, now, tuning, payout, action)
        else:
            tx.execute(
                "INSERT INTO steps (payout, action, due_at) VALUES (?, ?, ?)",
                (payout, action, now + delay),
            )


def perform_due(tx: Tx, now: float, tuning: Tuning) -> tuple[int, float | None]:
    """Do the steps that are due; return how many, and when the next one is, if there is one."""
    due = tx.execute(
        "SELECT * FROM steps WHERE due_at <= ? ORDER BY due_at, id LIMIT ?", (now, _STEPS_AT_ONCE)
    ).fetchall()
    for step in due:
        _perform(tx, now, tuning, step["payout"], step["action"])
        tx.execute("DELETE FROM steps WHERE id = ?", (step["id"],))
    next_due: float | None = tx.execute("SELECT min(due_at) FROM steps").fetchone()[0]
    return len(due), next_due


def payout_row(tx: Tx, payout: int) -> Any:
    """Return a payout's row."""
    return tx.execute("SELECT * FROM payouts WHERE id = ?", (payout,)).fetchone()


def change(tx: Tx, payout: int, **facts: Any) -> Any:
    """Set columns of a payout and return its row; the names come from this package only."""
    assignments = ", ".join(f"{name} = :{name}" for name in facts)
    tx.execute(
        f"UPDATE payouts SET {assignments} WHERE id = :payout",  # noqa: S608  our own names
        {**facts, "payout": payout},
    )
    return payout_row(tx, payout)


def _steps(quirks: Quirks, tuning: Tuning) -> list[tuple[float, str]]:
    """Return what will happen to a payout: seconds from now, and the action."""
    pay = 0.0 if quirks.books_at_once() else tuning.pay_seconds
    rollback, correction = tuning.rollback_seconds, tuning.correction_seconds
    back = pay + tuning.return_days * tuning.day_seconds
    plans: dict[str | None, list[tuple[float, str]]] = {
        "accepted-then-failed": [(tuning.pay_seconds, "fail")],
        "slow-paid": [(tuning.slow_paid_seconds, "pay")],
        "status-rolled-back": [
            (pay, "pay"),
            (pay + rollback, "tell_pending"),
            (pay + 2 * rollback, "tell_paid"),
        ],
        "status-rolled-back-for-good": [(pay, "pay"), (pay + rollback, "tell_pending")],
        "paid-then-returned": [(pay, "pay"), (back, "give_back")],
        "paid-then-returned-less-fee": [(pay, "pay"), (back, "give_back_less_fee")],
        "failed-but-paid": [(pay, "pay_but_tell_failed"), (pay + correction, "tell_paid")],
        "paid-but-told-failed": [(pay, "pay"), (pay + correction, "tell_failed")],
    }
    return plans.get(quirks.lifecycle, [(pay, "pay")])


def _perform(tx: Tx, now: float, tuning: Tuning, payout: int, action: str) -> None:
    row = payout_row(tx, payout)
    word, _, rest = action.partition("_")
    if row["truth"] == "pending" and word in {"pay", "fail"}:
        row = _end(tx, now, row, action)
    elif row["truth"] == "paid" and word == "tell":
        code = "other" if rest == "failed" else None
        row = change(tx, payout, told=rest, code=code)
    elif row["truth"] == "paid" and word == "give":
        fee_bps = tuning.return_fee_bps if rest == "back_less_fee" else 0
        row = _give_back(tx, now, row, fee_bps)
    else:  # cancelled before it was due, or never booked: nothing is left to do
        return
    tell_payout(tx, now, tuning, row, row["told"])


def _end(tx: Tx, now: float, row: Any, action: str) -> Any:
    """Book a pending payout, or fail it."""
    code = Quirks.model_validate_json(row["quirks"]).code or "account_closed"
    if action == "fail":
        return change(tx, row["id"], truth="failed", told="failed", code=code)
    facts = {"reference": row["reference"], "kind": "payout", "payout": row["id"]}
    line = book(tx, now, -row["amount_minor"], row["currency"], **facts)
    booked = {"line": line["seq"], "booked_at": line["booked_at"], "value_on": line["value_on"]}
    if action == "pay_but_tell_failed":
        return change(tx, row["id"], truth="paid", told="failed", code=code, **booked)
    return change(tx, row["id"], truth="paid", told="paid", **booked)


def _give_back(tx: Tx, now: float, row: Any, fee_bps: int) -> Any:
    """Credit a paid payout back, less a fee; a return of nothing is not made."""
    fee = max(1, row["amount_minor"] * fee_bps // 10_000) if fee_bps else 0
    fee = min(fee, row["amount_minor"] - 1)
    back = row["amount_minor"] - fee
    facts = {"reference": row["reference"], "kind": "payout_return", "payout": row["id"]}
    line = book(tx, now, back, row["currency"], **facts)
    return change(
        tx,
        row["id"],
        truth="returned",
        told="returned",
        code="account_closed",
        returned_minor=back,
        fee_minor=fee,
        line=line["seq"],
    )
