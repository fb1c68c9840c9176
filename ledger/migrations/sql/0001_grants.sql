-- 0001 · before deploy · locks nothing that serves traffic.
-- Why: whoever holds the writer's password can do what the functions do, and nothing else.
do $$
declare
    ours record;
begin
    for ours in
        select p.oid::regprocedure as name, p.prosecdef as callable from pg_proc p
         where p.pronamespace = 'public'::regnamespace
           and p.proowner = 'bursar_owner'::regrole
    loop
        execute format('revoke execute on function %s from public', ours.name);
        if ours.callable then
            execute format('grant execute on function %s to bursar_writer', ours.name);
        end if;
    end loop;
    for ours in
        select c.oid::regclass as name from pg_class c
         where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
           and (c.relowner = 'bursar_owner'::regrole or c.relname = 'alembic_version')
    loop
        execute format('grant select on %s to bursar_writer, bursar_reader', ours.name);
    end loop;
end $$;
