-- 0017 · before deploy · locks nothing that serves traffic.
-- Why: as in 0001, for what is new; what is replaced keeps what it had.
revoke execute on function decision_due_since(text, text) from public;
