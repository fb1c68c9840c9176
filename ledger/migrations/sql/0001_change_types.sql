-- 0001 · before deploy · new types only.
-- Why: the shape in which a batch of changes comes in; `n` is the change's place in the batch,
-- counted from 1.
create type change_v1 as (
    key          text,
    digest       bytea,
    kind         text,
    actor        text,
    reason       text,
    payment_id   text,
    moving       boolean,      -- Whether it moves its payment at all.
    begins       text,         -- The state its first move begins in; null: not registered yet.
    opens_hash   text,         -- The content hash of the payment it registers.
    if_refused   text,
    refused_from text,         -- Where a refusal's move begins; null: where the payment is.
    effective_on date,
    evidence_id  text,
    reverses     text,
    attempt_key  text,
    closes_cases boolean
);

create type opening_v1 as (
    n            bigint,
    id           text,
    kind         text,
    tenant       text,
    account      text,
    currency     text,
    amount_minor bigint,
    fee_minor    bigint,
    partner      text,
    content_hash text,
    request      jsonb,
    terms        jsonb,
    created_by   text,
    batch_id     text,
    state        text
);

create type move_v1 as (n bigint, payment_id text, before text, after text);

create type leg_v1 as (
    n          bigint,
    account    text,
    currency   text,
    delta      bigint,
    held       bigint,
    hold       text,
    releases   boolean,
    expires_at timestamptz     -- Of the hold that this leg makes.
);

create type attempt_opened_v1 as (
    n bigint, payment_id text, ordinal bigint, key text, partner text, wire_hash text
);

create type attempt_closed_v1 as (
    n bigint, payment_id text, key text, result text, partner_ref text, code text
);

create type attempt_reopened_v1 as (n bigint, payment_id text, key text);

create type event_applied_v1 as (n bigint, row_id bigint);

create type case_v1 as (n bigint, payment_id text, kind text, detail text);

create type answer_v1 as (
    n       bigint,
    fate    text,              -- written, repeated, stale or conflict
    refusal text,
    state   text               -- The payment's state now.
);
