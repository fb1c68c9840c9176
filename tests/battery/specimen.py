"""Specimens for tests of the battery itself: the evidence of one payment, and a report."""

from __future__ import annotations

import collections
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.program import ROOT
from tests.battery.case import Case, Findings
from tests.battery.evidence import BankBook, Told

BOOKED_AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


REQUEST = {
    "id": "po_1",
    "account": "wallet/acme/EUR",
    "amount": {"amount_minor": 1250, "currency": "EUR"},
}


def bank_file(folder: Path, *, debits: int) -> Path:
    """Make a bank's file in which one reference was debited so many times."""
    file = folder / f"bank_{debits}.sqlite"
    db = sqlite3.connect(file)
    db.executescript((ROOT / "partners/simulator/bank/schema.sql").read_text())
    for number in range(1, debits + 1):
        db.execute(
            "INSERT INTO payouts (id, reference, amount_minor, currency, beneficiary, truth, told,"
            " created_at, visible_at, quirks)"
            " VALUES (?, 'po_1-1', 1250, 'EUR', '{}', 'paid', 'paid', 'now', 0, '{}')",
            (number,),
        )
        db.execute(
            "INSERT INTO lines (booked_at, value_on, amount_minor, currency, balance_minor,"
            " reference, kind, payout)"
            " VALUES (?, '2026-11-02', -1250, 'EUR', 0, 'po_1-1', 'payout', ?)",
            (BOOKED_AT.isoformat(), number),
        )
    db.commit()
    db.close()
    return file


def a_case(bank: BankBook, *, state: str = "settled", told: str = "settled") -> Case:
    """Return the evidence of one payout that our side believes to be paid once."""
    payment: dict[str, Any] = {
        **{"id": "po_1", "kind": "payout", "state": state, "terms": {}, "content_hash": "h"},
        **{"amount_minor": 1250, "currency": "EUR", "created_by": "maker", "partner": "keyed"},
        "fee_minor": 21,
    }
    return Case(
        told={"po_1": Told(request=REQUEST, asked=True, acknowledged=True, end=told)},
        banks={"keyed": bank},
        payments={"po_1": payment},
        attempts={"po_1-1": {"payment_id": "po_1", "opened_at": BOOKED_AT}},
        approvals={},
        open_cases={},
        strays=collections.Counter(),
        strays_found=[],
        nostro={("po_1", "EUR"): -1250},
        totals={},
        ledger=[],
        holds=[],
    )


def figures_of(findings: Findings) -> dict[str, Any]:
    had = {"silent_K": [], "faults_missed": [], "max_time_to_detect": 1.0, "broken": []}
    had |= {"clean_payouts": {"blind": 100}, "clean_unknown": {"blind": 15}}
    counts = {"payments_attempted": 1_000, "invariants": {"INV-01": 0}, "rebuild_differences": 0}
    counts |= {"in_case": 0, "in_case_resolved": 60}
    counts |= {"hard_kills": 60, "per_K": {"K1": {"hard": 0, "soft": 3}}}
    counts |= {"detected": 10, "detected_late": 0}
    return {**findings.figures(), **counts, **had}
