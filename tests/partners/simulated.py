"""The simulated bank's words, written out by hand, and adapters that are answered with them."""

from __future__ import annotations

import json
from typing import Any

from bursar.beneficiaries import masked
from partners.port import Attempt
from partners.simulator.adapter import Simulator
from partners.simulator.rehearsal import SECRET
from partners.simulator.settings import Mode, Settings
from partners.transport import Below
from tests.partners.attempts import an_attempt

ATTEMPT = an_attempt()


def settings(**more: Any) -> Settings:
    """Return settings of an adapter whose bank is not there."""
    given = {"url": "http://127.0.0.1:9", "api_key": "key", "webhook_secret": SECRET}
    return Settings(**{**given, **more})


def the_bank(below: Below, mode: Mode = Mode.KEYS_AND_LOOKUP, **more: Any) -> Simulator:
    """Return an adapter whose requests end in `below`."""
    return Simulator(settings(mode=mode, **more), below)


def payout(attempt: Attempt = ATTEMPT, **changes: Any) -> dict[str, Any]:
    """Return a payout as the bank tells it of an attempt."""
    payee = attempt.beneficiary
    told = {
        "id": "bp_000000000001",
        "reference": attempt.key,
        "status": "pending",
        "amount_minor": attempt.amount.amount_minor,
        "currency": attempt.amount.currency,
        "beneficiary": {
            "kind": payee.kind,
            "name": payee.name,
            "account": masked(payee.account()),
        },
        "code": None,
        "returned_minor": None,
        "fee_minor": None,
        "created_at": "2026-01-31T10:00:00.123456Z",
        "booked_at": None,
        "value_on": None,
        "line_id": None,
    }
    return {**told, **changes}


def raw(value: Any) -> bytes:
    """Return a body as the bank would write it."""
    return json.dumps(value).encode()


PAID = payout(status="paid", value_on="2026-01-31", line_id="bl_1")
RETURNED = payout(status="returned", value_on="2026-01-31", returned_minor=1250, fee_minor=0)
