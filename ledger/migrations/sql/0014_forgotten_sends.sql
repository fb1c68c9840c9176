-- 0014 · before deploy · new functions only. Locks nothing.
-- Why: what was remembered as forgotten was taken for dealt with, though the stop that has to follow
-- had failed; and a cancel gave back the money of a payment that may be at its partner.

-- Keep sends that these books have forgotten, and stop everything, in one commit, for those that no
-- stop of the guard's has covered: one that ended after the send was found, or goes on. Returns
-- these, sorted; a release before may have kept them and not stopped.
create function remember_and_stop_v1(
    guard text, partner text, attempt_keys text[], evidence text[], sent_at timestamptz[])
returns text[] language plpgsql security definer set search_path = public, pg_temp as $$
declare
    uncovered text[];
begin
    perform close_gate();
    insert into forgotten_sends (attempt_key, partner, evidence, sent_at)
    select k.attempt_key, remember_and_stop_v1.partner, k.evidence, k.sent_at
      from unnest(remember_and_stop_v1.attempt_keys, remember_and_stop_v1.evidence,
                  remember_and_stop_v1.sent_at) k(attempt_key, evidence, sent_at)
    on conflict on constraint forgotten_sends_pkey do nothing;
    uncovered := array(
        select f.attempt_key from forgotten_sends f
         where f.attempt_key = any (remember_and_stop_v1.attempt_keys) and not exists (
            select from pauses s
             where s.scope = 'all' and s.paused_by = guard
               and coalesce(s.resumed_at, 'infinity') > f.found_at)
         order by f.attempt_key);
    if cardinality(uncovered) > 0 then
        perform stop_sending_v1(guard, (
            select left(format('%s was sent, says %s, and the books do not know it%s: restored?',
                               f.attempt_key, f.evidence,
                               case when cardinality(uncovered) > 1
                                   then format(' (one of %s)', cardinality(uncovered)) end), 200)
              from forgotten_sends f where f.attempt_key = uncovered[1]));
    end if;
    return uncovered;
end $$;

-- Whether a payout that is not claimed here may be at its partner all the same. Its first send is
-- refused for these reasons too (`mark_sent_v4`), so what may have left is asked about.
create function may_have_left_v1(payment_id text) returns boolean
language sql stable security definer set search_path = public, pg_temp as $$
    select exists (
        select from payments p
         cross join lateral greatest(p.created_at, (p.terms ->> 'execute_at')::timestamptz) s(due_at)
         where p.id = may_have_left_v1.payment_id and p.kind = 'payout'
           and s.due_at <= clock_timestamp()  -- In no life it was handed over before.
           and (exists (select from forgotten_sends f where f.attempt_key = p.id || '-1')
                or exists (select from partner_events e
                            where e.payment_id = p.id and e.kind in ('accepted', 'paid'))
                or exists (select from pauses g
                            where g.scope = 'all' and g.paused_by = 'bursar:start-guard'
                              and coalesce(g.resumed_at, 'infinity') > s.due_at)))
$$;
