"""Each rule can fail: a copy of an honest life in which one thing is wrong is found out for it."""

from __future__ import annotations

import json

import pytest

from checker.rulebook import FIGURES, INVARIANTS, SUMS
from tests.checker.conftest import Copy, found
from tests.checker.spoilt import (
    EARLY,
    HASH,
    IBAN,
    MONEY,
    SETTLED,
    UNMATCHED,
    Spoilt,
    an_entry,
    on,
    second_payout,
    told,
)
from tests.checker.spoilt_people import PEOPLE
from tests.checker.spoilt_phantoms import PHANTOMS

MISLED = {"INV-23", "misled_client"}
ALWAYS = {"partner_breach"}
"""In the honest life already: a partner that paid after its own no, and what nobody asked for."""

SPOILT = (
    Spoilt(
        "an entry moves a cent more",
        {"INV-01", "INV-02", "INV-05", "INV-25"} | MONEY,
        (an_entry("delta = delta + 1", of="tr_plain/post"),),
    ),
    Spoilt(
        "two balances are off, in balance",
        {"INV-02", "INV-25"} | MONEY,
        (
            "UPDATE balances SET posted = posted + CASE path WHEN 'wallet/acme/EUR' THEN 5"
            " ELSE -5 END FROM accounts WHERE id = account_id"
            " AND path IN ('wallet/acme/EUR', 'wallet/bolt/EUR')",
        ),
    ),
    Spoilt(
        "an account was below its floor",
        {"INV-03"} | MONEY,
        (
            "ALTER TABLE balances DROP CONSTRAINT balances_floor",
            "UPDATE balances SET floor = posted + 1 FROM accounts"
            " WHERE id = account_id AND path = 'wallet/bolt/EUR'",
        ),
    ),
    Spoilt(
        "a balance is in another currency",
        {"INV-04"},
        (
            "UPDATE balances b SET currency = 'USD' FROM accounts"
            " WHERE id = account_id AND path = 'own/EUR'",
        ),
    ),
    Spoilt("entries can be changed", {"INV-05"}, ("ALTER TABLE entries DISABLE TRIGGER frozen",)),
    Spoilt(
        "a login may write the journal",
        {"INV-05"},
        ("GRANT UPDATE ON transitions TO bursar_writer",),
    ),
    Spoilt(
        "a transaction is of another kind than was written",
        {"INV-05"},
        (on("transactions", "kind = 'hold'", "key = 'tr_plain/post'"),),
    ),
    Spoilt(
        "a correction names nothing",
        {"INV-05"},
        (on("transactions", "reverses = -7", "key = 'tr_plain/post'"),),
    ),
    Spoilt(
        "a bank has a payment twice",
        {"INV-06", "doubled"},
        bank=(
            second_payout("po_plain-1"),
            "UPDATE tries SET count = 2 WHERE reference = 'po_plain-1'",
        ),
    ),
    Spoilt("a bank has what was never claimed", {"INV-07"}, bank=(second_payout("po_ghost-1"),)),
    Spoilt(
        "a bank had it before the claim",
        {"INV-07"},
        bank=(
            "UPDATE payouts SET created_at = '2020-01-01T00:00:00.000000Z'"
            " WHERE reference = 'po_plain-1'",
        ),
    ),
    Spoilt(
        "another body was claimed",
        {"INV-07"},
        (on("attempts", f"wire_hash = '{HASH}'", "key = 'po_plain-1'"),),
    ),
    Spoilt(
        "two attempts are live",
        {"INV-07", "INV-08"},
        (
            "DROP INDEX attempts_one_live",
            "INSERT INTO attempts (key, payment_id, ordinal, partner, wire_hash, opened_at)"
            " SELECT 'po_plain-2', payment_id, 2, partner, wire_hash, now() FROM attempts"
            " WHERE key = 'po_plain-1'",
        ),
    ),
    Spoilt(
        "it was sent again without a proof of absence",
        {"INV-08"},
        ("DELETE FROM partner_words WHERE kind = 'not_found' AND attempt_key = 'po_resent-1'",),
    ),
    Spoilt(
        "a bank's line is somebody else's",
        UNMATCHED,
        bank=(
            "UPDATE lines SET reference = 'wallet/other/EUR' WHERE kind = 'credit'"
            " AND reference = 'wallet/bolt/EUR'",
        ),
    ),
    Spoilt(
        "an end has no evidence",
        {"INV-10", "INV-24"},
        (on("transitions", "evidence_id = NULL", SETTLED),),
    ),
    Spoilt(
        "the evidence of an end is not there",
        {"INV-10", "INV-24"},
        (on("transitions", "evidence_id = 'event/none'", SETTLED),),
    ),
    Spoilt(
        "a bank pays another payee",
        {"INV-11", "wrong_amount"},
        bank=(
            "UPDATE payouts SET beneficiary = replace(beneficiary, 'Anna', 'Hans')"
            " WHERE reference = 'po_plain-1'",
        ),
    ),
    Spoilt(
        "a bank was sent another order",
        {"INV-11", "wrong_amount"},
        bank=(on("keys", f"body_hash = '{HASH}'", "key = 'po_plain-1'"),),
    ),
    Spoilt(
        "a request was changed after it was hashed",
        {"INV-07", "INV-11", "wrong_amount"},
        (
            on(
                "payments",
                "request = jsonb_set(request, '{reference}', '\"x\"')",
                "id = 'po_plain'",
            ),
        ),
    ),
    Spoilt(
        "a move is not allowed",
        {"INV-12", "INV-22", "INV-24"},
        (
            "UPDATE transitions SET before = 'scheduled'"
            " WHERE payment_id = 'po_refused' AND seq = 2",
        ),
    ),
    Spoilt(
        "a payment is not where its last move led",
        {"INV-12", "INV-25"},
        (on("payments", "state = 'expired'", "id = 'po_denied'"),),
    ),
    Spoilt(
        "a payment waits beyond its time",
        {"INV-13", "stuck_without_case"} | MISLED,
        (
            "DELETE FROM transitions WHERE payment_id = 'po_expired' AND after = 'expired'",
            "DELETE FROM outbox WHERE payment_id = 'po_expired' AND after = 'expired'",
            "UPDATE payments SET state = 'awaiting_approval', seq = seq - 1,"
            " terms = jsonb_set(terms, '{approve_by}', '\"2020-01-01T00:00:00Z\"')"
            " WHERE id = 'po_expired'",
        ),
    ),
    Spoilt(
        "a person is waited for and was never called",
        {"INV-02", "INV-12", "INV-13", "INV-21", "INV-22", "INV-24", "INV-25"}
        | {"orphan_hold", "stuck_without_case"}
        | MISLED
        | MONEY,
        (
            "DELETE FROM transitions WHERE payment_id = 'po_found' AND seq > 4",
            "DELETE FROM outbox WHERE payment_id = 'po_found'",
            "UPDATE transitions SET after = 'in_review', before = 'submitting'"
            " WHERE payment_id = 'po_found' AND seq = 4",
            "UPDATE payments SET state = 'in_review' WHERE id = 'po_found'",
        ),
    ),
    Spoilt(
        "a payment went to people, and nobody was called",
        {"INV-12", "INV-13", "INV-22", "INV-24", "stuck_without_case"},
        (
            "DELETE FROM outbox WHERE payment_id = 'po_found'",
            "UPDATE transitions SET after = 'in_review' WHERE payment_id = 'po_found' AND seq = 4",
            "UPDATE transitions SET before = 'in_review' WHERE payment_id = 'po_found' AND seq = 5",
        ),
    ),
    Spoilt(
        "a hold outlives its payment",
        {"INV-15", "INV-25", "orphan_hold"},
        (
            "UPDATE holds SET captured = captured - 1 WHERE transaction_id ="
            " (SELECT id FROM transactions WHERE key = 'po_plain/hold')",
        ),
    ),
    Spoilt(
        "a hold gave more than it had",
        {"INV-15", "INV-25"},
        (
            "ALTER TABLE holds DROP CONSTRAINT holds_spent_once",
            "UPDATE holds SET returned = captured + 1 WHERE transaction_id ="
            " (SELECT id FROM transactions WHERE key = 'po_plain/hold')",
        ),
    ),
    Spoilt(
        "a return names no original",
        {"INV-05", "INV-16", "INV-25"},
        (
            "UPDATE entries e SET hold_id = NULL FROM transactions t WHERE t.id = transaction_id"
            " AND t.kind = 'return'",
        ),
    ),
    Spoilt(
        "what was told as cancelled is paid",
        {"INV-07", "INV-17"},
        bank=(second_payout("po_cancelled-1"),),
    ),
    Spoilt(
        "an event was never applied",
        {"INV-21"},
        (on("partner_events", "applied_at = NULL", "payment_id = 'po_plain' AND kind = 'paid'"),),
    ),
    Spoilt(
        "a message that came twice is two events",
        {"INV-21"},
        (
            "INSERT INTO partner_events OVERRIDING SYSTEM VALUE"
            " SELECT (e).* FROM (SELECT jsonb_populate_record("
            "  e, jsonb_build_object('id', 1000000, 'event_id', e.event_id || '-again')) AS e"
            " FROM partner_events e WHERE payment_id = 'po_plain' AND kind = 'paid') AS again",
        ),
    ),
    Spoilt(
        "an event can be stored twice",
        {"INV-21"},
        ("ALTER TABLE partner_events DROP CONSTRAINT partner_events_once",),
    ),
    Spoilt(
        "an event that says paid was set aside",
        {"INV-21"},
        (
            "INSERT INTO partner_events OVERRIDING SYSTEM VALUE"
            " SELECT (e).* FROM (SELECT jsonb_populate_record(e, jsonb_build_object('id', 1000000,"
            "  'event_id', 'once more', 'payment_id', 'po_rejected')) AS e"
            " FROM partner_events e WHERE payment_id = 'po_plain' AND kind = 'paid') AS another",
        ),
    ),
    Spoilt(
        "a move is left out of the outbox",
        {"INV-22"},
        ("DELETE FROM outbox WHERE event_id = 'po_plain/2'",),
    ),
    Spoilt(
        "the outbox tells another move",
        {"INV-22"},
        ("UPDATE outbox SET after = 'failed' WHERE event_id = 'po_plain/2'",),
    ),
    Spoilt(
        "a client was told what never was",
        MISLED,
        told=(told("status", "po_denied", state="scheduled"),),
    ),
    Spoilt(
        "a client was told paid, and the bank has not paid",
        MISLED,
        told=(told("result", "po_rejected", state="settled"),),
    ),
    Spoilt(
        "a move was made by another than its record says",
        {"INV-24"},
        (on("transitions", "actor = 'eve'", "payment_id = 'po_plain' AND after = 'submitting'"),),
    ),
    Spoilt(
        "a case was closed without a name",
        {"INV-24"},
        ("UPDATE cases SET closed_at = now(), closed_by = '', resolution = 'x'",),
    ),
    Spoilt(
        "an entry states a wrong balance",
        {"INV-25"},
        (an_entry("posted_after = posted_after + 1", of="tr_plain/post"),),
    ),
    Spoilt(
        "the same request was made twice",
        {"INV-26"},
        told=(told("start", "po_plain", existed=False), told("start", "po_plain", existed=False)),
    ),
    Spoilt(
        "other content was taken for the same",
        {"INV-26"},
        told=({**told("start", "po_plain", existed=True), "request": {"amount_minor": 99}},),
    ),
    Spoilt(
        "the same content was refused as another",
        {"INV-26"},
        told=(
            {
                **told("start", "po_plain", ok=False, error="PaymentConflict"),
                "request": {"amount_minor": 12_50, "currency": "EUR"},
            },
        ),
    ),
    Spoilt(
        "our nostro account is not the bank's balance",
        {"INV-27"} | MONEY,
        bank=("UPDATE balances SET booked_minor = booked_minor + 1 WHERE currency = 'EUR'",),
    ),
    Spoilt(
        "a tenant's payment moves another's money",
        {"INV-29"},
        (on("accounts", "tenant = 'other'", "path = 'wallet/bolt/EUR'"),),
    ),
    Spoilt(
        "an account number stands in a note",
        {"INV-30"},
        (
            "INSERT INTO notes (payment_id, key, actor, kind, detail)"
            f" VALUES ('po_plain', 'k', 'ana', 'remark', 'paid to {IBAN}, I think')",
        ),
    ),
    Spoilt(
        "a request that was taken is gone",
        {"lost"},
        told=(told("start", "po_gone", existed=False),),
    ),
    Spoilt(
        "a bank's line has another amount",
        {"wrong_amount", "INV-27"} | UNMATCHED,
        bank=("UPDATE lines SET amount_minor = amount_minor - 1 WHERE reference = 'po_plain-1'",),
    ),
    Spoilt(
        "money is held for a payment that has ended",
        {"INV-15", "INV-25", "orphan_hold"},
        (
            "INSERT INTO holds (transaction_id, account_id, amount) SELECT t.id, a.id, 7"
            " FROM transactions t, accounts a WHERE t.key = 'po_denied/denied'"
            " AND a.path = 'wallet/acme/EUR'",
        ),
    ),
    EARLY,
    *PEOPLE,
    *PHANTOMS,
)


@pytest.mark.parametrize("spoilt", SPOILT, ids=[spoilt.name for spoilt in SPOILT])
async def test_what_is_spoilt_is_found_and_nothing_else(copy: Copy, spoilt: Spoilt) -> None:
    if spoilt.sql:
        await copy.sql(*spoilt.sql)
    if spoilt.bank:
        copy.bank_sql(*spoilt.bank)
    for line in spoilt.told:
        copy.tell(**line)
    report = await copy.report()
    assert found(report) - ALWAYS == spoilt.found, json.dumps(report.examples, indent=1)


async def test_what_waits_for_the_end_of_a_pause_is_not_silent_and_long_after_it_is(
    copy: Copy,
) -> None:
    await copy.sql(
        "DELETE FROM transitions WHERE payment_id = 'po_cancelled' AND after = 'cancelled'",
        "UPDATE payments SET state = 'scheduled', seq = seq - 1, terms = jsonb_set(terms,"
        " '{execute_at}', '\"2020-01-01T00:00:00Z\"') WHERE id = 'po_cancelled'",
    )
    assert "INV-13" in found(await copy.report())
    await copy.sql(
        "INSERT INTO pauses (scope, name, paused_at, paused_by, reason)"
        " VALUES ('currency', 'GBP', now(), 'ops', 'a'), ('currency', 'EUR', now(), 'ops', 'b')"
    )
    assert "INV-13" not in found(await copy.report())
    for lifted_at, is_stuck in (("now()", False), ("now() - interval '1 day'", True)):
        await copy.sql(
            f"UPDATE pauses SET paused_at = {lifted_at} - interval '1 hour', resumed_by = 'ops',"
            f" resumed_at = {lifted_at}, resumed_reason = 'c' WHERE name = 'EUR'"
        )
        assert ("INV-13" in found(await copy.report())) == is_stuck


def test_every_rule_has_something_that_it_finds() -> None:
    proven = set[str]().union(*(spoilt.found for spoilt in SPOILT))
    rules = {rule.name for rule in (*INVARIANTS, *FIGURES)} | SUMS.keys()
    assert rules - proven == {"INV-14"}, "that one is proven in test_sources.py"
