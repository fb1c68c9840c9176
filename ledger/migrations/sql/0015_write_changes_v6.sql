-- 0015 · before deploy · new functions, and `write_changes_v5` is replaced by a call of its successor.
-- Locks nothing.
-- Why: what people have decided was counted before the commit that moves the money, so that one who
-- was disabled in between, or who took their word back, still moved it (INV-20).

-- Since when the outcome is asked for that a payment's attempt is being closed with. Who decides
-- `paid` captures first, and then settles by the same words.
create function decision_due_since(payment_id text) returns timestamptz
language sql stable set search_path = public, pg_temp as $$
    select case
           when last.evidence_id = 'resolution/' || p.id and p.state = 'submitted' then
               (select t.at from transitions t where t.payment_id = p.id and t.seq = p.seq - 1)
           when p.state = 'submitted' then
               greatest(p.updated_at, (select min(k.opened_at) from cases k
                                        where k.payment_id = p.id and k.closed_at is null))
           else p.updated_at end
      from payments p join transitions last on last.payment_id = p.id and last.seq = p.seq
     where p.id = decision_due_since.payment_id
$$;

-- Who stands for an outcome of a payment now: by each person's newest word since it is asked for,
-- without the disabled, and without whoever created it.
create function payment_deciders(payment_id text, decision text) returns setof text
language sql stable set search_path = public, pg_temp as $$
    select f.person from (
        select person_of(a.principal) as person,
               (array_agg(a.decision order by a.at desc))[1] as newest
          from approvals a
         where a.payment_id = payment_deciders.payment_id and starts_with(a.decision, 'resolve_')
           and a.at >= decision_due_since(payment_deciders.payment_id)
         group by 1) f
      join payments p on p.id = payment_deciders.payment_id and person_of(p.created_by) <> f.person
     where f.newest = payment_deciders.decision and not is_disabled_v1(f.person)
$$;

-- Two people have to stand for what a payment is decided as, and for where a case's money goes, in
-- the commit that does it; with fewer it comes too late. Their rows are locked, so no word changes.
create function judge_people(
    changes change_v1[], legs leg_v1[], closed attempt_closed_v2[], inout fates int[])
language plpgsql as $$
declare
    case_ids bigint[];  -- Of the changes, in the order of their array.
    few bigint;
begin
    select array_agg(case when c.key ~ '^case/[0-9]{1,18}/' then split_part(c.key, '/', 2)::bigint end
                     order by c.ordinality)
      into case_ids from unnest(changes) with ordinality c;
    perform from cases k where k.id = any (case_ids) order by k.id for no key update;
    for few in
        select l.n from unnest(legs) l
         where fates[l.n] = 0 and case_ids[l.n] is not null
           and l.account not in (select m.account from case_money(case_ids[l.n]) m)
           and (select count(*) from case_deciders(case_ids[l.n], l.account)) < 2
        union
        select a.n from unnest(closed) a
         where fates[a.n] = 0 and (changes[a.n]).closes_cases
           and (select count(*) from payment_deciders(a.payment_id, 'resolve_' || a.result)) < 2
    loop
        fates[few] := 12;
    end loop;
end $$;

-- As `write_changes_v5`, and what people have decided is judged by what they say now.
create function write_changes_v6(
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
    decided boolean;           -- By people, whether they close cases or empty suspense.
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
           bool_or(c.reverses is not null), bool_or(c.closes_cases),
           bool_or(c.closes_cases or starts_with(c.key, 'case/'))
      into keys, payment_ids, reversing, closing, decided from unnest(changes) c;
    if cardinality(moves) > 0 then
        gated := gated or exists (
            select from unnest(moves) m
             where m.after = 'submitting' or m.after = 'settled' and m.before <> 'submitted');
    end if;
    if gated or decided then
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
    if decided then
        fates := judge_people(changes, legs, closed, fates);
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

-- For workers and gateways of the releases before; v1 to v4 call it.
create or replace function write_changes_v5(
    changes change_v1[], openings opening_v1[], moves move_v1[], legs leg_v1[],
    opened attempt_opened_v2[], closed attempt_closed_v2[], reopened attempt_reopened_v2[],
    applied event_applied_v1[], trouble case_v1[]) returns setof answer_v1
language sql security definer
set search_path = public, pg_temp
as $$
    select * from write_changes_v6(changes, openings, moves, legs, opened, closed, reopened, applied,
                                   trouble)
$$;
