"""What can be wrong with how people let money go: approvals, claims, pauses and decisions."""

from __future__ import annotations

from tests.checker.spoilt import HASH, SETTLED, Spoilt, on

BYPASS = {"approval_bypass"}


def paused(scope: str, name: str, since: str, until: str = "NULL") -> str:
    """Let something have been stopped from some moment on, each moment an SQL expression."""
    ended = f"{until}, 'ops', 'well again'" if until != "NULL" else "NULL, NULL, NULL"
    return (
        "INSERT INTO pauses (scope, name, paused_at, paused_by, reason, resumed_at, resumed_by,"
        f" resumed_reason) SELECT '{scope}', '{name}', {since}, 'ops', 'the bank calls', {ended}"
        " FROM attempts WHERE key = 'po_plain-1'"
    )


A_MOMENT = "interval '1 us'"

PEOPLE = (
    Spoilt(
        "an approval is for other content",
        {"INV-18"} | BYPASS,
        (on("approvals", f"content_hash = '{HASH}'", "principal = 'ana'"),),
    ),
    Spoilt(
        "an approval is for another version of the rule",
        {"INV-18"} | BYPASS,
        (on("approvals", "rule_version = 'old'", "principal = 'ana'"),),
    ),
    Spoilt(
        "an approval came after the payment had gone",
        {"INV-18"} | BYPASS,
        (on("approvals", "at = now() + interval '1 hour'", "principal = 'ana'"),),
    ),
    Spoilt(
        "whoever made the payment approved it",
        {"INV-18"} | BYPASS,
        (on("approvals", "principal = 'maker'", "principal = 'ana'"),),
    ),
    Spoilt(
        "one person approved under two spellings of a name",
        {"INV-18"} | BYPASS,
        (on("approvals", "principal = 'Ana'", "principal = 'ben'"),),
    ),
    Spoilt(
        "an approver was disabled before the claim",
        {"INV-18"} | BYPASS,
        (
            "INSERT INTO people_disabled (principal, at, disabled_by, reason)"
            " VALUES ('ana', '2000-01-01', 'chief', 'left')",
        ),
    ),
    Spoilt(
        "an attempt was opened apart from its claim",
        {"INV-19"} | BYPASS,
        (on("attempts", "opened_at = opened_at - interval '1 ms'", "key = 'po_plain-1'"),),
    ),
    Spoilt(
        "a login may claim past the function",
        {"INV-19"} | BYPASS,
        ("GRANT INSERT ON attempts TO bursar_writer",),
    ),
    Spoilt(
        "one person decided alone",
        {"INV-20", "INV-24"},
        (
            "INSERT INTO approvals SELECT id, 'ana', 'resolve_paid', 'resolve', content_hash,"
            " '', 'seen', 'gateway', created_at FROM payments WHERE id = 'po_plain'",
            on("transitions", "evidence_id = 'resolution/po_plain'", SETTLED),
        ),
    ),
    Spoilt(
        "one person alone took money out of suspense",
        {"INV-02", "INV-20", "wrong_balance"},
        ("DELETE FROM case_words WHERE principal = 'vera'",),
    ),
    Spoilt(
        "a payment has frozen that nobody needs to approve it",
        {"INV-18"} | BYPASS,
        (on("payments", "terms = terms - 'approvals'", "id = 'po_approved'"),),
    ),
    Spoilt(
        "an attempt was opened while everything was paused",
        {"INV-19"} | BYPASS,
        (paused("all", "", "opened_at", f"opened_at + {A_MOMENT}"),),
    ),
    Spoilt(
        "an attempt was sent while its partner was paused",
        {"INV-19"} | BYPASS,
        (paused("partner", "simulator", f"sent_at - {A_MOMENT}", f"sent_at + {A_MOMENT}"),),
    ),
    Spoilt(
        "an attempt was sent in a currency whose pause nobody has lifted",
        {"INV-19"} | BYPASS,
        (paused("currency", "EUR", "sent_at"),),
    ),
    Spoilt(
        "a transfer was booked while its tenant was paused",
        {"INV-19"} | BYPASS,
        (
            "INSERT INTO pauses (scope, name, paused_at, paused_by, reason, resumed_at, resumed_by,"
            " resumed_reason) SELECT 'tenant', 'main', at, 'ops', 'audit', at + interval '1 us',"
            " 'ops', 'done' FROM transitions WHERE payment_id = 'tr_plain' AND after = 'settled'",
        ),
    ),
)
