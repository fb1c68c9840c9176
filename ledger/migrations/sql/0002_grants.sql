-- 0002 · before deploy · locks nothing that serves traffic.
-- Why: as in 0001 for what is new; and a reader may count approvals, since that changes nothing.
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
    grant execute on function approvals_given_v1(text) to bursar_reader;
    grant select on pauses, caps, cap_uses, people_disabled to bursar_writer, bursar_reader;
end $$;
