-- 0004 · before deploy · new functions and views only; stops nobody.
-- Why: nothing may be stuck in silence. Each payment that has not ended has a next action and a
-- moment by which that is due, out of the terms that were frozen when it opened; what they do not
-- say, because an earlier release froze them, is as in `activities/terms.py::Policy`.
create function delay_of(terms jsonb, name text, otherwise interval) returns interval
language sql stable parallel safe set search_path = public, pg_temp as $$
    select coalesce((terms #>> array['policy', name])::interval, otherwise)
$$;

-- How long asking about an unknown outcome may take before it is handed to people: the ladder, or
-- the shortest time to ask, or the time until absence is proven, whichever is longest; with each
-- call as slow as it may be, and the last pause once more.
create function asking_takes(terms jsonb) returns interval
language sql stable parallel safe set search_path = public, pg_temp as $$
    select greatest(delay_of(terms, 'ask_for', interval '15 minutes'),
                    coalesce(sum(pause), interval '16 minutes 20 seconds'),
                    coalesce((terms #>> '{guarantees,absence_after}')::interval, interval '0'))
           + coalesce(max(pause), interval '10 minutes')
           + (count(*) + 1) * delay_of(terms, 'partner_call_timeout', interval '20 seconds')
      from (select each::interval as pause
              from jsonb_array_elements_text(terms #> '{policy,ask_again_after}') each) ladder
$$;

-- A case that a person has closed buys an hour: who closes it has looked. What a pause has held
-- back has seven minutes and a step after that to go on: it looks at the gate again after five,
-- give or take a quarter, where many wait (`activities/gate.py::AGAIN_AFTER_MAX`).
create view payment_next as
select p.id, p.kind, p.tenant, p.state, p.seq, p.partner, p.created_at, p.updated_at,
       case p.state
         when 'received' then 'it is checked and held'
         when 'awaiting_approval' then 'people approve or deny it'
         when 'scheduled' then case when p.terms ->> 'execute_at' is null
                                    then 'it is booked once it may pass'
                                    else 'it goes on at its time' end
         when 'reserved' then 'it is handed to the partner'
         when 'submitting' then case when a.sent_at is null then 'it is handed to the partner'
                                     else 'the partner answers' end
         when 'outcome_unknown' then 'the partner is asked what happened'
         when 'in_review' then 'people decide with evidence'
         when 'submitted' then 'the partner says how it ended'
       end as next_action,
       greatest(
         case p.state
           when 'awaiting_approval' then
             coalesce((p.terms ->> 'approve_by')::timestamptz, p.updated_at) + s.step
           when 'scheduled' then
             coalesce((p.terms ->> 'execute_at')::timestamptz, p.updated_at) + s.step
           when 'submitting' then
             case when a.sent_at is null
                  then p.updated_at + delay_of(p.terms, 'submit_for', interval '4 hours')
                  else a.sent_at end + s.outcome
           when 'outcome_unknown' then p.updated_at + asking_takes(p.terms) + s.outcome
           when 'in_review' then
             p.updated_at + case when c.open then s.review else interval '0' end
           when 'submitted' then
             coalesce(a.sent_at, p.updated_at)
             + delay_of(p.terms, 'overdue_after', interval '24 hours')
             + delay_of(p.terms, 'poll_every', interval '60 seconds') + s.outcome
           else p.updated_at + s.step
         end,
         c.closed_at + interval '1 hour',
         g.resumed_at + interval '7 minutes' + s.step) as due_at,
       c.open as has_open_case,
       g.paused as is_paused
  from payments p
  cross join lateral (
       select delay_of(p.terms, 'step_within', interval '60 seconds') as step,
              delay_of(p.terms, 'outcome_within', interval '120 seconds') as outcome,
              delay_of(p.terms, 'review_within', interval '1 hour') as review) s
  left join lateral (
       select sent_at from attempts where payment_id = p.id order by ordinal desc limit 1) a on true
  cross join lateral (
       select coalesce(bool_or(k.closed_at is null), false) as open, max(k.closed_at) as closed_at
         from cases k where k.payment_id = p.id) c
  cross join lateral (
       select coalesce(bool_or(o.resumed_at is null), false) as paused,
              max(o.resumed_at) as resumed_at
         from pauses o
        where p.state in ('reserved', 'scheduled', 'submitting') and a.sent_at is null
          and coalesce(o.resumed_at, 'infinity') > p.updated_at
          and (o.scope = 'all' or o.scope = 'partner' and o.name = p.partner
               or o.scope = 'currency' and o.name = p.currency
               or o.scope = 'tenant' and o.name = p.tenant)) g
 where p.state not in
    ('settled', 'returned', 'refused', 'denied', 'expired', 'cancelled', 'failed');

-- What waits for a pause to end is not stuck in silence: the pause is the alarm.
create view payments_overdue as
select * from payment_next where due_at < clock_timestamp() and not is_paused;
