-- 0012 · before deploy · a new function, for 0013 to build upon. Locks nothing.
-- Why: a partner that knows a payment before we have sent it tells of a send that these books do
-- not know. The first send is then a question, whatever became of the event itself.

-- As `mark_sent_v3`; and refused as `told` where the partner has told of the payment before its first send.
create function permit_unless_told(attempt_key text, out permit bigint, out refusal text)
language plpgsql set search_path = public, pg_temp as $$
declare
    known_at timestamptz;
    is_told boolean;
begin
    select m.permit, m.refusal into permit, refusal
      from mark_sent_v2(permit_unless_told.attempt_key) m;
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
           set first_sent_at = least(known_at, a.sent_at - interval '1 microsecond'),
               fence = a.fence - 1  -- Nobody has been given it.
         where a.key = permit_unless_told.attempt_key;
        permit := null;
        refusal := case when is_told then 'told' else 'sent' end;
    end if;
end $$;
