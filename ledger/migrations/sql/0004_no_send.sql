-- 0004 · before deploy · new tables and new functions only; stops nobody.
-- Why: a database that was restored does not know what was sent after its backup. What a partner's
-- statement, or Temporal, knows of such sends is kept here, and a payment that has one asks its
-- partner before it sends anything. Nothing is sent at all while a person has not compared.
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

-- No-send mode: while a row is open nothing may leave for any partner. Kept for ever, as a record
-- of who stopped, who let it go on, and why.
create table no_send (
    id         bigint      generated always as identity primary key,
    entered_at timestamptz not null default clock_timestamp(),
    entered_by text        not null,
    reason     text        not null,
    left_at    timestamptz,
    left_by    text,
    left_for   text,
    check ((left_at is null) = (left_by is null) and (left_at is null) = (left_for is null))
);
create unique index no_send_once on no_send ((left_at is null)) where left_at is null;
create trigger kept before delete or truncate on no_send
    for each statement execute function refuse_change();
create trigger frozen before update of id, entered_at, entered_by, reason on no_send
    for each statement execute function refuse_change();

create function enter_no_send_v1(actor text, reason text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into no_send (entered_by, reason) values (actor, enter_no_send_v1.reason)
    on conflict ((left_at is null)) where left_at is null do nothing;
    return found;
end $$;

create function leave_no_send_v1(actor text, reason text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update no_send n set left_at = clock_timestamp(), left_by = actor,
                         left_for = leave_no_send_v1.reason
     where n.left_at is null;
    return found;
end $$;

-- As v1, but nothing is marked in no-send mode, and the first send of an attempt that was sent in a life that these books have forgotten
-- is no send: null, as for one that was sent already, so that the caller asks first.
create function mark_sent_v3(attempt_key text) returns timestamptz
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if exists (select from no_send n where n.left_at is null) then
        raise 'nothing may be sent: no-send mode is on' using errcode = 'BK003';
    end if;
    update attempts a
       set sent_at = clock_timestamp(), first_sent_at = least(f.sent_at, clock_timestamp())
      from forgotten_sends f
     where a.key = mark_sent_v3.attempt_key and f.attempt_key = a.key
       and a.first_sent_at is null;
    if found then
        return null;
    end if;
    return mark_sent_v1(mark_sent_v3.attempt_key);
end $$;
