"""Checks on evidence: suspense and its cases, returns, and events that were set aside."""

from __future__ import annotations

from ledger.check import Check

EVIDENCE_CHECKS: tuple[Check, ...] = (
    Check(
        "suspense_has_cases",
        "All money in suspense is that of cases that nobody has given an owner yet.",
        """with waiting as (
               select e.account_id, sum(e.delta) as delta
                 from (select distinct c.transaction_id from cases c
                        where c.closed_at is null and not exists (
                              select from transactions t where t.outcome = 'booked'
                                 and t.key >= format('case/%s/', c.id)
                                 and t.key < format('case/%s0', c.id))) c
                 join entries e on e.transaction_id = c.transaction_id group by 1)
           select a.path as place, format('%s in suspense, cases stand for %s',
                  b.side * b.posted, coalesce(b.side * w.delta, 0)) as detail
             from accounts a join balances b on b.account_id = a.id
             left join waiting w on w.account_id = a.id
            where a.path like 'suspense/%' and b.posted is distinct from coalesce(w.delta, 0)""",
    ),
    Check(
        "case_money_has_two_people",
        "What was taken out of suspense was asked for by two people, for that very case.",
        """select t.key as place,
                  format('%s people said so', count(distinct person_of(w.principal))) as detail
             from transactions t
             left join case_words w on w.case_id = split_part(t.key, '/', 2)::bigint
                   and w.verb = 'resolve' and exists (
                       select from entries e join accounts a on a.id = e.account_id
                        where e.transaction_id = t.id and a.path = w.decision)
            where t.outcome = 'booked' and t.kind in ('case_assign', 'case_adjust', 'case_writeoff')
              and t.id >= (select id from live_from)
            group by t.key having count(distinct person_of(w.principal)) < 2""",
    ),
    Check(
        "returns_within_payment",
        "What came back is never more than was paid; all of it is back when it is `returned`.",
        """with archived as (
               select p.id, sum(h.returned) as returned
                 from holds h join transactions t on t.id = h.transaction_id
                 join payments p on p.id = t.payment_id and p.state in ('settled', 'returned')
                where h.transaction_id < (select id from live_from) group by 1),
           back as (
               select t.payment_id, sum(e.delta) as minor
                 from transactions t join payments p on p.id = t.payment_id
                 join entries e on e.transaction_id = t.id
                 join accounts a on a.id = e.account_id and a.path = p.account
                where t.kind = 'return' and t.outcome = 'booked'
                  and p.id not in (select id from archived) group by 1
               union all
               select id, nullif(returned, 0) from archived)
           select p.id as place, format('%s, %s of %s came back', p.state,
                  coalesce(b.minor, 0), p.amount_minor) as detail
             from payments p left join back b on b.payment_id = p.id
            where b.minor > p.amount_minor or p.kind = 'payout'
              and (p.state = 'returned') <> coalesce(b.minor = p.amount_minor, false)""",
    ),
    Check(
        "partner_lines_within_payment",
        "A payout has one debit of its own, and the returns that fit are within its amount.",
        """select p.id as place, format('%s lines of %s that fit come to %s of %s', count(*),
                  l.kind, sum(l.amount_minor), p.amount_minor) as detail
             from partner_lines l join payments p on p.id = l.payment_id
            where l.fits group by p.id, p.amount_minor, l.kind
            having sum(l.amount_minor) > p.amount_minor""",
    ),
    Check(
        "set_aside_events_have_cases",
        "An event that is set aside calls a person, until it is brought back.",
        """select format('%s/%s', e.partner, e.event_id) as place,
                  format('%s, set aside at %s', e.kind, e.set_aside_at) as detail
             from partner_events e
            where e.set_aside_at is not null and e.applied_at is null and not exists (
                  select from transactions t
                    join cases c on c.transaction_id = t.id and c.closed_at is null
                   where t.key = format('event/%s/set_aside/%s', e.id, e.redrives))""",
    ),
)
