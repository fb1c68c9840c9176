-- 0008 · before deploy · new functions; `approvals_given_v1`, `add_case_word_v1` and `close_case_v1`
-- are replaced by calls of their successors, so workers and gateways of the release before count in
-- the new way too. Locks nothing that serves traffic.
-- Why: one person with two spellings of one name was two people: "Maker" approved what "maker" had
-- created, and "ana" with "Ana" took money out of suspense.

-- What a name is compared by where people are counted: `bursar/ids.py::person_of` says the same of
-- every name that may act, all of which are ASCII. In "C" no language has an "I" of its own.
create function person_of(name text) returns text
language sql immutable strict parallel safe as $$
    select lower(btrim(regexp_replace(normalize(name, nfkc), '\s+', ' ', 'g')) collate "C")
$$;

-- As v1, by person and not by spelling.
create function approvals_given_v2(payment text) returns bigint
language sql stable security definer set search_path = public, pg_temp as $$
    select count(distinct person_of(a.principal))
      from payments p join approvals a on a.payment_id = p.id
     where p.id = payment and a.decision = 'approve'
       and person_of(a.principal) <> person_of(p.created_by)
       and a.content_hash = p.content_hash
       and a.role = p.terms #>> '{approvals,role}'
       and a.rule_version = p.terms #>> '{approvals,version}'
       and a.at <= coalesce((p.terms ->> 'approve_by')::timestamptz, a.at)
       and not exists (select from approvals d where d.payment_id = a.payment_id
                       and d.decision = 'deny'
                       and person_of(d.principal) = person_of(a.principal))
       and not exists (select from people_disabled x
                       where person_of(x.principal) = person_of(a.principal))
$$;

-- Called by what judges claims, too.
create or replace function approvals_given_v1(payment text) returns bigint
language sql stable security definer set search_path = public, pg_temp as $$
    select approvals_given_v2(payment)
$$;

-- As v1; of several spellings of one person the first one is told.
create function add_case_word_v2(case_id bigint, principal text, decision text, evidence text)
returns setof text language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into case_words (case_id, principal, verb, decision, evidence)
    values (add_case_word_v2.case_id, add_case_word_v2.principal, 'resolve',
            add_case_word_v2.decision, add_case_word_v2.evidence)
    on conflict do nothing;
    return query select f.principal from (
        select distinct on (person_of(w.principal)) w.principal from case_words w
         where w.case_id = add_case_word_v2.case_id and w.verb = 'resolve'
           and w.decision = add_case_word_v2.decision
         order by person_of(w.principal), w.id) f order by 1;
end $$;

create or replace function add_case_word_v1(
    case_id bigint, principal text, decision text, evidence text)
returns setof text language plpgsql security definer set search_path = public, pg_temp as $$
begin
    return query select * from add_case_word_v2(case_id, principal, decision, evidence);
end $$;

-- As v1, by person and not by spelling.
create function close_case_v2(
    case_id bigint, by text, decision text, resolution text, posting text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    moved transactions;
    people bigint;
begin
    perform from cases k where k.id = close_case_v2.case_id for no key update;
    select count(distinct person_of(w.principal)) into people from case_words w
     where w.case_id = close_case_v2.case_id and w.verb = 'resolve'
       and w.decision = close_case_v2.decision;
    select * into moved from transactions t
     where t.key = posting and t.outcome = 'booked'
       and starts_with(t.key, format('case/%s/', close_case_v2.case_id));
    if exists (select from case_money(close_case_v2.case_id)) then
        if moved.id is null or people < 2 then
            perform raise_bug(format('case %s', close_case_v2.case_id),
                'its money is in suspense: it needs the posting that takes it out, and two people');
        end if;
    elsif people < 1 then
        perform raise_bug(format('case %s', close_case_v2.case_id), 'nobody has said so');
    end if;
    update cases k
       set closed_at = clock_timestamp(), closed_by = by, resolution = close_case_v2.resolution,
           closed_transaction_id = moved.id
     where k.id = close_case_v2.case_id and k.closed_at is null;
    return found;
end $$;

create or replace function close_case_v1(
    case_id bigint, by text, decision text, resolution text, posting text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    return close_case_v2(case_id, by, decision, resolution, posting);
end $$;
