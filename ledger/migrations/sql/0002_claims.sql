-- 0002 · before deploy · new types and functions only; see the end for what it drops.
-- Why: a claim, a resend and a transfer's booking are judged in the commit that makes them. More
-- fates (see 0001_judge.sql), of which nothing is written and which may pass later:
-- 13 paused · 14 not approved · 15 over a limit · 16 not due yet.

create type attempt_opened_v2 as (
    n bigint, payment_id text, ordinal bigint, key text, partner text, wire_hash text,
    content_hash text          -- Of the request that the wire body was made of.
);

create type attempt_closed_v2 as (
    n bigint, payment_id text, key text, result text, partner_ref text, code text,
    fence bigint               -- Null: definite evidence, which is never too late.
);

create type attempt_reopened_v2 as (n bigint, payment_id text, key text, fence bigint);

-- Everything that lets money leave holds this in shared mode until it commits; who pauses, caps or
-- disables holds it alone. So what has returned from those binds every later commit.
create function pass_gate() returns void
language sql as $$ select pg_advisory_xact_lock_shared(7094702627973330021) $$;  -- "bursgate"

create function close_gate() returns void
language sql as $$ select pg_advisory_xact_lock(7094702627973330021) $$;

create function is_paused(partner text, currency text, tenant text) returns boolean
language sql stable as $$
    select exists (
        select from pauses s
         where s.resumed_at is null
           and (s.scope = 'all' or s.scope = 'partner' and s.name = is_paused.partner
                or s.scope = 'currency' and s.name = is_paused.currency
                or s.scope = 'tenant' and s.name = is_paused.tenant))
$$;

-- How many people's approvals count now for what the payment is, by the rule frozen on it.
create function approvals_given_v1(payment text) returns bigint
language sql stable security definer set search_path = public, pg_temp as $$
    select count(distinct a.principal)
      from payments p join approvals a on a.payment_id = p.id
     where p.id = payment and a.decision = 'approve' and a.principal <> p.created_by
       and a.content_hash = p.content_hash
       and a.role = p.terms #>> '{approvals,role}'
       and a.rule_version = p.terms #>> '{approvals,version}'
       and a.at <= coalesce((p.terms ->> 'approve_by')::timestamptz, a.at)
       and not exists (select from approvals d where d.payment_id = a.payment_id
                       and d.principal = a.principal and d.decision = 'deny')
       and not exists (select from people_disabled x where x.principal = a.principal)
$$;

-- What each change is to the gate, in bits: 1 opens an attempt, 2 reopens one, 4 moves into
-- submitting, 8 books a transfer. A claim is 5, a resend 6; nothing else may have the first three.
create function gates_of(
    changes change_v1[], moves move_v1[], opened attempt_opened_v2[],
    reopened attempt_reopened_v2[]) returns int[]
language plpgsql as $$
declare
    gates int[];
    bad bigint;
begin
    select array_agg(g.bits order by g.n), min(g.n) filter (where g.bits not in (0, 5, 6, 8))
      into gates, bad
      from (select n, bit_or(bit) as bits
              from (select c.ordinality as n, 0 as bit from unnest(changes) with ordinality c
                    union all select n, 1 from unnest(opened)
                    union all select n, 2 from unnest(reopened)
                    union all select n, 4 from unnest(moves) where after = 'submitting'
                    union all select n, 8 from unnest(moves)
                               where after = 'settled' and before <> 'submitted') s
             group by n) g;
    if bad is not null then
        perform raise_bug((changes[bad]).key,
            'a move into submitting goes with the claim or the reopening of an attempt, and only'
            ' with one');
    end if;
    return gates;
end $$;

-- Bugs of who claims: another content than the payment's, or an attempt that is not the next one.
create function check_claims(changes change_v1[], opened attempt_opened_v2[], fates int[])
returns void language plpgsql as $$
declare
    bad record;
begin
    select o.n, o.ordinal, o.content_hash <> p.content_hash as other into bad
      from unnest(opened) o join payments p on p.id = o.payment_id
      left join lateral (select max(a.ordinal) as ordinal from attempts a
                          where a.payment_id = o.payment_id) last on true
     where fates[o.n] = 0 and (o.content_hash <> p.content_hash
                               or o.ordinal <> coalesce(last.ordinal, 0) + 1)
     order by o.n limit 1;
    if found then
        perform raise_bug((changes[bad.n]).key, case
            when bad.other then 'it claims other content than the payment has'
            else format('attempt %s is not the next one', bad.ordinal) end);
    end if;
end $$;

create function judge_pauses(
    changes change_v1[], openings opening_v1[], opened attempt_opened_v2[],
    reopened attempt_reopened_v2[], gates int[], inout fates int[])
language plpgsql as $$
declare
    held bigint;
begin
    for held in
        select w.n
          from (select o.n, o.partner, p.currency, p.tenant
                  from unnest(opened) o join payments p on p.id = o.payment_id
                union all
                select r.n, a.partner, p.currency, p.tenant
                  from unnest(reopened) r join attempts a on a.key = r.key
                  join payments p on p.id = a.payment_id
                union all
                select c.ordinality, null, coalesce(p.currency, t.currency),
                       coalesce(p.tenant, t.tenant)
                  from unnest(changes) with ordinality c
                  left join payments p on p.id = c.payment_id
                  left join unnest(openings) t on t.n = c.ordinality
                 where gates[c.ordinality] = 8) w
         where fates[w.n] = 0 and is_paused(w.partner, w.currency, w.tenant)
    loop
        fates[held] := 13;
    end loop;
end $$;

create function judge_terms(opened attempt_opened_v2[], at timestamptz, inout fates int[])
language plpgsql as $$
declare
    held record;
begin
    for held in
        select v.n, v.fate
          from (select o.n, case
                       when (p.terms ->> 'execute_at')::timestamptz > at then 16
                       when jsonb_typeof(p.terms -> 'approvals') = 'object'
                            and approvals_given_v1(p.id)
                                < (p.terms #>> '{approvals,number}')::int then 14 end as fate
                  from unnest(opened) o join payments p on p.id = o.payment_id
                 where fates[o.n] = 0) v
         where v.fate is not null
    loop
        fates[held.n] := held.fate;
    end loop;
end $$;

-- Which caps each claim comes under. Those in force change only while the gate is closed.
create function caps_of(opened attempt_opened_v2[], fates int[])
returns table (n bigint, cap_id bigint, amount_minor bigint) language plpgsql as $$
begin
    return query
    select o.n, c.id, p.amount_minor
      from unnest(opened) o join payments p on p.id = o.payment_id
      join caps c on c.ended_at is null and c.currency = p.currency
           and coalesce(c.partner, o.partner) = o.partner
           and coalesce(c.tenant, p.tenant) = p.tenant
     where fates[o.n] = 0;
end $$;

-- In the order of the batch; what does not fit under one of its caps is counted under none.
create function judge_caps(opened attempt_opened_v2[], at timestamptz, inout fates int[])
language plpgsql as $$
declare
    ids bigint[];
    singles bigint[];
    days bigint[];
    used bigint[];
    claim record;
begin
    ids := array(select distinct c.cap_id from caps_of(opened, fates) c order by 1);
    if cardinality(ids) = 0 then
        return;
    end if;
    perform from caps c where c.id = any (ids) order by c.id for no key update;
    select array_agg(c.per_payment_minor order by c.id), array_agg(c.per_day_minor order by c.id),
           array_agg(coalesce(u.amount_minor, 0) order by c.id) into singles, days, used
      from caps c left join cap_uses u on u.cap_id = c.id and u.day = (at at time zone 'UTC')::date
     where c.id = any (ids);
    for claim in
        select c.n, c.amount_minor as amount,
               array_agg(array_position(ids, c.cap_id)) as slots
          from caps_of(opened, fates) c group by c.n, c.amount_minor order by c.n
    loop
        for i in 1 .. cardinality(claim.slots) loop
            if claim.amount > singles[claim.slots[i]]
               or used[claim.slots[i]] + claim.amount > days[claim.slots[i]] then
                fates[claim.n] := 15;
            end if;
        end loop;
        continue when fates[claim.n] = 15;
        for i in 1 .. cardinality(claim.slots) loop
            used[claim.slots[i]] := used[claim.slots[i]] + claim.amount;
        end loop;
    end loop;
end $$;

create function book_caps(opened attempt_opened_v2[], fates int[], claimed_at timestamptz)
returns void language sql as $$
    insert into cap_uses as u (cap_id, day, amount_minor)
    select c.cap_id, (claimed_at at time zone 'UTC')::date, sum(c.amount_minor)::bigint
      from caps_of(opened, fates) c group by c.cap_id order by c.cap_id
    on conflict (cap_id, day) do update set amount_minor = u.amount_minor + excluded.amount_minor
$$;

-- Who writes with an older permission than the newest one comes too late.
create function judge_fences(
    closed attempt_closed_v2[], reopened attempt_reopened_v2[], inout fates int[])
language plpgsql as $$
declare
    late bigint;
begin
    for late in
        select k.n
          from (select n, key, fence from unnest(closed)
                union all select n, key, fence from unnest(reopened)) k
          join attempts a on a.key = k.key
         where fates[k.n] = 0 and a.fence <> k.fence
    loop
        fates[late] := 12;
    end loop;
end $$;

-- As in 0001, and a reopening raises the fence. The claim: from here on bytes may leave, so no
-- clock may end the payment's hold any more.
create function book_claims(
    changes change_v1[], opened attempt_opened_v2[], closed attempt_closed_v2[],
    reopened attempt_reopened_v2[], fates int[], at timestamptz) returns void
language plpgsql as $$
declare
    missing record;
begin
    insert into attempts (key, payment_id, ordinal, partner, wire_hash, opened_at)
    select o.key, o.payment_id, o.ordinal, o.partner, o.wire_hash, at
      from unnest(opened) o where fates[o.n] = 0 order by o.key;
    update holds h set expires_at = null
      from unnest(opened) o join transactions t on t.payment_id = o.payment_id
     where h.transaction_id = t.id and h.expires_at is not null and fates[o.n] = 0;
    for missing in
        select k.n, k.key
          from (select n, payment_id, key from unnest(closed)
                union all select n, payment_id, key from unnest(reopened)) k
          left join attempts a on a.key = k.key and a.payment_id = k.payment_id
         where a.key is null and fates[k.n] = 0
    loop
        perform raise_bug((changes[missing.n]).key,
                          format('its payment has no attempt %s', missing.key));
    end loop;
    update attempts a
       set result = c.result, code = c.code, closed_at = at,
           partner_ref = coalesce(c.partner_ref, a.partner_ref)
      from unnest(closed) c
     where a.key = c.key and fates[c.n] = 0;
    update attempts a set sent_at = null, fence = a.fence + 1
      from unnest(reopened) r where a.key = r.key and fates[r.n] = 0;
end $$;

-- The only other function that could insert an attempt: a call of the old `write_changes_v1` that
-- is under way while this commits fails here, and its repeat is judged.
drop function book_attempts(change_v1[], attempt_opened_v1[], attempt_closed_v1[],
                            attempt_reopened_v1[], int[], timestamptz);
