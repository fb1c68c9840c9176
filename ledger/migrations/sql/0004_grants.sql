-- 0004 · before deploy · locks nothing that serves traffic.
-- Why: whoever may read the tables may read the views, and call what the views are made of;
-- writers may call what they need, and nothing else.
revoke execute on function delay_of(jsonb, text, interval), asking_takes(jsonb),
    remember_send_v1(text, text, text, timestamptz), mark_sent_v3(text) from public;
grant execute on function delay_of(jsonb, text, interval), asking_takes(jsonb)
    to bursar_writer, bursar_reader;
grant execute on function remember_send_v1(text, text, text, timestamptz), mark_sent_v3(text)
    to bursar_writer;
grant select on payment_next, payments_overdue, forgotten_sends to bursar_writer, bursar_reader;
