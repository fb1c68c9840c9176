-- 0017 · before deploy · locks the rows of payments that are out and undecided, until it commits.
-- Why: a key that was told of before this revision still counts as too young, and may be sent again.
select from payments p
 where p.state in ('submitting', 'outcome_unknown', 'in_review')
 order by p.id for no key update;

update attempts a
   set first_sent_at = greatest(p.created_at, (p.terms ->> 'execute_at')::timestamptz)
  from payments p
 where p.id = a.payment_id and p.state in ('submitting', 'outcome_unknown', 'in_review')
   and a.first_sent_at > greatest(p.created_at, (p.terms ->> 'execute_at')::timestamptz)
   and (exists (select from forgotten_sends f where f.attempt_key = a.key)
        or exists (select from partner_events e
                    where e.payment_id = p.id and e.kind in ('accepted', 'paid')
                      and e.received_at <= a.first_sent_at));
