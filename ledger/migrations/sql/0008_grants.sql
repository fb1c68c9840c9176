-- 0008 · before deploy · locks nothing that serves traffic.
-- Why: as in 0002; and a reader compares people as the books do.
do $$
declare
    name text;
begin
    foreach name in array array[
        'approvals_given_v2(text)',
        'add_case_word_v2(bigint, text, text, text)',
        'close_case_v2(bigint, text, text, text, text)'] loop
        execute format('revoke execute on function %s from public', name);
        execute format('grant execute on function %s to bursar_writer', name);
    end loop;
    revoke execute on function person_of(text) from public;
    grant execute on function person_of(text) to bursar_writer, bursar_reader;
    grant execute on function approvals_given_v2(text) to bursar_reader;
end $$;
