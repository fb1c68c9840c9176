-- 0001 · before deploy · new functions only.
-- Why: the steps of `write_changes_v1` that write what has been decided, one subject each.

-- The anchors: one row for each change that is answered now, refused ones too. A key that another
-- commit has taken meanwhile makes the whole batch begin again.
create function book_transactions(
    changes change_v1[], fates int[], reversed bigint[], at timestamptz) returns bigint[]
language plpgsql as $$
declare
    ids bigint[];
    wanted bigint := (select count(*) from unnest(fates) fate where fate < 10);
    written bigint;
begin
    select array_agg(nextval('transactions_id_seq') order by n) into ids
      from generate_series(1, cardinality(changes)) n;
    insert into transactions (id, key, digest, kind, outcome, payment_id, attempt_key,
                              evidence_id, reverses, effective_on, booked_at, actor, reason)
    overriding system value
    select ids[c.ordinality], c.key, c.digest, c.kind,
           (array['booked', 'insufficient_funds', 'ceiling_exceeded', 'account_closed',
                  'hold_spent'])[fates[c.ordinality] + 1],
           c.payment_id, c.attempt_key, c.evidence_id,
           case when fates[c.ordinality] = 0 then reversed[c.ordinality] end,
           c.effective_on, at, c.actor, c.reason
      from unnest(changes) with ordinality c
     where fates[c.ordinality] < 10
     order by c.key
    on conflict (key) do nothing;
    get diagnostics written = row_count;
    if written <> wanted then
        raise 'a key of this batch was taken meanwhile' using errcode = 'serialization_failure';
    end if;
    return ids;
end $$;

-- Entries run on from the balance: within an account by change, and in a change what brings in
-- comes first, so that no state in between is below the one at its ends.
create function book_legs(
    legs leg_v1[], account_ids bigint[], hold_ids bigint[], fates int[], ids bigint[])
returns void language plpgsql as $$
begin
    with written as (
        insert into entries (account_id, seq, transaction_id, currency, delta, held,
                             posted_after, held_after, hold_id)
        select b.account_id, b.seq + row_number() over so_far, ids[l.n], l.currency,
               l.delta, l.held, b.posted + (sum(l.delta) over so_far)::bigint,
               b.held + (sum(l.held) over so_far)::bigint, hold_ids[l.ordinality]
          from unnest(legs) with ordinality l
          join balances b on b.account_id = account_ids[l.ordinality]
         where fates[l.n] = 0
        window so_far as (partition by b.account_id
                          order by l.n, b.side * l.delta - l.held desc, l.ordinality
                          rows unbounded preceding)
        returning account_id, delta, held
    )
    update balances b
       set posted = b.posted + w.delta, held = b.held + w.held, seq = b.seq + w.count
      from (select account_id, sum(delta)::bigint as delta, sum(held)::bigint as held,
                   count(*) as count
              from written group by account_id) w
     where b.account_id = w.account_id;
end $$;

create function book_holds(
    legs leg_v1[], account_ids bigint[], hold_ids bigint[], fates int[], ids bigint[])
returns void language plpgsql as $$
begin
    insert into holds (transaction_id, account_id, amount, expires_at)
    select ids[l.n], account_ids[l.ordinality], sum(l.held)::bigint, min(l.expires_at)
      from unnest(legs) with ordinality l
     where l.held > 0 and fates[l.n] = 0
     group by 1, 2;
    if hold_ids is null then
        return;
    end if;
    update holds h
       set captured = h.captured + t.captured, released = h.released + t.released,
           returned = h.returned + t.returned
      from (select hold_ids[l.ordinality] as id, account_ids[l.ordinality] as account_id,
                   sum(case when l.releases then 0 else -l.held end)::bigint as captured,
                   sum(case when l.releases then -l.held else 0 end)::bigint as released,
                   sum(case when l.held = 0 then l.delta else 0 end)::bigint as returned
              from unnest(legs) with ordinality l
             where l.hold is not null and fates[l.n] = 0
             group by 1, 2) t
     where h.transaction_id = t.id and h.account_id = t.account_id;
end $$;

-- Payments are registered even where the books refuse their legs: the refusal is their state.
create function book_openings(openings opening_v1[], fates int[], at timestamptz) returns void
language plpgsql as $$
declare
    wanted bigint := (select count(*) from unnest(openings) o where fates[o.n] < 10);
    written bigint;
begin
    insert into payments (id, kind, tenant, account, currency, amount_minor, fee_minor, partner,
                          content_hash, request, terms, created_by, batch_id, created_at, state,
                          updated_at)
    select o.id, o.kind, o.tenant, o.account, o.currency, o.amount_minor, o.fee_minor, o.partner,
           o.content_hash, o.request, o.terms, o.created_by, o.batch_id, at, o.state, at
      from unnest(openings) o
     where fates[o.n] < 10
     order by o.id
    on conflict (id) do nothing;
    get diagnostics written = row_count;
    if written <> wanted then
        raise 'a payment of this batch was registered meanwhile'
            using errcode = 'serialization_failure';
    end if;
end $$;

-- Transitions, their outgoing events and the payments' states, in one statement. A refused change
-- makes no move but its payment's entry into the register and the one to `if_refused`.
create function book_moves(
    changes change_v1[], moves move_v1[], fates int[], ids bigint[], at timestamptz)
returns void language plpgsql as $$
begin
    with steps as (
        select m.n, m.payment_id, m.before, m.after, m.ordinality as place
          from unnest(moves) with ordinality m
         where fates[m.n] = 0 or fates[m.n] < 10 and m.before is null
        union all
        select c.ordinality, c.payment_id, coalesce(c.refused_from, p.state), c.if_refused,
               cardinality(moves) + 1
          from unnest(changes) with ordinality c join payments p on p.id = c.payment_id
         where fates[c.ordinality] between 1 and 4 and c.if_refused is not null
    ), made as (
        insert into transitions (payment_id, seq, kind, before, after, at, actor, reason,
                                 evidence_id, transaction_id)
        select s.payment_id,
               p.seq + row_number() over (partition by s.payment_id order by s.place),
               p.kind, s.before, s.after, at, c.actor,
               case when fates[s.n] > 0 and s.before is not null then t.outcome
                    else c.reason end,
               c.evidence_id, ids[s.n]
          from steps s
          join payments p on p.id = s.payment_id
          join transactions t on t.id = ids[s.n]
          cross join lateral (select (changes[s.n]).*) c
        returning payment_id, seq, kind, before, after
    ), told as (
        insert into outbox (event_id, payment_id, seq, tenant, kind, before, after, at)
        select m.payment_id || '/' || m.seq, m.payment_id, m.seq, p.tenant, m.kind, m.before,
               m.after, at
          from made m join payments p on p.id = m.payment_id
         order by m.payment_id, m.seq
    )
    update payments p set state = l.after, seq = l.seq, updated_at = at
      from (select distinct on (m.payment_id) m.payment_id, m.seq, m.after
              from made m order by m.payment_id, m.seq desc) l
     where p.id = l.payment_id;
end $$;

-- The claim: from here on bytes may leave, so no clock may end the payment's hold any more.
create function book_attempts(
    changes change_v1[], opened attempt_opened_v1[], closed attempt_closed_v1[],
    reopened attempt_reopened_v1[], fates int[], at timestamptz) returns void
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
    update attempts a set sent_at = null
      from unnest(reopened) r where a.key = r.key and fates[r.n] = 0;
end $$;

-- An event that is applied needs no relay any more.
create function book_events(applied event_applied_v1[], fates int[], at timestamptz)
returns void language plpgsql as $$
begin
    update partner_events s set applied_at = at, taken_at = coalesce(s.taken_at, at)
      from unnest(applied) e
     where s.id = e.row_id and fates[e.n] = 0;
end $$;

create function book_cases(
    changes change_v1[], trouble case_v1[], fates int[], ids bigint[], at timestamptz)
returns void language plpgsql as $$
begin
    update cases k
       set closed_at = at, closed_by = c.actor, resolution = c.reason,
           closed_transaction_id = ids[c.ordinality]
      from unnest(changes) with ordinality c
     where c.closes_cases and fates[c.ordinality] = 0
       and k.payment_id = c.payment_id and k.closed_at is null;
    insert into cases (payment_id, transaction_id, kind, detail, opened_at, opened_by)
    select f.payment_id, ids[f.n], f.kind, f.detail, at, (changes[f.n]).actor
      from unnest(trouble) f where fates[f.n] = 0 order by f.n;
end $$;
