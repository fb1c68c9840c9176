"""Checks: what has to be true of the books at every moment, each with the query that proves it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bursar.views import BooksReport, Break
from ledger.check import Check
from ledger.checks_claims import CLAIM_CHECKS
from ledger.checks_evidence import EVIDENCE_CHECKS

BREAKS_MAX = 100
"""How many breaks one check reports: somebody has to read them."""

MONEY_KINDS = """('hold', 'capture', 'settle', 'void', 'uncapture', 'transfer', 'deposit',
    'return', 'return_told', 'return_money', 'assign', 'fee', 'paid_after_failed', 'paid_twice',
    'phantom', 'case_assign', 'case_adjust', 'case_writeoff')"""
"""Kinds of transactions that have entries when they are booked, as a list in SQL."""

CHECKS: tuple[Check, ...] = (
    Check(
        "trial_balance",
        "All accounts of a currency sum to 0.",
        """select currency as place, format('the accounts sum to %s', sum(posted)) as detail
             from balances group by currency having sum(posted) <> 0""",
    ),
    Check(
        "balances_equal_entries",
        "Posted, held and the sequence number of a balance are what its entries add up to.",
        """select coalesce(a.path, account_id::text) as place,
                  format('stored %s held %s seq %s, entries give %s held %s seq %s',
                         b.posted, b.held, b.seq, e.posted, e.held, e.seq) as detail
             from balances b
             full join (select account_id, coalesce(l.posted, 0) + coalesce(c.posted, 0) as posted,
                               coalesce(l.held, 0) + coalesce(c.held, 0) as held,
                               coalesce(l.seq, c.seq) as seq,
                               coalesce(l.entries, 0) + coalesce(c.seq, 0) as entries
                          from (select account_id, sum(delta) as posted, sum(held) as held,
                                       max(seq) as seq, count(*) as entries
                                  from entries group by account_id) l
                          full join carried_forward c using (account_id)) e using (account_id)
             left join accounts a on a.id = account_id
            where b.posted is distinct from coalesce(e.posted, 0)
               or b.held is distinct from coalesce(e.held, 0)
               or b.seq is distinct from coalesce(e.seq, 0)
               or coalesce(e.seq, 0) <> coalesce(e.entries, 0)""",
    ),
    Check(
        "running_balances",
        "Each entry states the balance after it, and follows the one before it without a gap.",
        """select a.path as place, format('entry %s does not follow the one before it', e.seq)
                  as detail
             from (select account_id, seq, posted_after - delta as posted_from,
                          held_after - held as held_from,
                          lag(seq, 1, 0::bigint) over chain as before,
                          lag(posted_after, 1, 0::bigint) over chain as posted_before,
                          lag(held_after, 1, 0::bigint) over chain as held_before
                     from entries window chain as (partition by account_id order by seq)) e
             join accounts a on a.id = e.account_id
            where (posted_from, held_from, e.seq - 1) is distinct from
                  (posted_before, held_before, before)
              and not coalesce(  -- The one before it may lie before an excerpt, or in the archive.
                  (select (b.posted_after, b.held_after) = (posted_from, held_from)
                     from public.entries b
                    where (b.account_id, b.seq) = (e.account_id, e.seq - 1)),
                  (select (c.posted, c.held) = (posted_from, held_from) from carried_forward c
                    where (c.account_id, c.seq) = (e.account_id, e.seq - 1)),
                  e.seq = 1 and (posted_from, held_from) = (0, 0))""",
    ),
    Check(
        "transactions_balance",
        "The entries of each transaction sum to 0 in each currency.",
        """select coalesce(t.key, transaction_id::text) as place,
                  format('%s is off by %s', currency, off) as detail
             from (select transaction_id, currency, sum(delta) as off from entries
                    group by transaction_id, currency having sum(delta) <> 0) e
             left join transactions t on t.id = transaction_id""",
    ),
    Check(
        "currencies_agree",
        "An account, its balance and all of its entries have one currency, and its own side.",
        """select a.path as place, format('an entry is in %s', e.currency) as detail
             from (select distinct account_id, currency from entries) e
             join accounts a on a.id = e.account_id where a.currency <> e.currency
           union all
           select a.path, format('the balance is in %s on side %s', b.currency, b.side)
             from accounts a left join balances b on b.account_id = a.id
            where b.currency is distinct from a.currency or b.side is distinct from
                  case when a.kind in ('asset', 'expense') then -1 else 1 end""",
    ),
    Check(
        "entries_have_transactions",
        "Each entry belongs to a booked transaction and to an account.",
        """select coalesce(t.key, a.path, e.transaction_id::text) as place,
                  format('entry %s of account %s, transaction %s: %s', e.seq, e.account_id,
                         e.transaction_id, coalesce(t.outcome, 'not there')) as detail
             from entries e left join transactions t on t.id = e.transaction_id
             left join accounts a on a.id = e.account_id
            where t.outcome is distinct from 'booked' or a.id is null""",
    ),
    Check(
        "bounds_hold_now",
        "No balance is beyond its floor or ceiling, holds included; soft bounds only warn.",
        """select a.path as place, format('posted %s, held %s, floor %s, ceiling %s',
                  side * posted, held, floor, ceiling) as detail
             from balances b join accounts a on a.id = b.account_id
            where not soft and (side * posted - held < floor or side * posted > ceiling)""",
    ),
    Check(
        "bounds_held_always",
        "No account was ever beyond its floor or ceiling after any of its entries.",
        """select a.path as place, format('after entry %s: posted %s, held %s', e.seq,
                  side * posted_after, held_after) as detail
             from entries e join balances b using (account_id) join accounts a on a.id = account_id
            where not soft and (side * posted_after - held_after < floor
                                or side * posted_after > ceiling)""",
    ),
    Check(
        "money_moves_have_entries",
        "A booked transaction that says it moves money has entries.",
        f"""select key as place, format('%s is booked without entries', kind) as detail
             from transactions t
            where outcome = 'booked' and kind in {MONEY_KINDS}
              and id >= (select id from live_from)
              and not exists (select from entries e where e.transaction_id = t.id)""",  # noqa: S608
    ),
    Check(
        "holds_equal_held",
        "What is open of an account's holds is what its balance says is held.",
        """select coalesce(a.path, account_id::text) as place,
                  format('holds leave %s open, the balance says %s', coalesce(h.open, 0),
                         b.held) as detail
             from balances b
             full join (select account_id, sum(amount - captured - released) as open
                          from holds group by account_id) h using (account_id)
             left join accounts a on a.id = account_id
            where b.held is distinct from coalesce(h.open, 0)""",
    ),
    Check(
        "holds_follow_entries",
        "Each hold is what its entry made it, and was spent by the entries that name it.",
        """select coalesce(t.key, transaction_id::text) as place,
                  format('hold of %s, %s spent, %s brought back; by its entries %s, %s, %s',
                         h.amount, h.captured + h.released, h.returned, e.made, e.spent, e.back)
                  as detail
             from holds h
             full join (select coalesce(hold_id, transaction_id) as transaction_id, account_id,
                               sum(held) filter (where hold_id is null) as made,
                               coalesce(-sum(held) filter (where hold_id is not null), 0) as spent,
                               coalesce(sum(delta) filter (where hold_id is not null
                                        and held = 0), 0) as back
                          from entries where held <> 0 or hold_id is not null group by 1, 2) e
                  using (transaction_id, account_id)
             left join transactions t on t.id = transaction_id
            where case when transaction_id >= (select id from live_from)
                  then (h.amount, h.captured + h.released, h.returned)
                       is distinct from (e.made, e.spent, e.back)
                  else h.amount is null or h.amount <> h.captured + h.released
                       or e.made is not null
                       or coalesce(e.spent, 0) > h.amount or coalesce(e.back, 0) > h.returned
                  end""",
    ),
    Check(
        "held_while_undecided",
        "Exactly the payouts that are reserved, under way, unknown or in review hold their money.",
        """with expected as (
                select id, account, amount_minor + fee_minor as open from payments
                 where kind = 'payout' and state in
                       ('reserved', 'submitting', 'outcome_unknown', 'in_review')),
            actual as (
                select t.payment_id, a.path, min(t.key) as key,
                       sum(h.amount - h.captured - h.released) as open
                  from holds h join transactions t on t.id = h.transaction_id
                  join accounts a on a.id = h.account_id
                 where h.amount <> h.captured + h.released group by t.payment_id, a.path)
            select coalesce(x.id, o.payment_id, o.key) as place,
                   format('%s holds %s, should hold %s', coalesce(x.account, o.path),
                          coalesce(o.open, 0), coalesce(x.open, 0)) as detail
              from expected x full join actual o on o.payment_id = x.id and o.path = x.account
             where x.open is distinct from o.open""",
    ),
    Check(
        "transit_equals_submitted",
        "What is in transit at a partner is what it has accepted and not booked yet.",
        """with expected as (
                select format('transit/out/%s/%s', coalesce(sent.partner, p.partner),
                              p.currency) as path, sum(amount_minor) as amount
                  from payments p
                  left join lateral (select partner from attempts where payment_id = p.id
                                      order by ordinal desc limit 1) sent on true
                 where p.state = 'submitted' group by 1),
            actual as (
                select a.path, b.side * b.posted as amount
                  from accounts a join balances b on b.account_id = a.id
                 where a.path like 'transit/out/%')
            select coalesce(x.path, o.path) as place,
                   format('in the books %s, submitted %s', o.amount, coalesce(x.amount, 0))
                   as detail
              from expected x full join actual o on o.path = x.path
             where coalesce(x.amount, 0) is distinct from o.amount""",
    ),
    Check(
        "settled_exactly_once",
        "A settled payout has one hold, one capture and one settlement that were not undone.",
        """with steps as (
               select t.payment_id, t.id,
                      coalesce(sum(e.held) filter (where e.held > 0), 0) as held,
                      coalesce(-sum(e.delta) filter (where e.held < 0), 0) as captured,
                      coalesce(-sum(e.delta) filter (where a.path like 'transit/out/%'
                               and e.delta < 0), 0) as out_of_transit,
                      coalesce(sum(e.delta) filter (where a.path like 'nostro/%'
                               and e.delta > 0), 0) as paid
                 from payments p join transactions t on t.payment_id = p.id
                 join entries e on e.transaction_id = t.id join accounts a on a.id = e.account_id
                where p.kind = 'payout' and p.state in ('settled', 'returned')
                  and t.id >= (select id from live_from)
                  and not exists (select from transactions r where r.reverses = t.id)
                group by t.payment_id, t.id),
           counted as (
               select p.id, count(*) filter (where held > 0) as holds,
                      count(*) filter (where captured > 0) as captures,
                      count(*) filter (where out_of_transit > 0 and paid > 0) as settles,
                      bool_and(held in (0, amount_minor + fee_minor)
                               and captured in (0, amount_minor + fee_minor)
                               and out_of_transit in (0, amount_minor)) as amounts_fit
                 from payments p left join steps s on s.payment_id = p.id
                where p.kind = 'payout' and p.state in ('settled', 'returned')
                  and not exists (select from transactions t where t.payment_id = p.id
                                  and t.id < (select id from live_from))
                group by p.id)
           select id as place, format('%s holds, %s captures, %s settlements, amounts fit: %s',
                  holds, captures, settles, amounts_fit) as detail
             from counted where (holds, captures, settles) <> (1, 1, 1) or not amounts_fit""",
    ),
    Check(
        "moves_are_allowed",
        "Each transition is one that a payment of its kind may make.",
        """select t.payment_id as place,
                  format('move %s: %s from %s to %s', t.seq, t.kind, t.before, t.after) as detail
             from transitions t left join payments p on p.id = t.payment_id
             left join allowed_moves m on m.kind = p.kind and m.after = t.after
                   and m.before is not distinct from t.before
            where m.move is null or t.kind is distinct from p.kind""",
    ),
    Check(
        "moves_follow_one_another",
        "A payment's transitions are 1, 2, 3…, each from where the one before it has ended.",
        """select payment_id as place,
                  format('move %s begins at %s, the one before ended at %s', seq, before,
                         ended) as detail
             from (select payment_id, seq, before, row_number() over life as place,
                          lag(after) over life as ended
                     from transitions window life as (partition by payment_id order by seq)) t
            where seq <> place or before is distinct from ended""",
    ),
    Check(
        "state_is_last_move",
        "A payment's state is where its last transition has ended.",
        """select p.id as place, format('state %s at %s, last move to %s at %s', p.state, p.seq,
                  t.after, t.seq) as detail
             from payments p
             left join (select distinct on (payment_id) payment_id, seq, after from transitions
                         order by payment_id, seq desc) t on t.payment_id = p.id
            where (p.state, p.seq) is distinct from (t.after, t.seq)""",
    ),
    Check(
        "outbox_matches_moves",
        "Each event to publish tells of one transition, and none is left out before it.",
        """select o.event_id as place, 'tells of no such transition' as detail
             from outbox o left join transitions t on t.payment_id = o.payment_id
                   and t.seq = o.seq and t.after = o.after
                   and t.before is not distinct from o.before
            where t.payment_id is null or o.event_id <> o.payment_id || '/' || o.seq
           union all
           select t.payment_id || '/' || t.seq, 'is missing, though an earlier one still waits'
             from transitions t
             join (select payment_id, min(seq) as seq from outbox group by payment_id) waits
               on waits.payment_id = t.payment_id and waits.seq < t.seq
             left join outbox o on o.payment_id = t.payment_id and o.seq = t.seq
            where o.id is null""",
    ),
    Check(
        "nostro_has_evidence",
        "Our accounts at partners move only with evidence of what the partner did.",
        """select t.key as place, format('%s moved by %s without evidence', m.path, m.delta)
                  as detail
             from (select a.path, e.delta, e.transaction_id  -- Few, so they are found first.
                     from accounts a join entries e on e.account_id = a.id
                    where a.needs_evidence and e.delta <> 0 offset 0) m
             join transactions t on t.id = m.transaction_id
            where coalesce(t.evidence_id, '') = ''""",
    ),
    Check(
        "outcomes_have_evidence",
        "A partner's yes or no that moved a payout says where it can be read again.",
        """select payment_id as place, format('moved to %s without evidence', after) as detail
             from transitions
            where kind = 'payout' and coalesce(evidence_id, '') = '' and
                  after in ('submitted', 'settled', 'returned', 'failed')""",
    ),
    Check(
        "taken_events_are_applied",
        "An event that a workflow took more than 5 minutes ago is in the books, or set aside.",
        """select format('%s/%s', partner, event_id) as place,
                  format('%s, taken at %s and not applied', kind, taken_at) as detail
             from partner_events
            where applied_at is null and set_aside_at is null
              and taken_at < now() - interval '5 minutes'""",
    ),
    *EVIDENCE_CHECKS,
    Check(
        "digests_agree",
        "What a booked transaction has moved is what its digest was taken of.",
        """with legs as (
               select e.transaction_id, string_agg(format('[%s,%s,%s,%s,%s,%s]',
                          to_json(a.path), to_json(e.currency::text), e.delta, e.held,
                          to_json(coalesce(e.hold, '')),
                          case when e.held < 0 and e.delta = 0 then 'true' else 'false' end),
                      ',' order by a.path, e.currency::text collate "C", e.delta, e.held,
                      coalesce(e.hold, '') collate "C") as content
                 from (select *, (select h.key from public.transactions h
                                   where h.id = hold_id) as hold from entries) e
                 join accounts a on a.id = e.account_id group by e.transaction_id),
           recomputed as (
               select t.key, t.digest, format(
                      '{"attempt":%s,"format":1,"kind":%s,"legs":[%s],"opens":%s,"payment":%s}',
                      coalesce(to_json(t.attempt_key)::text, 'null'), to_json(t.kind), l.content,
                      coalesce(to_json((
                          select (select content_hash from public.payments where id = x.payment_id)
                            from public.transitions x
                           where (x.payment_id, x.seq, x.transaction_id)
                                 = (t.payment_id, 1, t.id)))::text, 'null'),
                      coalesce(to_json(t.payment_id)::text, 'null')) as content
                 from transactions t left join legs l on l.transaction_id = t.id
                where t.outcome = 'booked' and t.id >= (select id from live_from)
               offset 0)  -- So that the content is put together once.
           select key as place, 'the entries are not those that were digested' as detail
             from recomputed where digest <> sha256(convert_to(content, 'UTF8'))
              and content ~ '^[ -~]*$'""",
    ),
    *CLAIM_CHECKS,
)


async def run_checks(connection: AsyncConnection) -> BooksReport:
    """Run every check on one connection and say what is broken.

    Args:
        connection: In a read-only transaction at REPEATABLE READ: two snapshots would invent
            differences between tables that are written together.
    """
    checked_at: datetime = (await connection.execute(text("select now()"))).scalar_one()
    breaks = [
        found
        for check in CHECKS
        for found in named(check.name, await rows_of(connection, check.sql))
    ]
    return BooksReport(
        checked_at=checked_at,
        checks=tuple(check.name for check in CHECKS),
        breaks=tuple(breaks),
        trial_balance=await trial_balance(connection),
    )


async def trial_balance(connection: AsyncConnection) -> dict[str, int]:
    """Return the sum over all accounts for each currency."""
    sums = await connection.execute(
        text("select currency, sum(posted) from balances group by currency order by currency")
    )
    return {row[0]: int(row[1]) for row in sums}


async def rows_of(connection: AsyncConnection, sql: str) -> Sequence[Row[Any]]:
    """Return what a check's query finds, or one row more than is shown of it."""
    return (await connection.exec_driver_sql(f"{sql} limit {BREAKS_MAX + 1}")).all()


def named(check: str, rows: Sequence[Row[Any]]) -> list[Break]:
    """Return what breaks one invariant; a last line says so where there is more than is shown."""
    found = [Break(check=check, where=row.place, detail=row.detail) for row in rows]
    if len(found) > BREAKS_MAX:
        found[-1] = Break(check=check, where="…", detail=f"more than {BREAKS_MAX} in all")
    return found
