-- 0015 · before deploy · a trigger on `transactions`, whose writers wait for an instant (SHARE ROW
-- EXCLUSIVE; it waits for those that write).
-- Why: workers of the release before 0012 run on while it is rolled out, and again on the way back
-- to it. They book what is an account's or nobody's without noting it, and what is told of it later
-- in other words would be booked once more.

-- What is noted already, as this release does before it books, stays as it is.
create function note_line_booked() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    insert into partner_lines (partner, line_ref, payment_id, kind, amount_minor, ordinal, fits,
                               completes)
    select e.partner, e.line_ref, new.payment_id, new.kind, e.amount_minor,
           1 + (select count(*) from partner_lines l
                 where l.payment_id = new.payment_id and l.kind = new.kind),
           new.kind = 'deposit', false
      from partner_events e
     where e.partner = substr(new.actor, length('partner:') + 1)
       and e.event_id = substr(new.evidence_id, length('event/') + 1)
       and right(new.key, length(e.line_ref) + 1) = '/' || e.line_ref and e.amount_minor > 0
    on conflict on constraint partner_lines_pkey do nothing;
    return null;
end $$;

create trigger line_noted after insert on transactions for each row
    when (new.kind in ('deposit', 'suspense', 'phantom') and new.outcome = 'booked'
          and starts_with(new.actor, 'partner:') and starts_with(new.evidence_id, 'event/'))
    execute function note_line_booked();
