-- 0016 · before deploy · reads the journal from end to end, in a revision of its own and without a
-- lock that anybody waits for; and may be run again. Then it locks the rows of those payments of
-- which it notes a line, as who notes one does, until what it has found is inserted and committed.
-- It needs the right to make temporary tables, which everybody has who was not refused it.
-- Why: what the releases before 0012 have booked without noting it must not be booked once more as
-- another. Since 0015 whatever they book is noted as they do, so this one look back is enough.
create temp table found_lines on commit drop as
select distinct on (e.partner, e.line_ref)
       e.partner, e.line_ref, t.payment_id, t.kind, e.amount_minor, t.id
  from transactions t
  join partner_events e on 'partner:' || e.partner = t.actor
                       and 'event/' || e.event_id = t.evidence_id
 where t.kind in ('deposit', 'suspense', 'phantom') and t.outcome = 'booked'
   and right(t.key, length(e.line_ref) + 1) = '/' || e.line_ref and e.amount_minor > 0
   and not exists (select from partner_lines l
                    where l.partner = e.partner and l.line_ref = e.line_ref)
 order by e.partner, e.line_ref, t.id;
analyze found_lines;

select from payments p
 where p.id in (select u.payment_id from found_lines u)
 order by p.id for no key update;

-- What somebody has noted since it was found is left out, before anything is counted.
insert into partner_lines (partner, line_ref, payment_id, kind, amount_minor, ordinal, fits,
                           completes)
select u.partner, u.line_ref, u.payment_id, u.kind, u.amount_minor,
       row_number() over (partition by u.payment_id, u.kind order by u.id)
           + (select count(*) from partner_lines l
               where l.payment_id = u.payment_id and l.kind = u.kind),
       u.kind = 'deposit', false
  from found_lines u
 where not exists (select from partner_lines l
                    where l.partner = u.partner and l.line_ref = u.line_ref)
on conflict on constraint partner_lines_pkey do nothing;
