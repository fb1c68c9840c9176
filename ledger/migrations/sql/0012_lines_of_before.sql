-- 0012 · before deploy · reads the journal once; `partner_lines` stays locked for writers until then.
-- Why: what the releases before booked without noting it must not be booked once more as another.
insert into partner_lines (partner, line_ref, payment_id, kind, amount_minor, ordinal, fits,
                           completes)
select e.partner, e.line_ref, t.payment_id, t.kind, e.amount_minor,
       row_number() over (partition by t.payment_id, t.kind order by t.id), t.kind = 'deposit', false
  from transactions t
  join partner_events e on 'partner:' || e.partner = t.actor
                       and 'event/' || e.event_id = t.evidence_id
 where t.kind in ('deposit', 'suspense', 'phantom') and t.outcome = 'booked'
   and right(t.key, length(e.line_ref) + 1) = '/' || e.line_ref and e.amount_minor > 0
on conflict on constraint partner_lines_pkey do nothing;
