-- 0009 · before deploy · a new table and new functions. The index `transactions_by_xid` is held
-- alone (ACCESS EXCLUSIVE) until this migration commits, so writes wait for a moment; it is not
-- built anew.
-- Why: each minute the books are checked over what is new since the last round, and each night in
-- full. What is kept here is how far a round has come, and what it found.

-- A range of pages is summarised once it is full, by autovacuum's next turn (a minute), and not
-- only when the whole table is vacuumed: until then a look for new rows reads it from end to end.
alter index transactions_by_xid set (autosummarize = on);

-- A transaction is new to a round when its xid is at or after `safe_from` and before `safe_until`.
-- An xid is safe once nothing before it can still commit, so that no late commit is passed over.
create table check_rounds (
    id           bigint      generated always as identity primary key,
    scope        text        not null check (scope in ('full', 'since_last')),
    cluster      bigint      not null,  -- Another server counts other xids: its marks say nothing.
    safe_from    bigint,                -- Null: all of the books was looked at.
    safe_until   bigint      not null,
    transactions bigint      not null,  -- How many were new, since the round before.
    checks       bigint      not null,
    breaks       bigint      not null,
    first_breaks jsonb       not null,  -- Check, where, detail of each.
    seen_at      timestamptz not null,  -- The moment that the round has looked at.
    covers_until timestamptz not null,  -- What was booked before this has been looked at.
    ended_at     timestamptz not null default clock_timestamp(),
    check ((scope = 'full') = (safe_from is null)),
    check (safe_from <= safe_until)
);
create index check_rounds_marks on check_rounds (cluster, safe_until);
create index check_rounds_full on check_rounds (id) where scope = 'full';
create trigger frozen before update or delete or truncate on check_rounds
    for each statement execute function refuse_change();

-- The xid before which everything has been checked; null: there is no such mark, as at first, and
-- on another server after a logical restore, where xids begin anew.
create function check_mark_v1() returns bigint
language sql stable security definer set search_path = public, pg_temp as $$
    select max(r.safe_until) from check_rounds r
     where r.cluster = (select system_identifier from pg_control_system())
       and r.safe_until <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
$$;

-- A round that would leave something out, now or for ever, is refused.
create function record_check_round_v1(
    safe_from bigint, safe_until bigint, transactions bigint, checks bigint, breaks bigint,
    first_breaks jsonb, seen_at timestamptz, covers_until timestamptz) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_variable
declare
    new_id bigint;
begin
    if safe_until > pg_snapshot_xmin(pg_current_snapshot())::text::bigint then
        perform raise_bug(format('round until %s', safe_until), 'that xid is not safe yet');
    end if;
    if safe_from > coalesce(check_mark_v1(), 0) then
        perform raise_bug(format('round from %s', safe_from),
                          'nothing has been checked up to there');
    end if;
    insert into check_rounds (scope, cluster, safe_from, safe_until, transactions, checks, breaks,
                              first_breaks, seen_at, covers_until)
    select case when safe_from is null then 'full' else 'since_last' end, c.system_identifier,
           safe_from, safe_until, transactions, checks, breaks, first_breaks, seen_at,
           covers_until
      from pg_control_system() c
    returning id into new_id;
    return new_id;
end $$;
