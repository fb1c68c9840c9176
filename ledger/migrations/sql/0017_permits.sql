-- 0017 · before deploy · a function that only others call is replaced. Locks nothing.
-- Why: a statement's line, an event and a run date from after the bytes left, so that a key counted
-- as younger than it is, and could be sent again after its partner had forgotten it.

-- As in 0014; and the key counts as old as its payment, as `mark_sent_v4` has it of what nobody lists.
create or replace function permit_unless_told(
    attempt_key text, out permit bigint, out refusal text)
language plpgsql set search_path = public, pg_temp as $$
declare
    known_at timestamptz;
    is_told boolean;
begin
    select m.permit, m.refusal into permit, refusal
      from permit_to_send(permit_unless_told.attempt_key) m;
    if permit is null then
        return;
    end if;
    select least(f.sent_at, e.received_at), f.sent_at is null into known_at, is_told
      from attempts a
      left join forgotten_sends f on f.attempt_key = a.key
      left join lateral (
           select min(x.received_at) as received_at from partner_events x
            where x.payment_id = a.payment_id and x.kind in ('accepted', 'paid')) e on true
     where a.key = permit_unless_told.attempt_key and a.first_sent_at = a.sent_at;
    if known_at is not null then
        update attempts a
           set first_sent_at = least(known_at, a.sent_at - interval '1 microsecond',
                                     greatest(p.created_at, (p.terms ->> 'execute_at')::timestamptz)),
               fence = a.fence - 1  -- Nobody has been given it.
          from payments p
         where a.key = permit_unless_told.attempt_key and p.id = a.payment_id;
        permit := null;
        refusal := case when is_told then 'told' else 'sent' end;
    end if;
end $$;
