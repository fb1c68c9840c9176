-- 0002 · before deploy · new tables; `attempts` gets a column with a constant default, which needs
-- no rewrite but ACCESS EXCLUSIVE on it until this migration commits (a moment; lock_timeout 2 s).
-- Why: what a payment has to pass before money may leave: pauses, caps, approvers who still count;
-- and the fence, which tells the newest permission to send from all older ones.

-- Raised by each permission to send and by each reopening: who holds an older one is too late.
alter table attempts add column fence bigint not null default 0;

-- A pause with its lifting: what is written once is never changed, and an open one is in force.
create table pauses (
    id             bigint      generated always as identity primary key,
    scope          text        not null check (scope in ('all', 'partner', 'currency', 'tenant')),
    name           text        collate "C" not null,  -- Empty where the scope is all.
    paused_at      timestamptz not null,
    paused_by      text        not null,
    paused_for     text,                              -- In whose name, where they say so.
    reason         text        not null,
    resumed_at     timestamptz,
    resumed_by     text,
    resumed_for    text,
    resumed_reason text,
    check ((scope = 'all') = (name = '')),
    check (num_nulls(resumed_at, resumed_by, resumed_reason) in (0, 3))
);
create unique index pauses_open on pauses (scope, name) where resumed_at is null;

-- The most that may be claimed in a currency, in one payment and in one UTC day; partner and
-- tenant narrow it. A new cap ends the one before it.
create table caps (
    id                bigint      generated always as identity primary key,
    currency          char(3)     not null references currencies,
    partner           text        collate "C",
    tenant            text        collate "C",
    per_payment_minor bigint      check (per_payment_minor >= 0),
    per_day_minor     bigint      check (per_day_minor >= 0),
    set_at            timestamptz not null,
    set_by            text        not null,
    set_for           text,
    reason            text        not null,
    ended_at          timestamptz,
    ended_by          text,
    check ((ended_at is null) = (ended_by is null))
);
create unique index caps_in_force on caps (currency, coalesce(partner, ''), coalesce(tenant, ''))
    where ended_at is null;

-- What has been claimed under a cap; what was claimed before it was set that day is counted in.
create table cap_uses (
    cap_id       bigint not null references caps,
    day          date   not null,
    amount_minor bigint not null check (amount_minor >= 0),
    primary key (cap_id, day)
) with (fillfactor = 50);

-- Whose approvals count no more, also those of before; for ever: who comes back gets a new name.
create table people_disabled (
    principal    text        primary key,
    at           timestamptz not null,
    disabled_by  text        not null,
    disabled_for text,
    reason       text        not null
);

do $$
declare
    name text;
begin
    foreach name in array array['pauses', 'caps', 'cap_uses'] loop
        execute format('create trigger kept before delete or truncate on %I
                        for each statement execute function refuse_change()', name);
    end loop;
end $$;
create trigger frozen before update or delete or truncate on people_disabled
    for each statement execute function refuse_change();
create trigger frozen before update of id, scope, name, paused_at, paused_by, paused_for, reason
    on pauses for each statement execute function refuse_change();
create trigger lifted_once before update on pauses
    for each row when (old.resumed_at is not null) execute function refuse_change();
create trigger frozen before update of id, currency, partner, tenant, per_payment_minor,
    per_day_minor, set_at, set_by, set_for, reason
    on caps for each statement execute function refuse_change();
create trigger ended_once before update on caps
    for each row when (old.ended_at is not null) execute function refuse_change();
create trigger frozen before update of cap_id, day on cap_uses
    for each statement execute function refuse_change();
