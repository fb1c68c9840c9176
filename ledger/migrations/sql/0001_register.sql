-- 0001 · before deploy · new tables only.
-- Why: the register, i.e. each payment's life: what was asked, what happened, who said what.
create table payments (
    id           text        collate "C" primary key,
    kind         text        not null check (kind in ('payout', 'transfer')),
    tenant       text        not null,
    account      text        collate "C" not null,
    currency     char(3)     not null references currencies,
    amount_minor bigint      not null check (amount_minor > 0),
    fee_minor    bigint      not null check (fee_minor >= 0),
    partner      text,
    content_hash text        not null,
    request      jsonb       not null,
    terms        jsonb       not null,
    created_by   text        not null,
    batch_id     text,
    created_at   timestamptz not null,
    state        text        not null,
    seq          bigint      not null default 0,
    updated_at   timestamptz not null
) with (fillfactor = 80);
create index payments_by_age on payments (created_at, id);
create index payments_of_batch on payments (batch_id) where batch_id is not null;
create index payments_unfinished on payments (state, created_at) where state not in
    ('settled', 'returned', 'refused', 'denied', 'expired', 'cancelled', 'failed');

-- `before` is null for a payment's entry into the register. A foreign key skips rows with a null
-- in it, so both tables spell the move out in one column.
create table allowed_moves (
    kind   text not null,
    before text,
    after  text not null,
    move   text collate "C" primary key
           generated always as (kind || ' ' || coalesce(before, '') || '>' || after) stored
);

create table transitions (
    payment_id     text        collate "C" not null,
    seq            bigint      not null check (seq > 0),
    kind           text        not null,
    before         text,
    after          text        not null,
    move           text        collate "C" not null
                   generated always as (kind || ' ' || coalesce(before, '') || '>' || after) stored,
    at             timestamptz not null,
    actor          text        not null,
    reason         text,
    evidence_id    text,
    transaction_id bigint      not null,
    primary key (payment_id, seq),
    constraint transitions_allowed foreign key (move) references allowed_moves (move)
);
create index transitions_of_transaction on transitions (transaction_id);

create table attempts (
    key         text        collate "C" primary key,
    payment_id  text        collate "C" not null references payments,
    ordinal     bigint      not null check (ordinal > 0),
    partner     text        not null,
    wire_hash   text        not null check (wire_hash ~ '^[0-9a-f]{64}$'),
    opened_at   timestamptz not null,
    sent_at     timestamptz,
    first_sent_at timestamptz,               -- Stays when `sent_at` is taken back.
    result      text,
    partner_ref text,
    code        text,
    closed_at   timestamptz,
    constraint attempts_ordinal unique (payment_id, ordinal)
) with (fillfactor = 80);
-- Live is what may still move money: everything but a definite no.
create unique index attempts_one_live on attempts (payment_id) where result is null
    or result not in ('rejected', 'not_sent', 'throttled', 'not_found', 'never_moved');

create table partner_words (
    id          bigint      generated always as identity primary key,
    attempt_key text        collate "C" not null references attempts,
    verb        text        not null,
    kind        text        not null,
    partner_ref text,
    code        text,
    evidence    text        not null,
    answered_at timestamptz not null default clock_timestamp()
);
create index partner_words_of_attempt on partner_words (attempt_key);

create table partner_events (
    id           bigint      generated always as identity primary key,
    partner      text        not null,
    event_id     text        not null,
    kind         text        not null,
    reference    text,
    partner_ref  text,
    amount_minor bigint,
    currency     text,
    code         text,
    detail       text        not null,
    value_on     date,
    occurred_at  timestamptz not null,
    payment_id   text        collate "C",    -- Null: no payment of ours is meant, or known.
    raw          bytea       not null,
    headers      jsonb       not null,
    received_at  timestamptz not null default clock_timestamp(),
    leased_until timestamptz,
    taken_at     timestamptz,
    applied_at   timestamptz,
    verdict      text,                       -- Why it needed no change, where it was set aside.
    constraint partner_events_once unique (partner, event_id)
) with (fillfactor = 80);
create index partner_events_to_relay on partner_events (id) where applied_at is null;
create index partner_events_of_payment on partner_events (payment_id)
    where payment_id is not null;

create table approvals (
    payment_id   text        collate "C" not null references payments,
    principal    text        not null,
    decision     text        not null check (decision ~ '^[a-z][a-z_]{0,39}$'),
    role         text        not null,
    content_hash text        not null,
    rule_version text        not null,
    reason       text,
    channel      text        not null,
    at           timestamptz not null,
    primary key (payment_id, principal, decision)
);

-- No foreign key: a signal may come before its payment has been registered.
create table notes (
    id         bigint      generated always as identity primary key,
    payment_id text        collate "C" not null,
    key        text        collate "C" not null,
    actor      text        not null,
    kind       text        not null,
    detail     text        not null,
    at         timestamptz not null default clock_timestamp(),
    constraint notes_once unique (payment_id, key)
);

create table cases (
    id                    bigint      generated always as identity primary key,
    payment_id            text        collate "C" references payments,
    transaction_id        bigint      not null,
    kind                  text        not null,
    detail                text        not null,
    opened_at             timestamptz not null,
    opened_by             text        not null,
    closed_at             timestamptz,
    closed_by             text,
    resolution            text,
    closed_transaction_id bigint,
    check ((closed_at is null) = (closed_by is null))
);
create index cases_of_payment on cases (payment_id);
create index cases_open on cases (opened_at) where closed_at is null;

-- One row for each transition, deleted once it is delivered.
create table outbox (
    id         bigint      generated always as identity primary key,
    event_id   text        collate "C" not null unique,  -- <payment id>/<seq>: for ever the same.
    payment_id text        collate "C" not null,
    seq        bigint      not null,
    tenant     text        not null,
    kind       text        not null,
    before     text,
    after      text        not null,
    at         timestamptz not null,
    xid        bigint      not null default pg_current_xact_id()::text::bigint
);
