-- 0001 · before deploy · new functions only.
-- Why: the steps of `write_changes_v1` that decide; they write nothing. A change's fate is a
-- number: 0 booked · 1 funds, 2 ceiling, 3 closed account, 4 spent hold: refused, of two the
-- higher · 10 repeated, 11 conflict, 12 stale: nothing is written.

-- What nobody may ask for: a caller's bug. SQLSTATE BK001 tells it from the database's own errors.
create function raise_bug(key text, why text) returns void
language plpgsql as $$
begin
    raise '%: %', key, why using errcode = 'BK001';
end $$;

-- The account id of each leg, after every leg has been found sound in itself.
create function accounts_of(changes change_v1[], legs leg_v1[]) returns bigint[]
language plpgsql as $$
declare
    ids bigint[];
    place bigint;
begin
    select array_agg(a.id order by l.ordinality),
           min(case
               when a.id is null then l.ordinality
               when a.currency <> l.currency then l.ordinality
               when a.needs_evidence and l.delta <> 0
                    and coalesce((changes[l.n]).evidence_id, '') = ''
                   then l.ordinality
               when l.held < 0 and (l.hold is null or not l.releases and l.delta <> l.held)
                   then l.ordinality
               when l.held >= 0 and l.hold is not null and (l.held > 0 or l.delta <= 0)
                   then l.ordinality
               when l.held = 0 and l.delta = 0 then l.ordinality
               end)
      into ids, place
      from unnest(legs) with ordinality l left join accounts a on a.path = l.account;
    if place is not null then
        perform raise_leg_bug(changes, legs[place]);
    end if;
    return ids;
end $$;

create function raise_leg_bug(changes change_v1[], leg leg_v1) returns void
language plpgsql as $$
declare
    a accounts;
begin
    select * into a from accounts where path = leg.account;
    perform raise_bug((changes[leg.n]).key, case
        when a.id is null then format('there is no account %s', leg.account)
        when a.currency <> leg.currency
            then format('account %s holds %s, not %s', leg.account, a.currency, leg.currency)
        when leg.held < 0 and leg.hold is null
            then format('it takes from a hold on %s and does not say which', leg.account)
        when leg.held < 0 and not leg.releases and leg.delta <> leg.held
            then format('a capture on %s has to move what it takes: %s, not %s',
                        leg.account, leg.held, leg.delta)
        when leg.hold is not null
            then format('it names the hold %s on %s and neither takes from it nor brings back'
                        ' what was captured', leg.hold, leg.account)
        when leg.held = 0 and leg.delta = 0
            then format('its leg on %s moves nothing', leg.account)
        else format('account %s moves only with an evidence_id', leg.account)
    end);
end $$;

-- What is known already decides first: keys, then payments that are elsewhere.
create function judge_keys(
    changes change_v1[], out fates int[], out outcomes text[], out reversed bigint[])
language plpgsql as $$
declare
    place bigint;
begin
    select array_agg(case
               when t.digest = c.digest then 10
               when t.id is not null or p.content_hash <> c.opens_hash then 11
               when c.moving and p.state is distinct from c.begins and
                    (p.id is not null or c.opens_hash is not null) then 12
               else 0 end order by c.ordinality),
           array_agg(t.outcome order by c.ordinality),
           array_agg(r.id order by c.ordinality),
           min(case
               when t.id is not null then null
               when c.payment_id is not null and p.id is null and c.opens_hash is null
                    or c.reverses is not null and r.id is null
               then c.ordinality end)
      into fates, outcomes, reversed, place
      from unnest(changes) with ordinality c
      left join transactions t on t.key = c.key
      left join transactions r on r.key = c.reverses
      left join payments p on p.id = c.payment_id;
    if place is not null then
        perform raise_bug((changes[place]).key, format(
            'there is no payment %s, or no change %s to reverse',
            coalesce((changes[place]).payment_id, '(none)'),
            coalesce((changes[place]).reverses, '(none)')));
    end if;
end $$;

-- An event is taken account of once: a change that names one which another key has applied, or
-- which was set aside, comes too late.
create function judge_events(
    changes change_v1[], applied event_applied_v1[], inout fates int[])
language plpgsql as $$
declare
    bad record;
begin
    for bad in
        select a.n, a.row_id, e.id is null as unknown
          from unnest(applied) a left join partner_events e on e.id = a.row_id
         where fates[a.n] = 0 and (e.id is null or e.applied_at is not null)
    loop
        if bad.unknown then
            perform raise_bug((changes[bad.n]).key,
                              format('there is no partner event %s', bad.row_id));
        end if;
        fates[bad.n] := 12;
    end loop;
end $$;

-- A hold gives each of its units once. Locking the account's balance row guards its holds too.
create function judge_holds(
    changes change_v1[], legs leg_v1[], account_ids bigint[], inout fates int[],
    out hold_ids bigint[])
language plpgsql as $$
declare
    bad record;
begin
    select array_agg(t.id order by l.ordinality) into hold_ids
      from unnest(legs) with ordinality l left join transactions t on t.key = l.hold;
    for bad in
        select l.n, l.hold, t.id is null or t.outcome = 'booked' and h.amount is null as unknown
          from (select *, hold_ids[ordinality] as hold_id, account_ids[ordinality] as account_id
                  from unnest(legs) with ordinality) l
          left join transactions t on t.id = l.hold_id
          left join holds h on h.transaction_id = l.hold_id and h.account_id = l.account_id
         where l.hold is not null and fates[l.n] = 0
         group by l.n, l.hold, l.account_id, t.id, t.outcome,
                  h.amount, h.captured, h.released, h.returned
        having h.amount is null
            or sum(-l.held) > h.amount - h.captured - h.released
            or sum(l.delta) filter (where l.held = 0) > h.captured - h.returned
    loop
        if bad.unknown then
            perform raise_bug((changes[bad.n]).key,
                              format('there is no hold %s on this account', bad.hold));
        end if;
        fates[bad.n] := 4;
    end loop;
end $$;

-- Accounts that could pass a bound if, of this batch, only what takes from them came to pass.
create function accounts_at_risk(legs leg_v1[], account_ids bigint[], fates int[])
returns bigint[] language plpgsql as $$
begin
    return array(
        select b.account_id
          from (select account_ids[l.ordinality] as id, l.n, sum(l.delta)::bigint as delta,
                       sum(l.held)::bigint as held, bool_or(l.held > 0) as holds
                  from unnest(legs) with ordinality l
                 where fates[l.n] = 0 group by 1, 2) e
          join balances b on b.account_id = e.id
         group by b.account_id
        having b.closed
            or (not b.soft or bool_or(e.holds)) and b.side * b.posted - b.held
                + sum(least(b.side * e.delta - e.held, 0)) < b.floor
            or not b.soft and b.side * b.posted
                + sum(greatest(b.side * e.delta, 0)) > b.ceiling);
end $$;

-- Only the changes that touch such accounts are walked, in the order of the batch; a refused one
-- drops all its legs. A soft bound refuses new holds only: facts are booked whatever they do.
create function judge_limits(legs leg_v1[], account_ids bigint[], inout fates int[])
language plpgsql as $$
declare
    risky bigint[] := accounts_at_risk(legs, account_ids, fates);
    rooms bigint[];
    posted bigint[];
    change record;
    fate int;
begin
    if cardinality(risky) = 0 then
        return;
    end if;
    select array_agg(b.side * b.posted - b.held order by r.ordinality),
           array_agg(b.side * b.posted order by r.ordinality) into rooms, posted
      from unnest(risky) with ordinality r(id) join balances b on b.account_id = r.id;
    for change in
        select e.n, array_agg(e.slot) as slots, array_agg(b.side * e.delta - e.held) as rooms,
               array_agg(b.side * e.delta) as moved, array_agg(b.closed) as closed,
               array_agg(case when not b.soft or e.holds then b.floor end) as floors,
               array_agg(case when not b.soft then b.ceiling end) as ceilings
          from (select l.n, array_position(risky, account_ids[l.ordinality]) as slot,
                       sum(l.delta)::bigint as delta, sum(l.held)::bigint as held,
                       bool_or(l.held > 0) as holds
                  from unnest(legs) with ordinality l
                 where fates[l.n] = 0 and account_ids[l.ordinality] = any (risky)
                 group by 1, 2) e
          join balances b on b.account_id = risky[e.slot]
         group by e.n order by e.n
    loop
        fate := 0;
        for i in 1 .. cardinality(change.slots) loop
            fate := greatest(fate, case
                when change.closed[i] then 3
                when change.moved[i] > 0
                    and posted[change.slots[i]] + change.moved[i] > change.ceilings[i] then 2
                when change.rooms[i] < 0
                    and rooms[change.slots[i]] + change.rooms[i] < change.floors[i] then 1
                else 0 end);
        end loop;
        fates[change.n] := fate;
        continue when fate > 0;
        for i in 1 .. cardinality(change.slots) loop
            rooms[change.slots[i]] := rooms[change.slots[i]] + change.rooms[i];
            posted[change.slots[i]] := posted[change.slots[i]] + change.moved[i];
        end loop;
    end loop;
end $$;
