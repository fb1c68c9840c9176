-- 0005 · before deploy · a new type and new functions only.
-- Why: most of what a posting costs is looking the same rows up again. Here a leg is resolved,
-- judged sound and given its account's balance in one pass, and carries it through all steps that
-- follow: under the lock it stays what it was.

create type locked_leg as (
    place       bigint,      -- In the batch's array of legs, counted from 1.
    n           bigint,
    account_id  bigint,
    currency    text,
    delta       bigint,
    held        bigint,
    side        smallint,
    floor       bigint,
    ceiling     bigint,
    soft        boolean,
    closed      boolean,
    posted      bigint,      -- The account's, before the batch; so are the next two.
    held_before bigint,
    seq         bigint
);

-- Every leg with its balance, locked by account id, then read anew: it may have waited for the lock
-- of another batch, and sees what that one has written. `holding`: one of them makes a hold; `naming`:
-- one of them names a hold. What makes a leg unsound, and how it is told, stands in `accounts_of`.
create function lock_legs(
    changes change_v1[], legs leg_v1[], out locked locked_leg[], out holding boolean,
    out naming boolean)
language plpgsql as $$
declare
    sound bigint;
    paths text[] := array(select l.account from unnest(legs) l);
    account_ids bigint[] := array(select a.id from accounts a where a.path = any (paths));
begin
    perform from balances b where b.account_id = any (account_ids)
      order by b.account_id for no key update;
    select array_agg(row(l.place, l.n, l.account_id, l.currency, l.delta, l.held, l.side, l.floor,
                         l.ceiling, l.soft, l.closed, l.posted, l.held_before, l.seq)::locked_leg),
           bool_or(l.held > 0), bool_or(l.hold is not null),
           count(*) filter (where l.currency = l.account_currency
               and not (l.needs_evidence and l.delta <> 0
                        and coalesce((changes[l.n]).evidence_id, '') = '')
               and case when l.held < 0
                   then l.hold is not null and (l.releases or l.delta = l.held)
                   else l.hold is null and (l.held <> 0 or l.delta <> 0)
                        or l.held = 0 and l.delta > 0 end)
      into locked, holding, naming, sound
      from (select l.*, l.ordinality as place, a.id as account_id, a.needs_evidence,
                   a.currency as account_currency, b.side, b.floor, b.ceiling, b.soft, b.closed,
                   b.posted, b.held as held_before, b.seq
              from unnest(legs) with ordinality l
              join accounts a on a.path = l.account
              join balances b on b.account_id = a.id) l;
    if sound <> cardinality(legs) then
        perform accounts_of(changes, legs);
        raise 'a leg is not sound, and nothing says why';
    end if;
end $$;

create function accounts_in_order(locked locked_leg[]) returns bigint[]
language sql immutable as $$
    select array_agg(l.account_id order by l.place) from unnest(locked) l
$$;

-- Whether an account could pass a bound if, of this batch, only what takes from it came to pass.
create function is_at_risk(locked locked_leg[], fates int[]) returns boolean
language plpgsql as $$
begin
    return exists (
        select from unnest(locked) l
         where fates[l.n] = 0
         group by l.account_id
        having bool_or(l.closed)
            or min(case when not l.soft or l.held > 0
                        then l.side * l.posted - l.held_before - l.floor end)
                + sum(least(l.side * l.delta - l.held, 0)) < 0
            or max(case when not l.soft then l.side * l.posted - l.ceiling end)
                + sum(greatest(l.side * l.delta, 0)) > 0);
end $$;

-- As `book_transactions`, for whoever takes the violation of the key's own guard for what it is:
-- another commit has taken the key meanwhile, and the whole batch begins again.
create function insert_transactions(
    changes change_v1[], fates int[], reversed bigint[], at timestamptz) returns bigint[]
language plpgsql as $$
declare
    ids bigint[];
begin
    select array_agg(nextval('transactions_id_seq') order by n) into ids
      from generate_series(1, cardinality(changes)) n;
    insert into transactions (id, key, digest, kind, outcome, payment_id, attempt_key,
                              evidence_id, reverses, effective_on, booked_at, actor, reason)
    overriding system value
    select ids[c.ordinality], c.key, c.digest, c.kind,
           case fates[c.ordinality] when 0 then 'booked' when 1 then 'insufficient_funds'
               when 2 then 'ceiling_exceeded' when 3 then 'account_closed' else 'hold_spent' end,
           c.payment_id, c.attempt_key, c.evidence_id,
           case when fates[c.ordinality] = 0 then reversed[c.ordinality] end,
           c.effective_on, at, c.actor, c.reason
      from unnest(changes) with ordinality c
     where fates[c.ordinality] < 10
     order by c.key;
    return ids;
end $$;

-- Entries run on from the balance before the batch: within an account by change, and in a
-- change what brings in comes first, so that no state in between is below the one at its ends.
create function book_entries(locked locked_leg[], hold_ids bigint[], fates int[], ids bigint[])
returns void language plpgsql as $$
begin
    insert into entries (account_id, seq, transaction_id, currency, delta, held,
                         posted_after, held_after, hold_id)
    select l.account_id, l.seq + row_number() over so_far, ids[l.n], l.currency, l.delta, l.held,
           l.posted + (sum(l.delta) over so_far)::bigint,
           l.held_before + (sum(l.held) over so_far)::bigint, hold_ids[l.place]
      from unnest(locked) l
     where fates[l.n] = 0
    window so_far as (partition by l.account_id
                      order by l.n, l.side * l.delta - l.held desc, l.place
                      rows unbounded preceding);
    update balances b
       set posted = b.posted + w.delta, held = b.held + w.held, seq = b.seq + w.count
      from (select l.account_id, sum(l.delta)::bigint as delta, sum(l.held)::bigint as held,
                   count(*) as count
              from unnest(locked) l where fates[l.n] = 0 group by l.account_id) w
     where b.account_id = w.account_id;
end $$;
