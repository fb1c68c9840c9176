-- 0013 · before deploy · ACCESS EXCLUSIVE on `approvals` while its key is built anew (a second for a
-- million words) and on `case_words` for an instant; the functions of the releases before are
-- replaced by calls of their successors, so that their workers and gateways count in the new way.
-- Why: money is decided by what people say now: a word that its person has taken back, or of whom
-- is disabled, counted on; and a word could not be said again where it was due once more.

-- What somebody says later stands beside what they said before.
alter table approvals drop constraint approvals_pkey,
    add constraint approvals_pkey primary key (payment_id, principal, decision, at);
drop index case_words_resolved_once;

create function is_disabled_v1(name text) returns boolean
language sql stable security definer set search_path = public, pg_temp as $$
    select exists (select from people_disabled x where person_of(x.principal) = person_of(name))
$$;

-- False: the word is there. Approvals and denials are kept once. What became of a payment is kept
-- again where that person has said something else since, or it was said before `due_since`.
create function add_approval_v2(
    payment_id text, principal text, decision text, role text, content_hash text,
    rule_version text, reason text, channel text, at timestamptz, due_since timestamptz)
returns boolean language plpgsql security definer set search_path = public, pg_temp as $$
declare
    newest approvals;
begin
    perform from payments p where p.id = add_approval_v2.payment_id for no key update;
    select a.* into newest from approvals a
     where a.payment_id = add_approval_v2.payment_id
       and a.principal = add_approval_v2.principal
       and (a.decision = add_approval_v2.decision
            or starts_with(a.decision, 'resolve_')
               and starts_with(add_approval_v2.decision, 'resolve_'))
     order by a.at desc limit 1;
    if newest.decision = add_approval_v2.decision
       and (not starts_with(newest.decision, 'resolve_')
            or newest.at >= coalesce(add_approval_v2.due_since, newest.at)) then
        return false;
    end if;
    insert into approvals values (add_approval_v2.payment_id, add_approval_v2.principal,
        add_approval_v2.decision, add_approval_v2.role, add_approval_v2.content_hash,
        add_approval_v2.rule_version, add_approval_v2.reason, add_approval_v2.channel,
        add_approval_v2.at)
    on conflict on constraint approvals_pkey do nothing;
    return found;
end $$;

create or replace function add_approval_v1(
    payment_id text, principal text, decision text, role text, content_hash text,
    rule_version text, reason text, channel text, at timestamptz) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    return add_approval_v2(payment_id, principal, decision, role, content_hash, rule_version,
                           reason, channel, at, null);
end $$;

-- Who stands for a decision on a case now: by each person's newest word, without the disabled;
-- of several spellings of one person the first one is told.
create function case_deciders(case_id bigint, decision text) returns setof text
language sql stable set search_path = public, pg_temp as $$
    select f.principal from (
        select (array_agg(w.principal order by w.id))[1] as principal,
               (array_agg(w.decision order by w.id desc))[1] as newest
          from case_words w
         where w.case_id = case_deciders.case_id and w.verb = 'resolve'
         group by person_of(w.principal)) f
     where f.newest = case_deciders.decision and not is_disabled_v1(f.principal)
     order by 1
$$;

create function add_case_word_v3(case_id bigint, principal text, decision text, evidence text)
returns setof text language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform from cases k where k.id = add_case_word_v3.case_id for no key update;
    insert into case_words (case_id, principal, verb, decision, evidence)
    select add_case_word_v3.case_id, add_case_word_v3.principal, 'resolve',
           add_case_word_v3.decision, add_case_word_v3.evidence
     where add_case_word_v3.decision is distinct from (
        select w.decision from case_words w
         where w.case_id = add_case_word_v3.case_id and w.verb = 'resolve'
           and person_of(w.principal) = person_of(add_case_word_v3.principal)
         order by w.id desc limit 1);
    return query select d from case_deciders(add_case_word_v3.case_id,
                                             add_case_word_v3.decision) d;
end $$;

create or replace function add_case_word_v2(
    case_id bigint, principal text, decision text, evidence text)
returns setof text language plpgsql security definer set search_path = public, pg_temp as $$
begin
    return query select * from add_case_word_v3(case_id, principal, decision, evidence);
end $$;

-- As v2, by what each person says now. Under the gate: once somebody is disabled, no later commit
-- counts them.
create function close_case_v3(
    case_id bigint, by text, decision text, resolution text, posting text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    moved transactions;
    people bigint;
begin
    perform pass_gate();
    perform from cases k where k.id = close_case_v3.case_id for no key update;
    select count(*) into people
      from case_deciders(close_case_v3.case_id, close_case_v3.decision);
    select * into moved from transactions t
     where t.key = posting and t.outcome = 'booked'
       and starts_with(t.key, format('case/%s/', close_case_v3.case_id));
    if exists (select from case_money(close_case_v3.case_id)) then
        if moved.id is null or people < 2 then
            perform raise_bug(format('case %s', close_case_v3.case_id),
                'its money is in suspense: it needs the posting that takes it out, and two people');
        end if;
    elsif people < 1 then
        perform raise_bug(format('case %s', close_case_v3.case_id), 'nobody has said so');
    end if;
    update cases k
       set closed_at = clock_timestamp(), closed_by = by, resolution = close_case_v3.resolution,
           closed_transaction_id = moved.id
     where k.id = close_case_v3.case_id and k.closed_at is null;
    return found;
end $$;

create or replace function close_case_v2(
    case_id bigint, by text, decision text, resolution text, posting text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    return close_case_v3(case_id, by, decision, resolution, posting);
end $$;
