"""The battery's profile: production's promises with short delays, and how the banks lie."""

from __future__ import annotations

import hashlib

from partners.simulator.bank.misbehaviour import GROUP_OF

PASSWORD = "for-tests-only"
API_KEY = "battery-key"
WEBHOOK_SECRET = "whsec_YmF0dGVyeS1zZWNyZXQtb2YtMzItYnl0ZXMtbG9uZyE="
PEOPLE = ("ana", "ben", "dan", "ops")

RULES = """
approvals = [
    { number = 1, role = "approve-l1", currency = "GBP", amount_from_minor = 2_500_00 },
    { number = 2, role = "approve-l1", currency = "GBP", amount_from_minor = 5_000_00 },
]
fees = [
    { kind = "payout", currency = "EUR", fixed_minor = 20, rate_bps = 10 },
    { kind = "transfer", currency = "JPY", fixed_minor = 15 },
]
people = [
    { name = "ana", roles = ["approve-l1", "resolve"] },
    { name = "ben", roles = ["approve-l1", "resolve"] },
]
[delays]
approval_expires_after = 45
partner_call_timeout = 5
submit_for = 120
submit_again_after = 0.3
ask_again_after = [0.3, 0.6, 1, 2, 2, 3, 3, 4]
ask_for = 30
resends_max = 6
poll_after = 3
poll_every = 1
overdue_after = 45
"""
"""The battery's profile: the same promises as in production, with every delay made short."""

FROZEN_SECONDS = 8.0
"""How long a worker or gateway is stopped: longer than an activity may take, so that another one
runs it meanwhile."""

LAG_SECONDS = FROZEN_SECONDS + 2
"""After that long a bank's "not found" is a proof: the proxy holds nothing back for longer, and
nothing that a stopped worker was about to send comes later."""

BANK = {
    "BANK_API_KEY": API_KEY,
    "BANK_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "BANK_NOT_FOUND_SECONDS": "1.5",
    "BANK_SLOW_PAID_SECONDS": "3",
    "BANK_DAY_SECONDS": "0.3",
    "BANK_WEBHOOK_LATE_SECONDS": "2",
    "BANK_WEBHOOK_RETRY_SECONDS_MAX": "2",
    "BANK_HOLD_SECONDS": "6",
}

_MIX = {
    **{"other-payee-echo": 0.005, "other-reference-echo": 0.005},
    **{"reject": 0.02, "slow-accept": 0.01, "reset-before-booking": 0.02},
    **{"reset-after-booking": 0.03, "timeout-before-booking": 0.01, "timeout-after-booking": 0.02},
    **{"500-after-booking": 0.02, "500-without-booking": 0.02, "409-on-the-key": 0.01},
    **{"409-without-booking": 0.01, "429-seconds": 0.01, "429-date": 0.01, "429-absent": 0.01},
    **{"throttle-then-ok": 0.01, "200-empty": 0.01, "200-html": 0.01, "200-truncated": 0.01},
    **{"odd-2xx": 0.01, "202-empty": 0.01, "other-amount-echo": 0.01},
    **{"accepted-then-failed": 0.02, "slow-paid": 0.03, "status-rolled-back": 0.01},
    **{"webhook-lost": 0.04, "webhook-late": 0.03, "webhook-doubled": 0.005},
    **{"webhook-doubled-new-ids": 0.01, "webhook-out-of-order": 0.02, "webhook-before-reply": 0.02},
    **{"webhook-wrongly-signed": 0.02, "webhook-forged": 0.01, "not-found-for-a-while": 0.02},
}
MIX = {name: chance for name, chance in _MIX.items() if name in GROUP_OF}
"""What the banks do wrong by themselves; contradictions and returns are the plan's to order."""

MORE_LIES = 2.0
"""How much more all banks lie where a deliberate bug is to be caught with few payments."""
FEWER_UNKNOWNS = 0.4
"""The share of it for banks that can be asked nothing: each unknown there is work for people."""


def tokens() -> str:
    """Return the file of tokens: each person's is <name>-token."""
    text = ""
    for person in PEOPLE:
        digest = hashlib.sha256(f"{person}-token".encode()).hexdigest()
        roles = '["read", "operate", "admin", "approve-l1"]'
        text += f'[[tokens]]\nprincipal = "{person}"\nsha256 = "{digest}"\nroles = {roles}\n'
    return text
