-- 0004 · before deploy · a new table and new functions only; stops nobody.
-- Why: a database that was restored does not know what was sent after its backup. What a partner's
-- statement, or Temporal, knows of such sends is kept here, and a payment that has one asks its
-- partner before it sends anything. Until a person has compared, all is paused.
create table forgotten_sends (
    attempt_key text        collate "C" primary key,
    partner     text        not null,
    evidence    text        not null,        -- Where it was seen, such as a line of a statement.
    sent_at     timestamptz not null,        -- Not before it was sent; as early as is known.
    found_at    timestamptz not null default clock_timestamp()
);
create trigger frozen before update or delete or truncate on forgotten_sends
    for each statement execute function refuse_change();

create function remember_send_v1(
    attempt_key text, partner text, evidence text, sent_at timestamptz) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into forgotten_sends (attempt_key, partner, evidence, sent_at)
    values (remember_send_v1.attempt_key, remember_send_v1.partner, remember_send_v1.evidence,
            remember_send_v1.sent_at)
    on conflict on constraint forgotten_sends_pkey do nothing;
    return found;
end $$;

-- As v2, but the first send of an attempt that was sent in a life that these books have forgotten
-- is no send: refused as `sent`, as one that is sent already, so that the caller asks first.
create function mark_sent_v3(attempt_key text, out permit bigint, out refusal text)
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    select m.permit, m.refusal into permit, refusal
      from mark_sent_v2(mark_sent_v3.attempt_key) m;
    if permit is null then
        return;
    end if;
    update attempts a
       set first_sent_at = least(f.sent_at, a.sent_at - interval '1 microsecond')
      from forgotten_sends f
     where a.key = mark_sent_v3.attempt_key and f.attempt_key = a.key
       and a.first_sent_at = a.sent_at;
    if found then
        permit := null;
        refusal := 'sent';
    end if;
end $$;
