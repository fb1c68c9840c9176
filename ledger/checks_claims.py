"""Checks of the gate: what has let money leave was allowed to, looked at from what is stored.

They say in their own words what the functions that guard the gate say in theirs.
"""

from __future__ import annotations

from ledger.check import Check

CLAIM_CHECKS: tuple[Check, ...] = (
    Check(
        "claims_were_approved",
        "Each attempt was claimed with as many approvals as the payment's rule asks for (INV-18).",
        """select a.key as place, format('claimed at %s with %s of %s approvals', a.opened_at,
                  g.given, p.terms #>> '{approvals,number}') as detail
             from attempts a join payments p on p.id = a.payment_id
             cross join lateral (
                 select count(distinct person_of(w.principal)) as given from approvals w
                  where w.payment_id = p.id and w.decision = 'approve'
                    and person_of(w.principal) <> person_of(p.created_by)
                    and w.content_hash = p.content_hash
                    and (w.role, w.rule_version) = (p.terms #>> '{approvals,role}',
                                                    p.terms #>> '{approvals,version}')
                    and w.at <= least(a.opened_at, (p.terms ->> 'approve_by')::timestamptz)
                    and person_of(w.principal) not in (
                        select person_of(x.principal) from people_disabled x
                         where x.at <= a.opened_at)
                    and person_of(w.principal) not in (
                        select person_of(d.principal) from approvals d where d.payment_id = p.id
                           and d.decision = 'deny' and d.at <= a.opened_at)) g
            where p.terms ->> 'approvals' is not null
              and g.given < (p.terms #>> '{approvals,number}')::int""",
    ),
    Check(
        "nothing_left_during_a_pause",
        "No attempt was claimed or sent, and no transfer booked, while it was paused (INV-19).",
        """with left_at as (
                select key as place, payment_id, partner, opened_at as at from attempts
                union all
                select key, payment_id, partner, sent_at from attempts where sent_at is not null
                union all
                select payment_id, payment_id, null, at from transitions
                 where kind = 'transfer' and after = 'settled')
           select l.place, format('left at %s, paused from %s: %s %s', l.at, s.paused_at, s.scope,
                  s.name) as detail
             from pauses s
             join left_at l on l.at >= s.paused_at and l.at < coalesce(s.resumed_at, 'infinity')
             join payments p on p.id = l.payment_id
            where s.scope = 'all' or (s.scope, s.name) in
                  (('partner', l.partner), ('currency', p.currency::text), ('tenant', p.tenant))""",
    ),
    Check(
        "caps_count_their_claims",
        "What is counted under a cap is what was claimed under it on that day.",
        """select format('cap %s on %s', c.id, u.day) as place,
                  format('counted %s, claimed %s', u.amount_minor, g.claimed) as detail
             from cap_uses u join caps c on c.id = u.cap_id
             cross join lateral (
                 select coalesce(sum(p.amount_minor), 0) as claimed
                   from attempts a join payments p on p.id = a.payment_id
                  where p.currency = c.currency and coalesce(c.partner, a.partner) = a.partner
                    and coalesce(c.tenant, p.tenant) = p.tenant
                    and (a.opened_at at time zone 'UTC')::date = u.day
                    and a.opened_at < coalesce(c.ended_at, 'infinity')) g
            where u.amount_minor <> g.claimed""",
    ),
)
"""Name, what it says, and the query that gives `place, detail` for each break."""
