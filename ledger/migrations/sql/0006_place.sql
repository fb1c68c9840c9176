-- 0006 · before deploy · new types, functions and an aggregate only.
-- Why: at the callers' usual number a batch is small, and what it costs is its steps. Here the legs
-- are resolved, locked, judged and numbered in one of them, and a row is read once for all.

-- As `sum`, but in bigint all the way; beyond it is an error, as it is in the columns.
create aggregate total(bigint) (sfunc = int8pl, stype = bigint, initcond = '0');

create type placed_leg as (
    place        bigint,      -- In the batch's array of legs, counted from 1.
    n            bigint,
    account_id   bigint,
    currency     text,
    delta        bigint,
    held         bigint,
    side         smallint,
    posted       bigint,      -- The account's, before the batch; so are the next two.
    held_before  bigint,
    seq_before   bigint,
    seq          bigint,      -- The entry's; and the account's balance after it.
    posted_after bigint,
    held_after   bigint,
    is_last      boolean      -- Of its account in the batch.
);

create type placed_batch as (
    legs    placed_leg[],
    sound   bigint,           -- How many of the legs are sound in themselves.
    holding boolean,          -- Whether one of them makes a hold.
    naming  boolean,          -- Whether one of them names a hold.
    risky   boolean           -- Whether an account could pass a bound; see below.
);

-- Every leg with its place among its account's entries, as if all changes of the batch were booked:
-- within an account by change, and in a change what brings in comes first, so that no state in
-- between is below the one at its ends. The balances are locked by account id, and what the lock
-- has waited for is what it returns. A full join is never done as a loop in a loop, whatever the
-- server thought of the tables' sizes when it planned. `risky`: an account is closed, or could pass
-- a bound if only what takes from it came to pass. What makes a leg unsound, and how it is told,
-- stands in `accounts_of`.
create function lock_and_place(changes change_v1[], legs leg_v1[]) returns placed_batch
language plpgsql as $$
declare
    placed placed_batch;
begin
    with named as materialized (
        select l.*, l.ordinality as place, a.id as account_id, a.needs_evidence,
               a.currency as account_currency
          from unnest(legs) with ordinality l join accounts a on a.path = l.account
    ), found as materialized (
        select b.account_id, b.side, b.floor, b.ceiling, b.soft, b.closed, b.posted,
               b.held as held_before, b.seq as seq_before
          from balances b where b.account_id = any (array(select account_id from named))
         order by b.account_id for no key update
    ), placed as (
        select l.*, b.side, b.posted, b.held_before, b.seq_before,
               b.seq_before + row_number() over so_far as seq,
               b.posted + total(l.delta) over so_far as posted_after,
               b.held_before + total(l.held) over so_far as held_after,
               lead(l.place) over so_far is null as is_last,
               b.closed
               or (not b.soft or bool_or(l.held > 0) over so_far)
                  and b.side * b.posted - b.held_before
                      + total(least(b.side * l.delta - l.held, 0)) over so_far < b.floor
               or not b.soft
                  and b.side * b.posted
                      + total(greatest(b.side * l.delta, 0)) over so_far > b.ceiling as risky
          from named l full join found b on b.account_id = l.account_id
        window so_far as (partition by l.account_id
                          order by l.n, b.side * l.delta - l.held desc, l.place
                          rows unbounded preceding)
    )
    select array_agg(row(l.place, l.n, l.account_id, l.currency, l.delta, l.held, l.side, l.posted,
                         l.held_before, l.seq_before, l.seq, l.posted_after, l.held_after,
                         l.is_last)::placed_leg),
           count(*) filter (where l.currency = l.account_currency and l.side is not null
               and not (l.needs_evidence and l.delta <> 0
                        and coalesce((changes[l.n]).evidence_id, '') = '')
               and case when l.held < 0
                   then l.hold is not null and (l.releases or l.delta = l.held)
                   else l.hold is null and (l.held <> 0 or l.delta <> 0)
                        or l.held = 0 and l.delta > 0 end),
           bool_or(l.held > 0), bool_or(l.hold is not null), bool_or(l.risky)
      into placed from placed l;
    if placed.sound <> cardinality(legs) then
        perform accounts_of(changes, legs);
        raise 'a leg is not sound, and nothing says why';
    end if;
    return placed;
end $$;

-- The places of what is left when some changes are not booked.
create function place_again(legs placed_leg[], fates int[]) returns placed_leg[]
language plpgsql as $$
begin
    return array(
        select row(l.place, l.n, l.account_id, l.currency, l.delta, l.held, l.side, l.posted,
                   l.held_before, l.seq_before, l.seq_before + row_number() over so_far,
                   l.posted + total(l.delta) over so_far,
                   l.held_before + total(l.held) over so_far,
                   lead(l.place) over so_far is null)::placed_leg
          from unnest(legs) l where fates[l.n] = 0
        window so_far as (partition by l.account_id
                          order by l.n, l.side * l.delta - l.held desc, l.place
                          rows unbounded preceding));
end $$;

create function accounts_in_place(legs placed_leg[]) returns bigint[]
language sql immutable as $$
    select array_agg(l.account_id order by l.place) from unnest(legs) l
$$;

create function book_placed(legs placed_leg[], hold_ids bigint[], ids bigint[]) returns void
language plpgsql as $$
begin
    insert into entries (account_id, seq, transaction_id, currency, delta, held,
                         posted_after, held_after, hold_id)
    select l.account_id, l.seq, ids[l.n], l.currency, l.delta, l.held, l.posted_after,
           l.held_after, hold_ids[l.place]
      from unnest(legs) l;
    update balances b set posted = l.posted_after, held = l.held_after, seq = l.seq
      from unnest(legs) l where l.is_last and b.account_id = l.account_id;
end $$;
