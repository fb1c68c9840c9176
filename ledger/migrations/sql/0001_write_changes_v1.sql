-- 0001 · before deploy · a new function only.
-- Why: the one way into the books. A batch comes in as arrays; every change in it is answered by
-- itself, and all that it writes becomes durable in the caller's commit. Locks, in this order and
-- nowhere in another: balances by account id, payments by id, events by id; then keys in their
-- order. Plans are pinned: one made while the tables were small would scan them when large.
create function write_changes_v1(
    changes change_v1[], openings opening_v1[], moves move_v1[], legs leg_v1[],
    opened attempt_opened_v1[], closed attempt_closed_v1[], reopened attempt_reopened_v1[],
    applied event_applied_v1[], trouble case_v1[]) returns setof answer_v1
language plpgsql security definer
set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
    account_ids bigint[] := accounts_of(changes, legs);
    payment_ids text[] := array(
        select c.payment_id from unnest(changes) c where c.payment_id is not null);
    fates int[];
    outcomes text[];
    reversed bigint[];
    hold_ids bigint[];
    ids bigint[];
    at timestamptz;
begin
    perform from balances b where b.account_id = any (account_ids)
      order by b.account_id for no key update;
    perform from payments p where p.id = any (payment_ids) order by p.id for no key update;
    perform from partner_events e where e.id in (select a.row_id from unnest(applied) a)
      order by e.id for no key update;
    at := clock_timestamp();  -- After the locks, so that it rises with each account's seq.

    select * into fates, outcomes, reversed from judge_keys(changes);
    if cardinality(applied) > 0 then
        fates := judge_events(changes, applied, fates);
    end if;
    if exists (select from unnest(legs) l where l.hold is not null) then
        select * into fates, hold_ids from judge_holds(changes, legs, account_ids, fates);
    end if;
    if cardinality(legs) > 0 then
        fates := judge_limits(legs, account_ids, fates);
    end if;

    if cardinality(openings) > 0 then
        perform book_openings(openings, fates, at);
    end if;
    ids := book_transactions(changes, fates, reversed, at);
    if cardinality(legs) > 0 then
        perform book_legs(legs, account_ids, hold_ids, fates, ids);
        perform book_holds(legs, account_ids, hold_ids, fates, ids);
    end if;
    if cardinality(payment_ids) > 0 then
        perform book_moves(changes, moves, fates, ids, at);
    end if;
    if cardinality(opened) + cardinality(closed) + cardinality(reopened) > 0 then
        perform book_attempts(changes, opened, closed, reopened, fates, at);
    end if;
    if cardinality(applied) > 0 then
        perform book_events(applied, fates, at);
    end if;
    if cardinality(trouble) > 0 or exists (select from unnest(changes) c where c.closes_cases) then
        perform book_cases(changes, trouble, fates, ids, at);
    end if;

    return query
    select c.ordinality,
           case fates[c.ordinality] when 10 then 'repeated' when 11 then 'conflict'
               when 12 then 'stale' else 'written' end,
           nullif(case when fates[c.ordinality] < 10 then
               (array['booked', 'insufficient_funds', 'ceiling_exceeded', 'account_closed',
                      'hold_spent'])[fates[c.ordinality] + 1]
               else outcomes[c.ordinality] end, 'booked'),
           p.state
      from unnest(changes) with ordinality c
      left join payments p on p.id = c.payment_id
     order by c.ordinality;
end $$;
