-- 0017 · before deploy · functions that only others call: one new, one replaced, one dropped. A call
-- of the old one that is under way while this commits may fail, and is repeated. Locks nothing.
-- Why: a word from before the capture counted for what undoes it, so that two people who had decided
-- `accepted` or `paid` left the way open for one who says `never_moved` with one stale word (INV-20).

-- Since when an outcome is asked for that a payment's attempt is being closed with. Who decides
-- `paid` captures first, and then settles by the same words: these count from the review on, and no
-- others do.
create function decision_due_since(payment_id text, decision text) returns timestamptz
language sql stable set search_path = public, pg_temp as $$
    select case
           when last.evidence_id = 'resolution/' || p.id and p.state = 'submitted'
                and decision_due_since.decision = 'resolve_paid'
                and (select a.result from attempts a where a.payment_id = p.id
                      order by a.ordinal desc limit 1) = 'paid' then
               (select t.at from transitions t where t.payment_id = p.id and t.seq = p.seq - 1)
           when p.state = 'submitted' then
               greatest(p.updated_at, (select min(k.opened_at) from cases k
                                        where k.payment_id = p.id and k.closed_at is null))
           else p.updated_at end
      from payments p join transitions last on last.payment_id = p.id and last.seq = p.seq
     where p.id = decision_due_since.payment_id
$$;

-- As in 0015.
create or replace function payment_deciders(payment_id text, decision text) returns setof text
language sql stable set search_path = public, pg_temp as $$
    select f.person from (
        select person_of(a.principal) as person,
               (array_agg(a.decision order by a.at desc))[1] as newest
          from approvals a
         where a.payment_id = payment_deciders.payment_id and starts_with(a.decision, 'resolve_')
           and a.at >= decision_due_since(payment_deciders.payment_id, payment_deciders.decision)
         group by 1) f
      join payments p on p.id = payment_deciders.payment_id and person_of(p.created_by) <> f.person
     where f.newest = payment_deciders.decision and not is_disabled_v1(f.person)
$$;

drop function decision_due_since(text);
