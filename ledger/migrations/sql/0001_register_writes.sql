-- 0001 · before deploy · new functions only.
-- Why: every other write, each safe to repeat, so that writers need no right on any table.

-- Where one exists with another content, none is opened: SQLSTATE BK002 with the paths.
create function open_accounts_v1(
    paths text[], kinds text[], currencies text[], tenants text[], floors bigint[],
    ceilings bigint[], softs boolean[]) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    differing text;
begin
    insert into accounts (path, kind, currency, tenant)
    select w.path, w.kind, w.currency, w.tenant
      from unnest(paths, kinds, currencies, tenants) w(path, kind, currency, tenant)
     order by w.path
    on conflict (path) do nothing;
    insert into balances (account_id, currency, side, floor, ceiling, soft)
    select a.id, a.currency, case when a.kind in ('asset', 'expense') then -1 else 1 end,
           w.floor, w.ceiling, w.soft
      from unnest(paths, floors, ceilings, softs) w(path, floor, ceiling, soft)
      join accounts a on a.path = w.path
     where not exists (select from balances b where b.account_id = a.id)
     order by a.id
    on conflict (account_id) do nothing;
    select string_agg(w.path, ', ' order by w.path) into differing
      from unnest(paths, kinds, currencies, tenants, floors, ceilings, softs)
           w(path, kind, currency, tenant, floor, ceiling, soft)
      join accounts a on a.path = w.path
      join balances b on b.account_id = a.id
     where (w.kind, w.currency, w.tenant, w.floor, w.ceiling, w.soft)
           is distinct from (a.kind, a.currency::text, a.tenant, b.floor, b.ceiling, b.soft);
    if differing is not null then
        raise '%', differing using errcode = 'BK002';
    end if;
end $$;

-- The moment only for the call that finds it unsent: that one, and no other, may send.
create function mark_sent_v1(attempt_key text) returns timestamptz
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    now_sent timestamptz := clock_timestamp();
begin
    update attempts a
       set sent_at = now_sent, first_sent_at = coalesce(a.first_sent_at, now_sent)
     where a.key = attempt_key and a.sent_at is null;
    if found then
        return now_sent;
    end if;
    if not exists (select from attempts a where a.key = attempt_key) then
        perform raise_bug(attempt_key, 'there is no such attempt');
    end if;
    return null;
end $$;

-- Takes back that very mark: whoever says so late must not clear the mark of a newer send.
create function mark_unsent_v1(attempt_key text, marked_at timestamptz) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update attempts a set sent_at = null where a.key = attempt_key and a.sent_at = marked_at;
    if found then
        return true;
    end if;
    if not exists (select from attempts a where a.key = attempt_key) then
        perform raise_bug(attempt_key, 'there is no such attempt');
    end if;
    return false;
end $$;

create function add_word_v1(
    attempt_key text, verb text, kind text, partner_ref text, code text, evidence text)
returns void language sql security definer set search_path = public, pg_temp as $$
    insert into partner_words (attempt_key, verb, kind, partner_ref, code, evidence)
    values (attempt_key, verb, kind, partner_ref, code, evidence)
$$;

create function add_note_v1(payment_id text, key text, actor text, kind text, detail text)
returns void language sql security definer set search_path = public, pg_temp as $$
    insert into notes (payment_id, key, actor, kind, detail)
    values (payment_id, key, actor, kind, detail)
    on conflict on constraint notes_once do nothing
$$;

-- False: this person has said this word on the payment already.
create function add_approval_v1(
    payment_id text, principal text, decision text, role text, content_hash text,
    rule_version text, reason text, channel text, at timestamptz) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into approvals values (add_approval_v1.payment_id, add_approval_v1.principal,
        add_approval_v1.decision, add_approval_v1.role, add_approval_v1.content_hash,
        add_approval_v1.rule_version, add_approval_v1.reason, add_approval_v1.channel,
        add_approval_v1.at)
    on conflict on constraint approvals_pkey do nothing;
    return found;
end $$;

-- `meant` is the payment that the reference names; kept only where the register knows it.
create function store_event_v1(
    partner text, event_id text, kind text, reference text, partner_ref text,
    amount_minor bigint, currency text, code text, detail text, value_on date,
    occurred_at timestamptz, meant text, raw bytea, headers jsonb) returns bigint
language sql security definer set search_path = public, pg_temp as $$
    insert into partner_events (partner, event_id, kind, reference, partner_ref, amount_minor,
                                currency, code, detail, value_on, occurred_at, payment_id, raw,
                                headers)
    values (partner, event_id, kind, reference, partner_ref, amount_minor, currency, code, detail,
            value_on, occurred_at, (select p.id from payments p where p.id = meant), raw, headers)
    on conflict on constraint partner_events_once do nothing
    returning id
$$;

-- Leased, so that two relays share the work and a dead one's share comes back.
create function events_to_relay_v1(at_most bigint, lease interval)
returns setof partner_events language sql security definer
set search_path = public, pg_temp as $$
    with waiting as (
        select e.id from partner_events e
         where e.applied_at is null
           and (e.leased_until is null or e.leased_until < clock_timestamp())
         order by e.id limit at_most for no key update skip locked
    ), leased as (
        update partner_events e set leased_until = clock_timestamp() + lease
          from waiting w where e.id = w.id
        returning e.*
    )
    select * from leased order by id
$$;

-- What a workflow has noticed is offered again where it is not in the books long after: Temporal
-- may have lost the workflow. The pause doubles each time, so that one that waits is let wait.
create function mark_taken_v1(row_id bigint) returns void
language sql security definer set search_path = public, pg_temp as $$
    update partner_events e
       set taken_at = coalesce(e.taken_at, clock_timestamp()),
           leased_until = clock_timestamp()
                          + greatest(interval '5 minutes', clock_timestamp() - e.received_at)
     where e.id = row_id
$$;

create function set_event_aside_v1(row_id bigint, verdict text) returns void
language sql security definer set search_path = public, pg_temp as $$
    update partner_events e
       set applied_at = clock_timestamp(), verdict = set_event_aside_v1.verdict,
           taken_at = coalesce(e.taken_at, clock_timestamp())
     where e.id = row_id and e.applied_at is null
$$;
