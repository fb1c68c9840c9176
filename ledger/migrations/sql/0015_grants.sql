-- 0015 · before deploy · locks nothing that serves traffic.
-- Why: as in 0001, for what is new.
do $$
declare
    ours record;
begin
    for ours in
        select p.oid::regprocedure as name, p.prosecdef as callable from pg_proc p
         where p.pronamespace = 'public'::regnamespace
           and p.proowner = 'bursar_owner'::regrole
           and p.proname in ('decision_due_since', 'payment_deciders', 'judge_people',
                             'write_changes_v6', 'note_line_booked', 'give_up_event_v1')
    loop
        execute format('revoke execute on function %s from public', ours.name);
        if ours.callable then
            execute format('grant execute on function %s to bursar_writer', ours.name);
        end if;
    end loop;
end $$;
