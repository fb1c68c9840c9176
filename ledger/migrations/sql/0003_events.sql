-- 0003 · before deploy · `partner_events` is locked for an instant for its new columns, and its
-- writes wait while an index of the events that are set aside is built.
-- Why: an event says which movement it tells of, to whom, and what was kept; and one that fails
-- again and again is set aside for a person, in the table, so that no restart forgets it.
alter table partner_events
    add column payee_account        text,    -- As the partner echoes it: masked.
    add column payment_amount_minor bigint,  -- Of the payment that an event is about, as echoed.
    add column fee_minor            bigint,  -- What the partner has kept of a return.
    add column line_ref             text,    -- The partner's name of the movement.
    add column failures             bigint not null default 0,
    add column last_error           text,
    add column set_aside_at         timestamptz,
    add column redrives             bigint not null default 0,
    add column redriven_by          text;
create index partner_events_set_aside on partner_events (id) where set_aside_at is not null;

create trigger frozen_too before update of payee_account, payment_amount_minor, fee_minor, line_ref
    on partner_events for each statement execute function refuse_change();

-- `meant` is the payment that the reference names; kept only where the register knows it.
create function store_event_v2(
    partner text, event_id text, kind text, reference text, partner_ref text,
    amount_minor bigint, currency text, code text, detail text, value_on date,
    occurred_at timestamptz, meant text, raw bytea, headers jsonb, payee_account text,
    payment_amount_minor bigint, fee_minor bigint, line_ref text) returns bigint
language sql security definer set search_path = public, pg_temp as $$
    insert into partner_events (partner, event_id, kind, reference, partner_ref, amount_minor,
                                currency, code, detail, value_on, occurred_at, payment_id, raw,
                                headers, payee_account, payment_amount_minor, fee_minor, line_ref)
    values (partner, event_id, kind, reference, partner_ref, amount_minor, currency, code, detail,
            value_on, occurred_at, (select p.id from payments p where p.id = meant), raw, headers,
            payee_account, payment_amount_minor, fee_minor, line_ref)
    on conflict on constraint partner_events_once do nothing
    returning id
$$;

-- As its first version, without those that are set aside: they wait for a person.
create function events_to_relay_v2(at_most bigint, lease interval)
returns setof partner_events language sql security definer
set search_path = public, pg_temp as $$
    with waiting as (
        select e.id from partner_events e
         where e.applied_at is null and e.set_aside_at is null
           and (e.leased_until is null or e.leased_until < clock_timestamp())
         order by e.id limit at_most for no key update skip locked
    ), leased as (
        update partner_events e set leased_until = clock_timestamp() + lease
          from waiting w where e.id = w.id
        returning e.*
    )
    select * from leased order by id
$$;

-- Counts a failure, and sets the event aside at the last one that is allowed.
create function add_event_failure_v1(row_id bigint, error text, failures_max bigint)
returns boolean language sql security definer set search_path = public, pg_temp as $$
    update partner_events e
       set failures = e.failures + 1, last_error = add_event_failure_v1.error,
           set_aside_at = case when e.failures + 1 >= failures_max
                               then coalesce(e.set_aside_at, clock_timestamp())
                               else e.set_aside_at end
     where e.id = row_id and e.applied_at is null
    returning e.set_aside_at is not null
$$;

-- Null ids mean all that are set aside. Each is offered to the relay again as if it were new.
create function redrive_events_v1(row_ids bigint[], actor text) returns setof bigint
language sql security definer set search_path = public, pg_temp as $$
    update partner_events e
       set failures = 0, set_aside_at = null, leased_until = null, redrives = e.redrives + 1,
           redriven_by = actor
     where e.set_aside_at is not null and e.applied_at is null
       and (row_ids is null or e.id = any (row_ids))
    returning e.id
$$;
