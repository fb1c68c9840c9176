"""The life of a payout after it was taken: steps that wait in the file until they are due."""

from __future__ import annotations

from typing import Any

from partners.simulator.bank.book import available_minor, book
from partners.simulator.bank.events import tell_payout
from partners.simulator.bank.misbehaviour import Quirks
from partners.simulator.bank.settings import Tuning
from partners.simulator.bank.store import Tx
from partners.simulator.bank.wire import line_name

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
        "partial-return": [(pay, "pay"), (back, "give_half")],
        "returned-in-two-parts": [
            (pay, "pay"),
            (back, "give_half"),
            (back + correction, "give_rest"),
        ],
        "returned-twice": [(pay, "pay"), (back, "give_back"), (back + correction, "give_back")],
        "return-before-paid": [
            (pay, "pay_silently"),
            (back, "give_back"),
            (back + correction, "late_paid"),
        ],
        "paid-twice": [(pay, "pay"), (pay + correction, "debit_again")],
        "phantom-debit": [(pay, "pay"), (pay + correction, "debit_nobody")],
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
    elif row["truth"] in {"paid", "returned"} and word == "give":
        row = _give_back(tx, now, row, rest, tuning)
    elif row["truth"] == "paid" and word == "debit":
        row = _debit_by_mistake(tx, now, row, rest)
    elif row["truth"] == "returned" and word == "late":
        _tell_paid_late(tx, now, tuning, row)
        return
    else:  # cancelled before it was due, or never booked: nothing is left to do
        return
    if row is not None and action != "pay_silently":
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


def _give_back(tx: Tx, now: float, row: Any, how: str, tuning: Tuning) -> Any:
    """Credit a paid payout back: whole, less a fee, or a part of it; a return of nothing is none.

    The payout then tells what this return has credited and kept, and not what came before it.
    """
    amount = row["amount_minor"]
    fee = max(1, amount * tuning.return_fee_bps // 10_000) if how == "back_less_fee" else 0
    fee = min(fee, amount - 1)
    half = max(1, amount // 2)
    back = {"half": half, "rest": amount - half}.get(how, amount - fee)
    if back == 0:
        return None
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


def _debit_by_mistake(tx: Tx, now: float, row: Any, how: str) -> Any:
    """Debit the account once more, under the payout's reference or one that nobody ever sent.

    The line belongs to no payout. None where the account has too little money for a mistake.
    """
    if available_minor(tx, row["currency"]) < row["amount_minor"]:
        return None
    again = how == "again"
    reference = row["reference"] if again else f"phantom_{row['id']:012d}"
    line = book(tx, now, -row["amount_minor"], row["currency"], reference=reference, kind="payout")
    if again:
        return change(tx, row["id"], line=line["seq"])
    copied = ("amount_minor", "currency", "beneficiary", "created_at", "visible_at")
    columns = ", ".join(copied)
    tx.execute(
        f"INSERT INTO payouts ({columns}, reference, truth, told, booked_at, value_on, line,"  # noqa: S608
        f" quirks) SELECT {columns}, ?, 'paid', 'paid', ?, ?, ?, ? FROM payouts WHERE id = ?",
        (
            reference,
            line["booked_at"],
            line["value_on"],
            line["seq"],
            Quirks().model_dump_json(),
            row["id"],
        ),
    )
    return payout_row(tx, tx.execute("SELECT last_insert_rowid()").fetchone()[0])


def _tell_paid_late(tx: Tx, now: float, tuning: Tuning, row: Any) -> None:
    """Tell only now, after its return, that a payout was paid: as it stood at that moment."""
    debit = tx.execute(
        "SELECT seq FROM lines WHERE payout = ? AND kind = 'payout'", (row["id"],)
    ).fetchone()
    as_it_was: dict[str, Any] = {"status": "paid", "line_id": line_name(debit["seq"])}
    as_it_was |= {"code": None, "returned_minor": None, "fee_minor": None}
    tell_payout(tx, now, tuning, row, "paid", **as_it_was)
