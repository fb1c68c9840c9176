-- 0003 · before deploy · `cases` is locked for an instant for its new columns; all else is new.
-- Why: a case has an owner, and what people say of it is kept. Money leaves suspense by the word of
-- two different people, and the database asks for both.
alter table cases
    add column owner       text,
    add column assigned_at timestamptz;

-- One row for each thing that a person has said of a case.
create table case_words (
    id        bigint      generated always as identity primary key,
    case_id   bigint      not null references cases,
    principal text        not null,
    verb      text        not null check (verb in ('assign', 'resolve')),
    decision  text        not null,  -- The new owner; or where the money goes, `none` for nowhere.
    evidence  text,
    at        timestamptz not null default clock_timestamp()
);
create index case_words_of_case on case_words (case_id);
-- The same word again adds nothing.
create unique index case_words_resolved_once on case_words (case_id, principal, decision)
    where verb = 'resolve';

create trigger frozen before update or delete or truncate on case_words
    for each statement execute function refuse_change();

create function assign_case_v1(case_id bigint, owner text, by text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update cases k set owner = assign_case_v1.owner, assigned_at = clock_timestamp()
     where k.id = assign_case_v1.case_id and k.closed_at is null;
    if not found then
        return false;
    end if;
    insert into case_words (case_id, principal, verb, decision)
    values (assign_case_v1.case_id, by, 'assign', assign_case_v1.owner);
    return true;
end $$;

create function add_case_word_v1(case_id bigint, principal text, decision text, evidence text)
returns setof text language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into case_words (case_id, principal, verb, decision, evidence)
    values (add_case_word_v1.case_id, add_case_word_v1.principal, 'resolve',
            add_case_word_v1.decision, add_case_word_v1.evidence)
    on conflict do nothing;
    return query select distinct w.principal from case_words w
                  where w.case_id = add_case_word_v1.case_id and w.verb = 'resolve'
                    and w.decision = add_case_word_v1.decision order by 1;
end $$;

-- What a case has put into suspense, and where; no row: it moved no money there.
create function case_money(case_id bigint)
returns table (account text, currency text, delta bigint)
language sql stable set search_path = public, pg_temp as $$
    select a.path, e.currency::text, e.delta
      from cases k join entries e on e.transaction_id = k.transaction_id
      join accounts a on a.id = e.account_id
     where k.id = case_money.case_id and a.path like 'suspense/%' and e.delta <> 0
$$;

-- Deciding a payment closes its cases, but not one whose money still waits in suspense: that row
-- stays as it is, whoever would close it.
create function keep_case_with_money() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    if exists (select from case_money(old.id)) and not exists (
        select from transactions t
         where t.id = new.closed_transaction_id and t.outcome = 'booked'
           and starts_with(t.key, format('case/%s/', old.id)))
    then
        return null;
    end if;
    return new;
end $$;

create trigger money_first before update of closed_at on cases for each row
    when (old.closed_at is null and new.closed_at is not null)
    execute function keep_case_with_money();

-- Closed by people, each once. A case with money in suspense closes only with the posting that took
-- it out, and only after two people have said so. False: it was closed already.
create function close_case_v1(
    case_id bigint, by text, decision text, resolution text, posting text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    moved transactions;
    people bigint;
begin
    perform from cases k where k.id = close_case_v1.case_id for no key update;
    select count(distinct w.principal) into people from case_words w
     where w.case_id = close_case_v1.case_id and w.verb = 'resolve'
       and w.decision = close_case_v1.decision;
    select * into moved from transactions t
     where t.key = posting and t.outcome = 'booked'
       and starts_with(t.key, format('case/%s/', close_case_v1.case_id));
    if exists (select from case_money(close_case_v1.case_id)) then
        if moved.id is null or people < 2 then
            perform raise_bug(format('case %s', close_case_v1.case_id),
                'its money is in suspense: it needs the posting that takes it out, and two people');
        end if;
    elsif people < 1 then
        perform raise_bug(format('case %s', close_case_v1.case_id), 'nobody has said so');
    end if;
    update cases k
       set closed_at = clock_timestamp(), closed_by = by, resolution = close_case_v1.resolution,
           closed_transaction_id = moved.id
     where k.id = close_case_v1.case_id and k.closed_at is null;
    return found;
end $$;
