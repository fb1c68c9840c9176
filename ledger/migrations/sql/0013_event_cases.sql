-- 0013 · before deploy · a trigger on `cases` (locked for an instant) and a new function only.
-- Why: deciding a payment closed the case of an event that was set aside, and nobody was told any
-- more of what waits there, which may be another payment's money.

-- Such a row stays as it is, whoever would close it: a case of an event that is set aside until the
-- event is brought back; one of an event that waits for its run, but for people who close just it.
create function keep_case_of_event() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    if old.kind = 'event_waits' and new.closed_transaction_id is not null
       or old.kind = 'event_set_aside' and exists (
        select from transactions t
          join partner_events e on t.key = format('event/%s/set_aside/%s', e.id, e.redrives)
         where t.id = old.transaction_id and e.set_aside_at is not null and e.applied_at is null)
    then
        return null;
    end if;
    return new;
end $$;

create trigger event_first before update of closed_at on cases for each row
    when (old.closed_at is null and new.closed_at is not null
          and old.kind in ('event_set_aside', 'event_waits'))
    execute function keep_case_of_event();
