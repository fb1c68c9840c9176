-- 0013 · before deploy · new functions only; `mark_sent_v3` is replaced by a call of its successor.
-- Why: books that were restored may have forgotten a send that no statement and no ended run tells
-- of yet: a payout that was handed over and waits at its partner, its run still open.

-- All that the start guard has stopped, it alone can tell of: a pause of somebody else's becomes its
-- own, so that an administrator lifts it, and what waits is asked about first. False: it is already.
create function stop_sending_v1(guard text, reason text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    open pauses;
begin
    perform close_gate();
    select * into open from pauses s where s.scope = 'all' and s.resumed_at is null;
    if open.paused_by = guard then
        return false;
    end if;
    update pauses s
       set resumed_at = clock_timestamp(), resumed_by = guard,
           resumed_reason = 'taken over: ' || stop_sending_v1.reason
     where s.id = open.id;
    insert into pauses (scope, name, paused_at, paused_by, reason)
    values ('all', '', clock_timestamp(), guard, stop_sending_v1.reason);
    return true;
end $$;

-- Since when a partner has to have said something of an attempt: null where the attempt cannot have
-- been sent before the start guard's newest pause of everything was lifted.
create function doubted_until(attempt_key text) returns timestamptz
language sql stable set search_path = public, pg_temp as $$
    select max(s.resumed_at)
      from attempts a join payments p on p.id = a.payment_id
      join pauses s on s.scope = 'all' and s.paused_by = 'bursar:start-guard'
     where a.key = attempt_key
       and s.resumed_at > greatest(p.created_at, (p.terms ->> 'execute_at')::timestamptz)
$$;

-- As v3, and as `permit_unless_told`; and what may have been sent in a life that these books have forgotten is refused as `sent`
-- until its partner has been asked, whether anything tells of such a send or not.
create function mark_sent_v4(attempt_key text, out permit bigint, out refusal text)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    asked_since timestamptz;
begin
    select m.permit, m.refusal into permit, refusal
      from permit_unless_told(mark_sent_v4.attempt_key) m;
    asked_since := doubted_until(mark_sent_v4.attempt_key);
    if permit is null or asked_since is null or exists (
        select from partner_words w
         where w.attempt_key = mark_sent_v4.attempt_key and w.answered_at > asked_since)
    then
        return;
    end if;
    permit := null;
    refusal := 'sent';
    update attempts a
       set first_sent_at = least(a.first_sent_at, a.sent_at - interval '1 microsecond',
                                 greatest(p.created_at, (p.terms ->> 'execute_at')::timestamptz)),
           fence = a.fence - 1  -- Nobody has been given it.
      from payments p
     where a.key = mark_sent_v4.attempt_key and p.id = a.payment_id;
end $$;

-- For workers of the release before, which know no `told`.
create or replace function mark_sent_v3(attempt_key text, out permit bigint, out refusal text)
language sql security definer set search_path = public, pg_temp as $$
    select m.permit, case when m.refusal = 'told' then 'sent' else m.refusal end
      from mark_sent_v4(attempt_key) m
$$;
