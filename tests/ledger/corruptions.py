"""Ways to break the books, and the checks that have to find each."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from ledger import accounts
from ledger.changes import Change, Leg
from tests.ledger.claim_corruptions import CLAIM_CORRUPTIONS

ONE_SIDED = [
    Change(
        key=f"made-up/{delta}",
        kind="fee",
        actor="mallory",
        legs=(Leg(account=accounts.own("EUR"), currency="EUR", delta=delta),),
        effective_on=date(2026, 3, 2),
    )
    for delta in (5, -5)
]
EMPTY = Change(key="made-up/fee", kind="fee", actor="mallory", effective_on=date(2026, 3, 2))
WRITE_OFF = EMPTY._replace(key="case/999/1", kind="case_writeoff")


class Corruption(NamedTuple):
    """A way to break the books as their superuser, past every trigger and grant."""

    story: str
    found_by: set[str]
    statements: tuple[str, ...]
    at_night: frozenset[str] = frozenset()
    """Those of the checks that cannot see it in what is new."""


TRANSACTION = """
    insert into transactions (key, digest, kind, outcome, effective_on, booked_at, actor)
    values ('KEY', decode('DIGEST', 'hex'), 'KIND', 'booked', '2026-03-02', now(), 'mallory')
"""
ENTRY = """
    insert into entries (account_id, seq, transaction_id, currency, delta, held, posted_after,
                         held_after)
    select a.id, b.seq + 1, t.id, 'EUR', DELTA, 0, b.posted + DELTA, 0
      from accounts a join balances b on b.account_id = a.id, transactions t
     where a.path = 'own/EUR' and t.key = 'KEY'
"""
BALANCE = """
    update balances b set CHANGE from accounts a where a.id = b.account_id and a.path = 'PATH'
"""
MOVE = (
    """insert into transitions (payment_id, seq, kind, before, after, at, actor, transaction_id)
       select id, seq + 1, kind, state, 'AFTER', now(), 'mallory', 1
         from payments where id = 'PAYMENT'""",
    """insert into outbox (event_id, payment_id, seq, tenant, kind, before, after, at)
       select id || '/' || seq + 1, id, seq + 1, tenant, kind, state, 'AFTER', now()
         from payments where id = 'PAYMENT'""",
    "update payments set state = 'AFTER', seq = seq + 1 where id = 'PAYMENT'",
)


def _transaction(change: Change) -> str:
    named = TRANSACTION.replace("KEY", change.key).replace("KIND", change.kind)
    return named.replace("DIGEST", change.digest().hex())


def _balance(change: str, path: str) -> str:
    return BALANCE.replace("CHANGE", change).replace("PATH", path)


def one_sided(change: Change) -> tuple[str, ...]:
    """Return a transaction with one entry, of which everything else fits."""
    delta = str(change.legs[0].delta)
    return (
        _transaction(change),
        ENTRY.replace("KEY", change.key).replace("DELTA", delta),
        _balance(f"posted = posted + {delta}, seq = seq + 1", "own/EUR"),
    )


def _one_more_move(payment_id: str, after: str) -> tuple[str, ...]:
    """Return a further transition, consistent in itself, that nothing in the books goes with."""
    return tuple(step.replace("PAYMENT", payment_id).replace("AFTER", after) for step in MOVE)


def stored_event(taken: str, *, applied: bool) -> str:
    """Return the storing of an event that a workflow took so long ago."""
    return f"""
        insert into partner_events (partner, event_id, kind, detail, occurred_at, raw, headers,
                                    taken_at, applied_at)
        values ('bank', 'evt_{taken}_{applied}', 'paid', '', now(), '', '{{}}',
                now() - interval '{taken}', {"now()" if applied else "null"})
    """  # noqa: S608  a test's own words


# Two checks follow from others by arithmetic, so what breaks one of them breaks another too.
CORRUPTIONS = (
    Corruption(
        "a balance is raised",
        {"trial_balance", "balances_equal_entries"},
        (_balance("posted = posted + 1", "own/EUR"),),
        at_night=frozenset({"balances_equal_entries"}),  # it has no new entry
    ),
    Corruption(
        "money is shifted between two balances",
        {"balances_equal_entries"},
        (
            _balance("posted = posted + 1", "own/EUR"),
            _balance("posted = posted - 1", "cost/bank/EUR"),
        ),
    ),
    Corruption(
        "the balance after an entry is rewritten",
        {"running_balances"},
        (
            "update entries set posted_after = posted_after + 1 from accounts a"
            " where a.id = account_id and a.path = 'fees/payout/EUR' and seq = 1",
        ),
    ),
    Corruption(
        "two transactions have one side each",
        {"transactions_balance"},
        (*one_sided(ONE_SIDED[0]), *one_sided(ONE_SIDED[1])),
    ),
    Corruption(
        "a balance is of another currency than its account",
        {"currencies_agree"},
        (_balance("currency = 'USD'", "own/EUR"),),
        at_night=frozenset({"currencies_agree"}),
    ),
    Corruption(
        "a deposit is rewritten in another currency",
        {"currencies_agree", "digests_agree"},
        (
            "update entries set currency = 'USD' where transaction_id ="
            " (select id from transactions where key = 'deposit/bank/evt_1')",
        ),
    ),
    Corruption(
        "a transaction is deleted and its entries stay",
        {"entries_have_transactions"},
        ("delete from transactions where key = 'deposit/bank/evt_2'",),
    ),
    Corruption(
        "a balance is below its floor",
        {"bounds_hold_now"},
        (
            "alter table balances drop constraint balances_floor",
            _balance("floor = 1", "wallet/zenith/JPY"),
        ),
    ),
    Corruption(
        "a balance was below its floor once",
        {"bounds_held_always"},
        (_balance("floor = 2000", "wallet/zenith/EUR"),),
    ),
    Corruption(
        "a fee is booked without entries",
        {"money_moves_have_entries"},
        (_transaction(EMPTY),),
    ),
    Corruption(
        "a balance says that more is held",
        {"holds_equal_held", "balances_equal_entries"},
        (_balance("held = held + 1", "own/EUR"),),
        at_night=frozenset({"balances_equal_entries"}),
    ),
    Corruption(
        "a hold says that some of it came back",
        {"holds_follow_entries"},
        (
            "update holds set returned = 1 where transaction_id ="
            " (select id from transactions where key = 'po_settled/hold')",
        ),
    ),
    Corruption(
        "a reserved payout holds another amount than its own",
        {"held_while_undecided"},
        ("update payments set amount_minor = amount_minor + 1 where id = 'po_held'",),
    ),
    Corruption(
        "a payout ends and its hold stays",
        {"held_while_undecided"},
        _one_more_move("po_held", "cancelled"),
    ),
    Corruption(
        "a payout is reserved and holds nothing",
        {"held_while_undecided"},
        _one_more_move("po_waiting", "reserved"),
    ),
    Corruption(
        "an accepted payout is of another amount than is in transit",
        {"transit_equals_submitted"},
        ("update payments set amount_minor = amount_minor + 1 where id = 'po_accepted'",),
    ),
    Corruption(
        "a settled payout is of another amount than was settled",
        {"settled_exactly_once"},
        ("update payments set amount_minor = amount_minor + 1 where id = 'po_settled'",),
    ),
    Corruption(
        "a transfer is returned, which no transfer can be",
        {"moves_are_allowed"},
        _one_more_move("tr_booked", "returned"),
    ),
    Corruption(
        "a move does not begin where the one before it has ended",
        {"moves_follow_one_another"},
        (
            "update transitions set before = 'scheduled' where payment_id = 'po_held' and seq = 2",
            "update outbox set before = 'scheduled' where payment_id = 'po_held' and seq = 2",
        ),
    ),
    Corruption(
        "a payment's state is rewritten",
        {"state_is_last_move"},
        ("update payments set state = 'denied' where id = 'po_voided'",),
    ),
    Corruption(
        "an event to publish is left out",
        {"outbox_matches_moves"},
        ("delete from outbox where event_id = 'po_settled/2'",),
    ),
    Corruption(
        "an event to publish tells of what never happened",
        {"outbox_matches_moves"},
        ("update outbox set after = 'failed' where event_id = 'po_settled/5'",),
    ),
    Corruption(
        "the evidence of a deposit is taken away",
        {"nostro_has_evidence"},
        ("update transactions set evidence_id = null where key = 'deposit/bank/evt_1'",),
    ),
    Corruption(
        "the evidence of a settlement is taken away",
        {"outcomes_have_evidence"},
        (
            "update transitions set evidence_id = null"
            " where payment_id = 'po_settled' and after = 'settled'",
        ),
    ),
    Corruption(
        "an event that a workflow has taken is forgotten",
        {"taken_events_are_applied"},
        (stored_event("6 minutes", applied=False),),
    ),
    Corruption(
        "a case is closed and its money stays in suspense",
        {"suspense_has_cases"},
        ("update cases set closed_at = now(), closed_by = 'mallory' where kind = 'contradiction'",),
    ),
    Corruption(
        "money is written off and nobody has said so",
        {"case_money_has_two_people", "money_moves_have_entries"},
        (_transaction(WRITE_OFF),),
    ),
    Corruption(
        "a payout is returned and nothing has come back",
        {"returns_within_payment", "outcomes_have_evidence"},
        _one_more_move("po_settled", "returned"),
    ),
    Corruption(
        "a second debit passes for the payment's own",
        {"partner_lines_within_payment"},
        (
            "insert into partner_lines select 'bank', 'bl_' || n, 'po_settled', 'paid', 10000, n,"
            " true, true from generate_series(1, 2) n",
        ),
    ),
    Corruption(
        "an event is set aside and nobody was told",
        {"set_aside_events_have_cases"},
        (
            stored_event("1 minute", applied=False),
            "update partner_events set set_aside_at = now()",
        ),
    ),
    Corruption(
        "a transaction is given to another payment",
        {"digests_agree"},
        ("update transactions set payment_id = 'po_yen' where key = 'deposit/bank/evt_2'",),
    ),
    *(Corruption(*each) for each in CLAIM_CORRUPTIONS),
)
