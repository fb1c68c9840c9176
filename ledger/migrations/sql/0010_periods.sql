-- 0010 · before deploy · new tables, views and functions only; stops nobody.
-- Why: entries are kept by period, so that what is written to fits into memory, and old periods can
-- leave (0010_entries.sql). A period is a run of transaction ids, since those rise with time and an
-- entry has no date of its own. What leaves is closed by each account's balance at its end.
create table periods (
    number       int         primary key check (number > 0),
    part         name        not null unique,   -- The table that holds its entries.
    first_id     bigint      not null,          -- Of its transactions.
    until_id     bigint      not null unique,   -- The first id that is not its own any more.
    made_at      timestamptz not null default clock_timestamp(),
    archived_at  timestamptz,                   -- Since then its entries are in the file alone.
    archived_by  text,
    file         text,
    sha256       text        check (sha256 ~ '^[0-9a-f]{64}$'),  -- Of the file's bytes.
    transactions bigint,
    entries      bigint,
    first_at     timestamptz,
    last_at      timestamptz,
    dropped_at   timestamptz,                   -- Since then its table is gone, too.
    check (first_id < until_id),
    check (num_nulls(archived_at, archived_by, file, sha256, transactions, entries) in (0, 6)),
    check (dropped_at is null or archived_at is not null)
);

-- Each account's balance after its last entry in an archived period; it goes on from there.
create table closings (
    account_id bigint not null,
    seq        bigint not null check (seq > 0),
    posted     bigint not null,
    held       bigint not null check (held >= 0),
    period     int    not null references periods,
    primary key (account_id, seq)
);

create trigger kept before delete or truncate on periods
    for each statement execute function refuse_change();
create trigger frozen before update of number, part, first_id, until_id, made_at on periods
    for each statement execute function refuse_change();
create trigger archived_once before update of archived_at, archived_by, file, sha256, transactions,
    entries, first_at, last_at on periods
    for each row when (old.archived_at is not null) execute function refuse_change();
create trigger frozen before update or delete or truncate on closings
    for each statement execute function refuse_change();

-- The first transaction whose entries the books still hold: the archive ends before it.
create view live_from as
select coalesce(max(until_id) filter (where archived_at is not null), 0) as id from periods;

-- What each account brings into the live entries.
create view carried_forward as
select distinct on (account_id) account_id, seq, posted, held
  from closings order by account_id, seq desc;

-- As `assert_entries_balance`; and an entry's number is beyond all that its account has had. The
-- primary key says so within one period, this over all of them: entries come before the balance
-- that counts them, in one transaction that has the balance locked.
create function assert_entries_sound() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    bad record;
begin
    select f.transaction_id, f.currency, sum(f.delta) as total into bad
      from fresh f group by f.transaction_id, f.currency having sum(f.delta) <> 0 limit 1;
    if found then
        raise 'transaction % does not balance: % is off by % minor units',
            coalesce((select key from transactions where id = bad.transaction_id),
                     bad.transaction_id::text), bad.currency, bad.total
            using errcode = 'check_violation', constraint = 'entries_balance';
    end if;
    select f.account_id, f.currency, f.seq, b.seq as so_far, b.currency = f.currency as fits
      into bad
      from fresh f left join balances b on b.account_id = f.account_id
     where b.currency is distinct from f.currency or f.seq <= b.seq limit 1;
    if found and bad.fits then
        raise 'account % has an entry % already: its balance counts %',
            bad.account_id, bad.seq, bad.so_far
            using errcode = 'check_violation', constraint = 'entries_in_order';
    elsif found then
        raise 'account % does not exist or does not hold %', bad.account_id, bad.currency
            using errcode = 'check_violation', constraint = 'entries_currency';
    end if;
    return null;
end $$;

-- A period that is being archived takes no more. Who is so late has its batch begun again, with
-- ids of today.
create function refuse_late_entry() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    raise 'the period of transaction % is closed', new.transaction_id
        using errcode = 'serialization_failure';
end $$;

-- The triggers, keys and rights that a part has of its own, so that nothing is to be had by writing
-- past the table that it is a part of.
create function guard_part(part name) returns void
language plpgsql as $$
begin
    execute format('create trigger entries_sound after insert on %I referencing new table as fresh
                    for each statement execute function assert_entries_sound()', part);
    execute format('create trigger frozen before update or delete or truncate on %I
                    for each statement execute function refuse_change()', part);
    execute format('grant select on %I to bursar_writer, bursar_reader', part);
end $$;

-- Makes periods until 3 are ahead of the newest transaction, each of 10 million ids; returns how
-- many it has made. Attaching one takes SHARE UPDATE EXCLUSIVE on `entries`, so writers go on, and
-- for an instant ACCESS EXCLUSIVE on `entries_beyond`, for which readers wait and who reads long
-- makes it fail by `lock_timeout`: it is called again soon. Ids that no period was made for
-- in time went to `entries_beyond`: then the next period begins beyond those.
create function make_periods_v1() returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    width constant bigint := 10000000;
    newest bigint := (select last_value from transactions_id_seq);
    last periods;
    made int := 0;
begin
    if (select max(until_id) from periods) >= newest + 3 * width then
        return 0;
    end if;
    lock table periods in share row exclusive mode;
    loop
        select * into last from periods order by number desc limit 1;
        exit when last.until_id >= newest + 3 * width;
        last.first_id := greatest(last.until_id, case when exists (
            select from entries_beyond where transaction_id >= last.until_id)
            then (newest / width + 2) * width end);
        last.until_id := last.first_id + width;
        last.number := last.number + 1;
        last.part := 'entries_' || last.number;
        execute format('create table %I (like entries including constraints)', last.part);
        execute format('alter table %I add primary key (account_id, seq)', last.part);
        perform guard_part(last.part);
        execute format('alter table entries attach partition %I for values from (%s) to (%s)',
                       last.part, last.first_id, last.until_id);
        insert into periods (number, part, first_id, until_id)
        values (last.number, last.part, last.first_id, last.until_id);
        made := made + 1;
    end loop;
    return made;
end $$;
