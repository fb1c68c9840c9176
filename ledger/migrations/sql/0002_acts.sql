-- 0002 · before deploy · new functions; `mark_sent_v1` is replaced by a call of its successor.
-- Why: permissions to send with a fence, and what people do to the gate. Each of their acts closes
-- the gate for its commit: once it has returned, no money leaves against it.

-- Whether bytes may leave now. The fence for the one caller that may send; else why not: `ended`,
-- the payment or the attempt is past sending · `sent`, an earlier permission may be in use · `paused`.
create function mark_sent_v2(attempt_key text, out permit bigint, out refusal text)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    p payments;
    a attempts;
    now_sent timestamptz;
begin
    perform pass_gate();
    select x.* into p from payments x
     where x.id = (select y.payment_id from attempts y where y.key = attempt_key)
       for no key update;
    select x.* into a from attempts x where x.key = attempt_key for no key update;
    if a.key is null then
        perform raise_bug(attempt_key, 'there is no such attempt');
    end if;
    refusal := case
        when p.state <> 'submitting' or a.result in
             ('rejected', 'not_sent', 'throttled', 'not_found', 'never_moved') then 'ended'
        when a.sent_at is not null then 'sent'
        when is_paused(a.partner, p.currency, p.tenant) then 'paused' end;
    if refusal is null then
        now_sent := clock_timestamp();
        update attempts x
           set sent_at = now_sent, first_sent_at = coalesce(x.first_sent_at, now_sent),
               fence = x.fence + 1
         where x.key = attempt_key
        returning x.fence into permit;
    end if;
end $$;

-- For workers of the release before; their token is the moment of the mark.
create or replace function mark_sent_v1(attempt_key text) returns timestamptz
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    given record;
begin
    select * into given from mark_sent_v2(attempt_key);
    if given.refusal in ('ended', 'paused') then
        perform raise_bug(attempt_key, 'it may not be sent: ' || given.refusal);
    end if;
    if given.permit is null then
        return null;
    end if;
    return (select a.sent_at from attempts a where a.key = attempt_key);
end $$;

-- Takes back that very permission, if it is still the newest one.
create function mark_unsent_v2(attempt_key text, permit bigint) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update attempts a set sent_at = null
     where a.key = attempt_key and a.fence = permit and a.sent_at is not null;
    if found then
        return true;
    end if;
    if not exists (select from attempts a where a.key = attempt_key) then
        perform raise_bug(attempt_key, 'there is no such attempt');
    end if;
    return false;
end $$;

-- Whether the books know what is to be stopped: a mistyped name would stop nothing.
create function is_known(scope text, name text) returns boolean
language sql stable as $$
    select case scope
        when 'all' then name = ''
        when 'partner' then exists (
            select from accounts a where starts_with(a.path, 'nostro/' || name || '/'))
        when 'currency' then exists (select from currencies c where c.code = name)
        when 'tenant' then exists (select from accounts a where a.tenant = name)
        else false end
$$;

create function pause_v1(scope text, name text, actor text, on_behalf_of text, reason text)
returns text language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not is_known(scope, name) then
        return 'unknown';
    end if;
    perform close_gate();
    if exists (select from pauses s where s.scope = pause_v1.scope and s.name = pause_v1.name
               and s.resumed_at is null) then
        return 'paused_already';
    end if;
    insert into pauses (scope, name, paused_at, paused_by, paused_for, reason)
    values (scope, name, clock_timestamp(), actor, on_behalf_of, reason);
    return 'paused';
end $$;

-- Lifted by whoever has paused, or by an administrator (INV-20: two people, unless one undoes
-- nothing but an act of their own).
create function resume_v1(
    scope text, name text, actor text, is_admin boolean, on_behalf_of text, reason text)
returns text language plpgsql security definer set search_path = public, pg_temp as $$
declare
    open pauses;
begin
    perform close_gate();
    select * into open from pauses s
     where s.scope = resume_v1.scope and s.name = resume_v1.name and s.resumed_at is null;
    if open.id is null then
        return case when is_known(scope, name) then 'not_paused' else 'unknown' end;
    end if;
    if open.paused_by <> actor and not is_admin then
        return 'not_allowed';
    end if;
    update pauses s
       set resumed_at = clock_timestamp(), resumed_by = actor, resumed_for = on_behalf_of,
           resumed_reason = resume_v1.reason
     where s.id = open.id;
    return 'resumed';
end $$;

-- No bound at all ends the cap. What was claimed today counts under a new cap too.
create function set_cap_v1(
    of_currency text, of_partner text, of_tenant text, per_payment bigint, per_day bigint,
    actor text, on_behalf_of text, reason text)
returns text language plpgsql security definer set search_path = public, pg_temp as $$
declare
    today date;
    new_id bigint;
begin
    if not is_known('currency', of_currency)
       or of_partner is not null and not is_known('partner', of_partner)
       or of_tenant is not null and not is_known('tenant', of_tenant) then
        return 'unknown';
    end if;
    perform close_gate();
    today := (clock_timestamp() at time zone 'UTC')::date;
    update caps c set ended_at = clock_timestamp(), ended_by = actor
     where c.ended_at is null and c.currency = of_currency
       and c.partner is not distinct from of_partner and c.tenant is not distinct from of_tenant;
    if per_payment is null and per_day is null then
        return case when found then 'ended' else 'not_set' end;
    end if;
    insert into caps (currency, partner, tenant, per_payment_minor, per_day_minor, set_at, set_by,
                      set_for, reason)
    values (of_currency, of_partner, of_tenant, per_payment, per_day, clock_timestamp(), actor,
            on_behalf_of, reason)
    returning id into new_id;
    insert into cap_uses (cap_id, day, amount_minor)
    select new_id, today, coalesce(sum(p.amount_minor), 0)::bigint
      from transactions t
      join attempts a on a.key = t.attempt_key and a.opened_at = t.booked_at
      join payments p on p.id = a.payment_id
     where t.booked_at >= today::timestamp at time zone 'UTC' and p.currency = of_currency
       and coalesce(of_partner, a.partner) = a.partner and coalesce(of_tenant, p.tenant) = p.tenant;
    return 'set';
end $$;

-- False: their approvals do not count already.
create function disable_person_v1(
    principal text, actor text, on_behalf_of text, reason text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform close_gate();
    insert into people_disabled (principal, at, disabled_by, disabled_for, reason)
    values (disable_person_v1.principal, clock_timestamp(), actor, on_behalf_of,
            disable_person_v1.reason)
    on conflict on constraint people_disabled_pkey do nothing;
    return found;
end $$;
