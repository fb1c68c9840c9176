-- 0011 · before deploy · a new function, and its forerunners replaced by calls of it. Locks nothing.
-- Why: as `write_changes_v4`, and a transfer's approvals are counted in the commit that books it, as a
-- payout's are in its claim (INV-18): a person who is disabled while it is booked counts no more.

create function judge_bookings(
    changes change_v1[], openings opening_v1[], gates int[], inout fates int[])
language plpgsql as $$
declare
    held bigint;
begin
    for held in
        select b.n
          from (select c.ordinality as n, c.payment_id, coalesce(p.terms, t.terms) as terms
                  from unnest(changes) with ordinality c
                  left join payments p on p.id = c.payment_id
                  left join unnest(openings) t on t.n = c.ordinality
                 where gates[c.ordinality] = 8) b
         where fates[b.n] = 0 and jsonb_typeof(b.terms -> 'approvals') = 'object'
           and approvals_given_v2(b.payment_id) < (b.terms #>> '{approvals,number}')::int
    loop
        fates[held] := 14;
    end loop;
end $$;

create function write_changes_v5(
    changes change_v1[], openings opening_v1[], moves move_v1[], legs leg_v1[],
    opened attempt_opened_v2[], closed attempt_closed_v2[], reopened attempt_reopened_v2[],
    applied event_applied_v1[], trouble case_v1[]) returns setof answer_v1
language plpgsql security definer
set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
    keys text[];
    payment_ids text[];
    reversing boolean;
    closing boolean;
    gated boolean := cardinality(opened) + cardinality(reopened) > 0;
    placed placed_batch;
    account_ids bigint[];      -- Of the legs, in the order of their array.
    fates int[];
    outcomes text[];
    reversed bigint[];
    hold_ids bigint[];
    ids bigint[];
    gates int[];
    at timestamptz;
begin
    select array_agg(c.key), array_agg(c.payment_id) filter (where c.payment_id is not null),
           bool_or(c.reverses is not null), bool_or(c.closes_cases)
      into keys, payment_ids, reversing, closing from unnest(changes) c;
    if cardinality(moves) > 0 then
        gated := gated or exists (
            select from unnest(moves) m
             where m.after = 'submitting' or m.after = 'settled' and m.before <> 'submitted');
    end if;
    if gated then
        perform pass_gate();
    end if;
    if cardinality(legs) > 0 then
        placed := lock_and_place(changes, legs);
    end if;
    if payment_ids is not null then
        perform from payments p where p.id = any (payment_ids) order by p.id for no key update;
    end if;
    if cardinality(applied) > 0 then
        perform from partner_events e where e.id in (select a.row_id from unnest(applied) a)
          order by e.id for no key update;
    end if;
    at := clock_timestamp();  -- After the locks, so that it rises with each account's seq.

    if reversing or payment_ids is not null
       or exists (select from transactions t where t.key = any (keys)) then
        select * into fates, outcomes, reversed from judge_keys(changes);
    else
        fates := array_fill(0, array[cardinality(changes)]);
    end if;
    if cardinality(applied) > 0 then
        fates := judge_events(changes, applied, fates);
    end if;
    if cardinality(closed) + cardinality(reopened) > 0 then
        fates := judge_fences(closed, reopened, fates);
    end if;
    if gated then
        gates := gates_of(changes, moves, opened, reopened);
        if exists (select from pauses s where s.resumed_at is null) then
            fates := judge_pauses(changes, openings, opened, reopened, gates, fates);
        end if;
        if 8 = any (gates) then
            fates := judge_bookings(changes, openings, gates, fates);
        end if;
    end if;
    if cardinality(opened) > 0 then
        perform check_claims(changes, opened, fates);
        fates := judge_terms(opened, at, fates);
        fates := judge_caps(opened, at, fates);
    end if;
    if placed.holding or placed.naming or placed.risky then
        account_ids := accounts_in_place(placed.legs);
    end if;
    if placed.naming then
        select * into fates, hold_ids from judge_holds(changes, legs, account_ids, fates);
    end if;
    if placed.risky then
        fates := judge_limits(legs, account_ids, fates);
    end if;
    if 0 <> any (fates) then
        placed.legs := place_again(placed.legs, fates);
    end if;

    if cardinality(openings) > 0 then
        perform book_openings(openings, fates, at);
    end if;
    ids := insert_transactions(changes, fates, reversed, at);
    if cardinality(placed.legs) > 0 then
        perform book_placed(placed.legs, hold_ids, ids);
    end if;
    if placed.holding or placed.naming then
        perform book_holds(legs, account_ids, hold_ids, fates, ids);
    end if;
    if payment_ids is not null then
        perform book_moves(changes, moves, fates, ids, at);
    end if;
    if cardinality(opened) + cardinality(closed) + cardinality(reopened) > 0 then
        perform book_claims(changes, opened, closed, reopened, fates, at);
    end if;
    if cardinality(opened) > 0 then
        perform book_caps(opened, fates, at);
    end if;
    if cardinality(applied) > 0 then
        perform book_events(applied, fates, at);
    end if;
    if cardinality(trouble) > 0 or closing then
        perform book_cases(changes, trouble, fates, ids, at);
    end if;

    if payment_ids is null and 0 = all (fates) then
        return;
    end if;
    return query
    select c.ordinality,
           case when fates[c.ordinality] < 10 then 'written'
               else (array['repeated', 'conflict', 'stale', 'held', 'held', 'held', 'held'])
                    [fates[c.ordinality] - 9] end,
           case when fates[c.ordinality] between 1 and 4 then
               (array['insufficient_funds', 'ceiling_exceeded', 'account_closed',
                      'hold_spent'])[fates[c.ordinality]]
               when fates[c.ordinality] >= 13 then
               (array['paused', 'not_approved', 'over_limit', 'not_due'])[fates[c.ordinality] - 12]
               when fates[c.ordinality] >= 10 then nullif(outcomes[c.ordinality], 'booked') end,
           p.state
      from unnest(changes) with ordinality c
      left join payments p on p.id = c.payment_id
     where c.payment_id is not null or fates[c.ordinality] <> 0
     order by c.ordinality;
end $$;

-- For workers of the releases before. They expect a row for every change, but for those of v4.
create or replace function write_changes_v2(
    changes change_v1[], openings opening_v1[], moves move_v1[], legs leg_v1[],
    opened attempt_opened_v2[], closed attempt_closed_v2[], reopened attempt_reopened_v2[],
    applied event_applied_v1[], trouble case_v1[]) returns setof answer_v1
language sql security definer
set search_path = public, pg_temp
as $$
    select c.ordinality, coalesce(a.fate, 'written'), a.refusal, a.state
      from unnest(changes) with ordinality c
      left join write_changes_v5(changes, openings, moves, legs, opened, closed, reopened, applied,
                          trouble) a on a.n = c.ordinality
     order by c.ordinality
$$;

create or replace function write_changes_v3(
    changes change_v1[], openings opening_v1[], moves move_v1[], legs leg_v1[],
    opened attempt_opened_v2[], closed attempt_closed_v2[], reopened attempt_reopened_v2[],
    applied event_applied_v1[], trouble case_v1[]) returns setof answer_v1
language sql security definer
set search_path = public, pg_temp
as $$
    select c.ordinality, coalesce(a.fate, 'written'), a.refusal, a.state
      from unnest(changes) with ordinality c
      left join write_changes_v5(changes, openings, moves, legs, opened, closed, reopened, applied,
                          trouble) a on a.n = c.ordinality
     order by c.ordinality
$$;

create or replace function write_changes_v4(
    changes change_v1[], openings opening_v1[], moves move_v1[], legs leg_v1[],
    opened attempt_opened_v2[], closed attempt_closed_v2[], reopened attempt_reopened_v2[],
    applied event_applied_v1[], trouble case_v1[]) returns setof answer_v1
language sql security definer
set search_path = public, pg_temp
as $$
    select * from write_changes_v5(changes, openings, moves, legs, opened, closed, reopened, applied,
                          trouble)
$$;
