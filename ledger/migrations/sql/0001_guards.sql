-- 0001 · before deploy · triggers on new tables only.
-- Why: what must never happen is impossible, whoever writes, the owner of the tables included.
create function assert_entries_balance() returns trigger
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
    select f.account_id, f.currency into bad
      from fresh f left join balances b on b.account_id = f.account_id
     where b.currency is distinct from f.currency limit 1;
    if found then
        raise 'account % does not exist or does not hold %', bad.account_id, bad.currency
            using errcode = 'check_violation', constraint = 'entries_currency';
    end if;
    return null;
end $$;

create trigger entries_balance after insert on entries referencing new table as fresh
    for each statement execute function assert_entries_balance();

-- A payment's transitions are 1, 2, 3…, and each begins where the one before it has ended.
create function assert_transitions_follow() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    bad record;
begin
    select f.payment_id, f.seq, f.before into bad
      from fresh f left join transitions p on p.payment_id = f.payment_id and p.seq = f.seq - 1
     where p.after is distinct from f.before or (f.seq = 1) <> (f.before is null) limit 1;
    if found then
        raise 'transition % of % does not begin where the one before it has ended',
            bad.seq, bad.payment_id
            using errcode = 'check_violation', constraint = 'transitions_follow';
    end if;
    return null;
end $$;

create trigger transitions_follow after insert on transitions referencing new table as fresh
    for each statement execute function assert_transitions_follow();

create function refuse_change() returns trigger
language plpgsql set search_path = public, pg_temp as $$
begin
    raise '% on % is refused: what is written here stays as it is', tg_op, tg_table_name
        using errcode = 'integrity_constraint_violation',
              hint = 'Correct it with a new row that refers to the old one.';
end $$;

do $$
declare
    name text;
begin
    foreach name in array array['transactions', 'entries', 'transitions', 'approvals', 'notes',
                                'partner_words'] loop
        execute format('create trigger frozen before update or delete or truncate on %I
                        for each statement execute function refuse_change()', name);
    end loop;
    foreach name in array array['accounts', 'balances', 'holds', 'payments', 'attempts',
                                'partner_events', 'cases'] loop
        execute format('create trigger kept before delete or truncate on %I
                        for each statement execute function refuse_change()', name);
    end loop;
end $$;

-- What a payment, an account, an attempt or an event is never changes; only its progress does.
create trigger frozen before update of id, kind, tenant, account, currency, amount_minor,
    fee_minor, partner, content_hash, request, terms, created_by, batch_id, created_at on payments
    for each statement execute function refuse_change();
create trigger frozen before update of id, path, kind, currency, tenant on accounts
    for each statement execute function refuse_change();
create trigger frozen before update of account_id, currency, side on balances
    for each statement execute function refuse_change();
create trigger frozen before update of transaction_id, account_id, amount on holds
    for each statement execute function refuse_change();
create trigger frozen before update of key, payment_id, ordinal, partner, wire_hash, opened_at
    on attempts for each statement execute function refuse_change();
create trigger frozen before update of id, partner, event_id, kind, reference, partner_ref,
    amount_minor, currency, code, detail, value_on, occurred_at, raw, headers, received_at
    on partner_events for each statement execute function refuse_change();
create trigger frozen before update of id, payment_id, transaction_id, kind, detail, opened_at,
    opened_by on cases for each statement execute function refuse_change();
