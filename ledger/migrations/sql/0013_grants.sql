-- 0013 · before deploy · locks nothing that serves traffic.
-- Why: as in 0001, for what is new.
do $$
declare
    ours record;
begin
    for ours in
        select p.oid::regprocedure as name, p.prosecdef as callable from pg_proc p
         where p.pronamespace = 'public'::regnamespace
           and p.proowner = 'bursar_owner'::regrole
           and p.proname in ('stop_sending_v1', 'doubted_until', 'mark_sent_v4', 'is_disabled_v1',
                             'add_approval_v2', 'case_deciders', 'add_case_word_v3',
                             'close_case_v3', 'keep_case_of_event')
    loop
        execute format('revoke execute on function %s from public', ours.name);
        if ours.callable then
            execute format('grant execute on function %s to bursar_writer', ours.name);
        end if;
    end loop;
end $$;
