-- 0010 · before deploy · `entries` is locked for an instant (ACCESS EXCLUSIVE), and `balances` against
-- writers (EXCLUSIVE), for the table to become the first period of a partitioned one of its name; no
-- row is moved or read. That needs a proof of its ids, which `ledger.migrate` makes beforehand, while
-- all goes on (ledger/migrations/preparing.py); without it all entries are read under this lock.
-- Why: see 0010_periods.sql and docs/decisions/0015. A unique index cannot span parts, so
-- (account_id, seq) is unique in each part, and `assert_entries_sound` sees to the rest.

-- First, as in every batch: none is under way that has its balances and not its entries.
lock table balances in exclusive mode;
do $$
declare
    proof text := (select conname from pg_constraint
                    where conrelid = 'entries'::regclass and conname ~ '^entries_until_\d+$');
    until_id bigint := substring(proof from '\d+$')::bigint;
begin
    if until_id is null then
        until_id := (select (last_value * 3 / 2 / 10000000 + 1) * 10000000 from transactions_id_seq);
    end if;
    alter table entries rename to entries_1;
    alter index entries_pkey rename to entries_1_pkey;
    alter index entries_of_transaction rename to entries_1_of_transaction;
    drop trigger entries_balance on entries_1;
    drop trigger frozen on entries_1;
    if proof is not null then
        execute format('create table entries (like entries_1 including constraints)
                        partition by range (transaction_id)');
        execute format('alter table entries drop constraint %I', proof);
    else
        create table entries (like entries_1 including constraints)
            partition by range (transaction_id);
    end if;
    create index entries_of_transaction on entries (transaction_id);
    execute format('alter table entries attach partition entries_1
                    for values from (minvalue) to (%s)', until_id);
    if proof is not null then
        execute format('alter table entries_1 drop constraint %I', proof);
    end if;
    insert into periods (number, part, first_id, until_id) values (1, 'entries_1', 1, until_id);

    -- What comes where no period was made: it has to stay empty, and nothing is lost if it is not.
    create table entries_beyond (like entries including constraints);
    alter table entries_beyond add primary key (account_id, seq);
    alter table entries attach partition entries_beyond default;
    perform guard_part(part) from unnest(array['entries', 'entries_1', 'entries_beyond']) part;
end $$;

-- As before, but entries come before the balances that count them: see `assert_entries_sound`.
create or replace function book_legs(
    legs leg_v1[], account_ids bigint[], hold_ids bigint[], fates int[], ids bigint[])
returns void language plpgsql as $$
begin
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
                      rows unbounded preceding);
    update balances b
       set posted = b.posted + w.delta, held = b.held + w.held, seq = b.seq + w.count
      from (select account_ids[l.ordinality] as account_id, sum(l.delta)::bigint as delta,
                   sum(l.held)::bigint as held, count(*) as count
              from unnest(legs) with ordinality l where fates[l.n] = 0 group by 1) w
     where b.account_id = w.account_id;
end $$;

drop function assert_entries_balance();
select make_periods_v1();
