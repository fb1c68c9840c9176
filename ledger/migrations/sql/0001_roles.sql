-- 0001 · before deploy · locks nothing that serves traffic.
-- Why: tables belong to a role that nobody can log in as; writers may only call functions and
-- read; readers only read. Roles belong to the whole server, so another database may have made
-- them already, or be making them at this moment.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['bursar_owner', 'bursar_writer', 'bursar_reader'] loop
        begin
            if not exists (select from pg_roles where rolname = wanted) then
                execute format('create role %I nologin', wanted);
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- Another migration has just made it: that is what we wanted.
        end;
    end loop;
    if not pg_has_role(current_user, 'bursar_owner', 'member') then
        execute format('grant bursar_owner to %I', current_user);
    end if;
end $$;

grant usage, create on schema public to bursar_owner;
grant usage on schema public to bursar_writer, bursar_reader;
