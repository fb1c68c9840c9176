-- 0014 · before deploy · a new function, and functions replaced by calls of others. Locks nothing.
-- Why: `mark_sent_v1` and `v2` gave permissions that knew nothing of what restored books forget.

-- The permission itself, as `mark_sent_v2` has given it; nobody may call it past `mark_sent_v4`.
create function permit_to_send(attempt_key text, out permit bigint, out refusal text)
language plpgsql set search_path = public, pg_temp as $$
declare
    p payments;
    a attempts;
    now_sent timestamptz;
begin
    perform pass_gate();
    select x.* into p from payments x
     where x.id = (select y.payment_id from attempts y where y.key = attempt_key)
       for no key update;
    select x.* into a from attempts x where x.key = attempt_key for no key update;
    if a.key is null then
        perform raise_bug(attempt_key, 'there is no such attempt');
    end if;
    refusal := case
        when p.state <> 'submitting' or a.result in
             ('rejected', 'not_sent', 'throttled', 'not_found', 'never_moved') then 'ended'
        when a.sent_at is not null then 'sent'
        when is_paused(a.partner, p.currency, p.tenant) then 'paused' end;
    if refusal is null then
        now_sent := clock_timestamp();
        update attempts x
           set sent_at = now_sent, first_sent_at = coalesce(x.first_sent_at, now_sent),
               fence = x.fence + 1
         where x.key = attempt_key
        returning x.fence into permit;
    end if;
end $$;

-- As in 0012.
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
           set first_sent_at = least(known_at, a.sent_at - interval '1 microsecond'),
               fence = a.fence - 1  -- Nobody has been given it.
         where a.key = permit_unless_told.attempt_key;
        permit := null;
        refusal := case when is_told then 'told' else 'sent' end;
    end if;
end $$;

-- For workers of releases before, which know no `told`. `mark_sent_v1` calls this one.
create or replace function mark_sent_v2(attempt_key text, out permit bigint, out refusal text)
language sql security definer set search_path = public, pg_temp as $$
    select m.permit, case when m.refusal = 'told' then 'sent' else m.refusal end
      from mark_sent_v4(attempt_key) m
$$;
