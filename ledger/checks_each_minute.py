"""How each check runs every minute: over which part of the books, and what it leaves to the night.

What no check over a part can see is common to them all: a row that somebody with every right has
changed, added or deleted later, and that no new transaction touches. Where a sum over all of the
books follows from what was checked part by part, it is not taken: who has seen that each new entry
follows the one before it, and that the last one is the balance, knows that the balance is the sum.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.check import EachMinute, Part

_LAST_ENTRIES = """
    select coalesce(a.path, t.account_id::text) as place,
           format('stored %s held %s seq %s, the last entry has %s held %s seq %s',
                  b.posted, b.held, b.seq, e.posted_after, e.held_after, e.seq) as detail
      from (select distinct account_id from entries) t
      cross join lateral (select posted_after, held_after, seq from public.entries l
                           where l.account_id = t.account_id order by l.seq desc limit 1) e
      left join balances b on b.account_id = t.account_id
      left join accounts a on a.id = t.account_id
     where (b.posted, b.held, b.seq) is distinct from (e.posted_after, e.held_after, e.seq)"""

_OWN_TRANSIT = """
    with expected as (
        select p.id, format('transit/out/%s/%s', coalesce(sent.partner, p.partner), p.currency)
               as path, amount_minor as amount
          from payments p
          left join (select distinct on (payment_id) payment_id, partner from attempts
                      order by payment_id, ordinal desc) sent on sent.payment_id = p.id
         where p.state = 'submitted'),
    actual as (
        select coalesce(t.payment_id, o.payment_id) as id, a.path, sum(e.delta) as amount
          from transactions t join entries e on e.transaction_id = t.id
          join accounts a on a.id = e.account_id and a.path like 'transit/out/%'
          left join transactions o on o.id = t.reverses
         group by 1, 2)
    select id as place, format('%s: %s of it in the books, %s submitted', path,
           coalesce(o.amount, 0), coalesce(x.amount, 0)) as detail
      from expected x full join actual o using (id, path)
     where coalesce(x.amount, 0) <> coalesce(o.amount, 0)
       and not exists (select from transactions t  -- Had it not ended, nothing of it was archived.
                        where t.payment_id = coalesce(x.id, o.id)
                          and t.id < (select id from live_from))"""

_BOOKS, _JOURNAL, _PAYMENTS = Part.BOOKS, Part.JOURNAL, Part.PAYMENTS

EACH_MINUTE: Mapping[str, EachMinute] = {
    "trial_balance": EachMinute(_BOOKS),
    "balances_equal_entries": EachMinute(
        _JOURNAL,
        "a balance without new entries; a sum that is another than the running balance",
        sql=_LAST_ENTRIES,
    ),
    "running_balances": EachMinute(_JOURNAL),
    "transactions_balance": EachMinute(_JOURNAL),
    "currencies_agree": EachMinute(_JOURNAL, "an account without new entries"),
    "entries_have_transactions": EachMinute(
        _JOURNAL, "an entry of no transaction whose number is not among the new ones"
    ),
    "bounds_hold_now": EachMinute(_BOOKS),
    "bounds_held_always": EachMinute(_JOURNAL),
    "money_moves_have_entries": EachMinute(_JOURNAL),
    "holds_equal_held": EachMinute(
        Part.NOTHING, "all: it follows from holds_follow_entries and the running balances"
    ),
    "holds_follow_entries": EachMinute(_PAYMENTS, "a hold that is of no payment"),
    "held_while_undecided": EachMinute(_PAYMENTS, "a hold that is of no payment"),
    "transit_equals_submitted": EachMinute(
        _PAYMENTS,
        "money put into transit by no payment, or by one of which the archive has a part",
        sql=_OWN_TRANSIT,
    ),
    "settled_exactly_once": EachMinute(_PAYMENTS),
    "moves_are_allowed": EachMinute(_PAYMENTS, "a transition of a payment that does not exist"),
    "moves_follow_one_another": EachMinute(_PAYMENTS),
    "state_is_last_move": EachMinute(_PAYMENTS),
    "outbox_matches_moves": EachMinute(_PAYMENTS, "an event whose id is not its payment's"),
    "nostro_has_evidence": EachMinute(_JOURNAL),
    "outcomes_have_evidence": EachMinute(_PAYMENTS),
    "taken_events_are_applied": EachMinute(_BOOKS),
    "suspense_has_cases": EachMinute(_BOOKS),
    "case_money_has_two_people": EachMinute(_JOURNAL),
    "returns_within_payment": EachMinute(_PAYMENTS),
    "partner_lines_within_payment": EachMinute(
        _PAYMENTS, "a line that was noted and that nothing was booked for"
    ),
    "set_aside_events_have_cases": EachMinute(_BOOKS),
    "digests_agree": EachMinute(_JOURNAL),
    "claims_were_approved": EachMinute(_PAYMENTS),
    "nothing_left_during_a_pause": EachMinute(
        _PAYMENTS, "a payment that was sent once more, until something is booked for it"
    ),
    "caps_count_their_claims": EachMinute(Part.NOTHING, "all: it adds up whole days"),
}
"""For every check by its name."""
