-- 0017 · before deploy · a function is replaced, whose answer alone was wrong. Locks nothing.
-- Why: an event that a change has applied has no verdict, and was answered as given up.

-- As in 0015.
create or replace function give_up_event_v1(case_id bigint, by text, evidence text) returns text
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    opened_by text;
    told partner_events;
begin
    perform pass_gate();
    select t.key into opened_by
      from cases k join transactions t on t.id = k.transaction_id
     where k.id = give_up_event_v1.case_id and k.kind = 'event_set_aside';
    select * into told from partner_events e
     where e.id = split_part(opened_by, '/', 2)::bigint and e.set_aside_at is not null
       and opened_by = format('event/%s/set_aside/%s', e.id, e.redrives)
       for no key update;
    if told.id is null or told.applied_at is not null
       and not starts_with(coalesce(told.verdict, ''), 'given up')
    then
        return 'gone';
    end if;
    perform from cases k where k.id = give_up_event_v1.case_id for no key update;
    if (select count(*) from case_deciders(give_up_event_v1.case_id, 'given-up')) < 2 then
        return 'few';
    end if;
    update partner_events e
       set applied_at = clock_timestamp(), taken_at = coalesce(e.taken_at, clock_timestamp()),
           verdict = format('given up by %s: %s', by, evidence)
     where e.id = told.id and e.applied_at is null;
    return 'given_up';
end $$;
