-- 0001 · before deploy · new tables only.
-- Why: the journal. Amounts are signed bigint minor units, credits positive, debits negative.
create table currencies (
    code     char(3)  primary key,
    exponent smallint not null check (exponent between 0 and 4)
);

create table accounts (
    id             bigint      generated always as identity primary key,
    path           text        collate "C" not null unique,
    kind           text        not null
                   check (kind in ('asset', 'liability', 'equity', 'income', 'expense')),
    currency       char(3)     not null references currencies,
    tenant         text,
    needs_evidence boolean     not null generated always as (path like 'nostro/%') stored,
    opened_at      timestamptz not null default clock_timestamp(),
    check (path ~ '^[a-z_]+(/[a-z0-9_-]+)*/[A-Z]{3}$' and right(path, 3) = currency)
);

-- The only hot rows. Bounds are on the account's own side; holds count against the floor.
create table balances (
    account_id bigint   primary key,
    currency   char(3)  not null,
    side       smallint not null check (side in (-1, 1)),
    floor      bigint,
    ceiling    bigint,
    soft       boolean  not null default false,
    closed     boolean  not null default false,
    posted     bigint   not null default 0,
    held       bigint   not null default 0 check (held >= 0),
    seq        bigint   not null default 0 check (seq >= 0),
    constraint balances_floor   check (soft or floor   is null or side * posted - held >= floor),
    constraint balances_ceiling check (soft or ceiling is null or side * posted <= ceiling)
) with (fillfactor = 50);

-- One row for each change that was ever answered, with or without entries.
create table transactions (
    id           bigint      generated always as identity primary key,
    key          text        collate "C" not null unique,
    digest       bytea       not null check (octet_length(digest) = 32),
    kind         text        not null,
    outcome      text        not null check (outcome in ('booked', 'insufficient_funds',
                             'ceiling_exceeded', 'account_closed', 'hold_spent')),
    payment_id   text        collate "C",
    attempt_key  text        collate "C",
    evidence_id  text,
    reverses     bigint      unique references transactions,
    effective_on date        not null,
    booked_at    timestamptz not null,
    actor        text        not null,
    reason       text,
    era          smallint    not null default 1,  -- Raised by a restore that restarts the xids.
    xid          bigint      not null default pg_current_xact_id()::text::bigint
);
create index transactions_of_payment on transactions (payment_id) where payment_id is not null;
create index transactions_by_time on transactions using brin (booked_at);
create index transactions_by_xid on transactions using brin (xid);

-- No foreign keys: they cost a sixth of the speed and lock the hot row; the function stands in.
create table entries (
    account_id     bigint  not null,
    seq            bigint  not null check (seq > 0),
    transaction_id bigint  not null,
    currency       char(3) not null,
    delta          bigint  not null,
    held           bigint  not null,
    posted_after   bigint  not null,
    held_after     bigint  not null check (held_after >= 0),
    hold_id        bigint,  -- The transaction that made the hold which this entry takes from.
    primary key (account_id, seq),
    check (delta <> 0 or held <> 0)
);
create index entries_of_transaction on entries (transaction_id);

create table holds (
    transaction_id bigint not null,
    account_id     bigint not null,
    amount         bigint not null check (amount > 0),
    captured       bigint not null default 0,
    released       bigint not null default 0,
    returned       bigint not null default 0,
    expires_at     timestamptz,
    primary key (transaction_id, account_id),
    constraint holds_spent_once check (
        least(captured, released, returned) >= 0
        and captured + released <= amount and returned <= captured)
) with (fillfactor = 70);
