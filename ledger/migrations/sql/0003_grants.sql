-- 0003 · before deploy · locks nothing that serves traffic.
-- Why: what is new follows the rule of the first revision: writers run functions, all may read.
do $$
declare
    name text;
begin
    foreach name in array array[
        'note_line_v1(text, text, text, text, bigint)',
        'store_event_v2(text, text, text, text, text, bigint, text, text, text, date, timestamptz,
                        text, bytea, jsonb, text, bigint, bigint, text)',
        'events_to_relay_v2(bigint, interval)',
        'add_event_failure_v1(bigint, text, bigint)',
        'redrive_events_v1(bigint[], text)',
        'assign_case_v1(bigint, text, text)',
        'add_case_word_v1(bigint, text, text, text)',
        'close_case_v1(bigint, text, text, text, text)'] loop
        execute format('revoke execute on function %s from public', name);
        execute format('grant execute on function %s to bursar_writer', name);
    end loop;
    revoke execute on function case_money(bigint), keep_case_with_money() from public;
    grant select on partner_lines, case_words to bursar_writer, bursar_reader;
end $$;
