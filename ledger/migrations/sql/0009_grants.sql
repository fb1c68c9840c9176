-- 0009 · before deploy · locks nothing that serves traffic.
-- Why: as in 0002; and a reader may look at the books from the last round on.
do $$
begin
    revoke execute on function check_mark_v1(), record_check_round_v1(
        bigint, bigint, bigint, bigint, bigint, jsonb, timestamptz, timestamptz) from public;
    grant execute on function record_check_round_v1(
        bigint, bigint, bigint, bigint, bigint, jsonb, timestamptz, timestamptz) to bursar_writer;
    grant execute on function check_mark_v1() to bursar_writer, bursar_reader;
    grant select on check_rounds to bursar_writer, bursar_reader;
end $$;
