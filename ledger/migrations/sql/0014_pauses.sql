-- 0014 · before deploy · a new function; `resume_v1` is replaced by a call of it. Locks nothing.
-- Why: who had paused everything before the start guard did found it lifted with the guard's pause.

-- As v1; and where the guard has taken over somebody's pause (`stop_sending_v1`), that one is in
-- force again as soon as the guard's is lifted. It is the pause of everything before it: all who
-- open one hold the gate closed, so ids are in order. `paused_still`: that is so.
create function resume_v2(
    scope text, name text, actor text, is_admin boolean, on_behalf_of text, reason text)
returns text language plpgsql security definer set search_path = public, pg_temp as $$
declare
    open pauses;
begin
    perform close_gate();
    select * into open from pauses s
     where s.scope = resume_v2.scope and s.name = resume_v2.name and s.resumed_at is null;
    if open.id is null then
        return case when is_known(scope, name) then 'not_paused' else 'unknown' end;
    end if;
    if open.paused_by <> actor and not is_admin then
        return 'not_allowed';
    end if;
    update pauses s
       set resumed_at = clock_timestamp(), resumed_by = actor, resumed_for = on_behalf_of,
           resumed_reason = resume_v2.reason
     where s.id = open.id;
    insert into pauses (scope, name, paused_at, paused_by, paused_for, reason)
    select b.scope, b.name, clock_timestamp(), b.paused_by, b.paused_for, b.reason
      from (select s.* from pauses s
             where s.scope = open.scope and s.name = open.name and s.id < open.id
             order by s.id desc limit 1) b
     where b.resumed_by = open.paused_by and starts_with(b.resumed_reason, 'taken over: ');
    return case when found then 'paused_still' else 'resumed' end;
end $$;

-- For gateways of the releases before, which know no `paused_still`.
create or replace function resume_v1(
    scope text, name text, actor text, is_admin boolean, on_behalf_of text, reason text)
returns text language sql security definer set search_path = public, pg_temp as $$
    select case r when 'paused_still' then 'resumed' else r end
      from resume_v2(scope, name, actor, is_admin, on_behalf_of, reason) r
$$;
