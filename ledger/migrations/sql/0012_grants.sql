-- 0012 · before deploy · locks nothing that serves traffic.
-- Why: as in 0003, for what is new.
revoke execute on function note_line_v2(text, text, text, text, bigint), permit_unless_told(text)
    from public;
grant execute on function note_line_v2(text, text, text, text, bigint) to bursar_writer;
