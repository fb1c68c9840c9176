-- 0010 · before deploy · locks nothing that serves traffic.
-- Why: as in 0001, for what is new: writers may have periods made ahead, all may read.
revoke execute on function assert_entries_sound(), refuse_late_entry(), guard_part(name),
    make_periods_v1() from public;
grant execute on function make_periods_v1() to bursar_writer;
grant select on periods, closings, live_from, carried_forward to bursar_writer, bursar_reader;
