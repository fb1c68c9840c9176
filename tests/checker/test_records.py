"""Records call the right person, tell everything, and know the first send: INV-19, 21, 22.

Each test changes the rows of an honest life in memory, and looks at one rule alone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from checker.facts import Facts
from checker.rows import Pause, Transaction
from checker.rules import pauses, records


def set_aside(facts: Facts, kind: str, key: str, *, redrives: int = 0) -> Facts:
    """Let the event that says po_plain is paid be set aside, with a case opened by some key."""
    row = next(e for e in facts.events if e.payment_id == "po_plain" and e.kind == "paid")
    aside = row._replace(applied_at=None, set_aside_at=facts.now, redrives=redrives)
    made = facts.transactions[0]._replace(id=-1, key=key.format(id=row.id))
    case = facts.cases[0]._replace(payment_id="po_plain", kind=kind, transaction_id=-1)
    return replace(
        facts,
        events=[aside if event.id == row.id else event for event in facts.events],
        transactions=[*facts.transactions, made],
        cases=[*facts.cases, case],
    )


@pytest.mark.parametrize(
    ("kind", "key", "redrives", "silent"),
    [
        ("event_set_aside", "event/{id}/set_aside/0", 0, True),
        ("event_set_aside", "event/{id}/set_aside/1", 1, True),
        ("event_set_aside", "event/{id}/set_aside/0", 1, False),
        ("overdue", "event/{id}/set_aside/0", 0, False),
        ("event_set_aside", "event/0/set_aside/0", 0, False),
    ],
)
def test_inv21_an_event_that_is_set_aside_has_a_case_of_its_own(
    facts: Facts, kind: str, key: str, redrives: int, silent: bool
) -> None:
    assert not list(records.events_once(facts))
    spoilt = set_aside(facts, kind, key, redrives=redrives)
    assert (not list(records.events_once(spoilt))) == silent


def told_paid(facts: Facts, kind: str, *, by: str, what: str = "case") -> Facts:
    """Let an event have said that po_denied is paid, and a case be open that is by an event."""
    row = next(e for e in facts.events if e.payment_id == "po_plain" and e.kind == "paid")
    denied = facts.payment["po_denied"]
    paid = row._replace(
        id=-1,
        event_id="says_paid",
        payment_id="po_denied",
        line_ref="line_x",
        amount_minor=denied.amount_minor,
        currency=denied.currency,
        message_id=None,
    )
    twin = paid._replace(id=-2, event_id="says_so_too")
    made: Transaction = facts.transactions[0]._replace(
        id=-1, kind=what, evidence_id=f"event/{by}", actor=f"partner:{paid.partner}"
    )
    case = facts.cases[0]._replace(payment_id="po_denied", kind=kind, transaction_id=-1)
    return replace(
        facts,
        events=[*facts.events, paid, twin],
        transactions=[*facts.transactions, made],
        cases=[*facts.cases, case],
    )


@pytest.mark.parametrize(
    ("kind", "by", "what", "silent"),
    [
        ("contradiction", "says_paid", "case", True),
        ("mismatch", "says_so_too", "case", True),
        ("contradiction", "none", "paid_after_failed", True),
        ("contradiction", "none", "case", False),
        ("overdue", "says_paid", "case", False),
        ("not_approved", "none", "case", False),
    ],
)
def test_inv21_only_a_case_about_this_very_paid_answers_for_it(
    facts: Facts, kind: str, by: str, what: str, silent: bool
) -> None:
    spoilt = told_paid(facts, kind, by=by, what=what)
    assert (not list(records.events_once(spoilt))) == silent


def test_inv22_a_payment_of_which_nothing_is_told_is_found(facts: Facts) -> None:
    assert facts.outbox
    assert not list(records.outbox_tells_all(facts))
    for told in (
        [row for row in facts.outbox if row.payment_id != "po_plain"],
        [row for row in facts.outbox if row.seq > 1],
    ):
        found = {finding.where for finding in records.outbox_tells_all(replace(facts, outbox=told))}
        assert "po_plain" in found


def test_inv22_nothing_is_told_at_all(facts: Facts) -> None:
    found = {finding.where for finding in records.outbox_tells_all(replace(facts, outbox=[]))}
    assert found == facts.life_of.keys()


def test_inv19_a_first_send_while_all_was_paused_is_found_after_a_second_one(
    facts: Facts,
) -> None:
    first = facts.attempt["po_resent-1"].first_sent_at
    assert first is not None
    assert first != facts.attempt["po_resent-1"].sent_at
    moment = timedelta(microseconds=1)
    pause = Pause("all", "", first - moment, first + moment)
    assert not list(pauses.kept(facts))
    assert [found.where for found in pauses.kept(replace(facts, pauses=[pause]))] == ["po_resent-1"]


def test_inv19_a_key_that_counts_as_old_as_its_payment_was_not_sent_in_a_pause_of_before(
    facts: Facts,
) -> None:
    """Of books that were restored, the age of a key is no send: nothing was claimed yet."""
    resent = facts.attempt["po_resent-1"]
    before, moment = resent.opened_at - timedelta(seconds=1), timedelta(microseconds=1)
    pause = Pause("all", "", before - moment, before + moment)
    aged = resent._replace(first_sent_at=before)
    attempts = [aged if each is resent else each for each in facts.attempts]
    assert not list(pauses.kept(replace(facts, attempts=attempts, pauses=[pause])))
