"""Ways past the gate: story, the checks that find it, and the statements that do it."""

from __future__ import annotations


def pause(scope: str, name: str) -> str:
    """Return the making up of a pause that was in force all the time."""
    return f"""
        insert into pauses (scope, name, paused_at, paused_by, reason)
        values ('{scope}', '{name}', '-infinity', 'mallory', 'none')
    """  # noqa: S608  a test's own words


CLAIM_CORRUPTIONS: tuple[tuple[str, set[str], tuple[str, ...]], ...] = (
    (
        "a payout was claimed without the approval that it needed",
        {"claims_were_approved"},
        (
            """update payments set terms =
                   '{"approvals": {"number": 1, "role": "approve-l1", "version": "v7"}}'
                where id = 'po_settled'""",
        ),
    ),
    (
        "a payout left while its rail was paused",
        {"nothing_left_during_a_pause"},
        (pause("partner", "bank"),),
    ),
    (
        "a transfer was booked while its tenant was paused",
        {"nothing_left_during_a_pause"},
        (pause("tenant", "main"), "delete from attempts where payment_id like 'po_%'"),
    ),
    (
        "more was claimed under a limit than is counted",
        {"caps_count_their_claims"},
        (
            "insert into caps (id, currency, per_day_minor, set_at, set_by, reason)"
            " overriding system value values (7, 'EUR', 1, now(), 'mallory', 'none')",
            "insert into cap_uses (cap_id, day, amount_minor)"
            " values (7, (now() at time zone 'UTC')::date, 1)",
        ),
    ),
)
