-- 0012 · before deploy · a function replaced. Locks nothing.
-- Why: a transfer's date is judged by the books' clock in the commit that books it, as a payout's is
-- in its claim; not by the clock of a worker alone.
create or replace function judge_bookings(
    changes change_v1[], openings opening_v1[], gates int[], inout fates int[])
language plpgsql as $$
declare
    held record;
begin
    for held in
        select v.n, v.fate
          from (select b.n, case
                       when (b.terms ->> 'execute_at')::timestamptz > clock_timestamp() then 16
                       when jsonb_typeof(b.terms -> 'approvals') = 'object'
                            and approvals_given_v2(b.payment_id)
                                < (b.terms #>> '{approvals,number}')::int then 14 end as fate
                  from (select c.ordinality as n, c.payment_id,
                               coalesce(p.terms, t.terms) as terms
                          from unnest(changes) with ordinality c
                          left join payments p on p.id = c.payment_id
                          left join unnest(openings) t on t.n = c.ordinality
                         where gates[c.ordinality] = 8) b
                 where fates[b.n] = 0) v
         where v.fate is not null
    loop
        fates[held.n] := held.fate;
    end loop;
end $$;
