-- 0003 · before deploy · new objects, and an index for which writes to `attempts` wait.
-- Why: what a partner says it has moved is one movement, however often and in whatever order it is
-- told. The first debit of a payout is the payout; a second one is the partner's own mistake, and
-- returns never come to more than was paid.
create index attempts_of_partner on attempts (partner, partner_ref) where partner_ref is not null;

create table partner_lines (
    partner      text        not null,
    line_ref     text        collate "C" not null,  -- The partner's name of the movement.
    payment_id   text        collate "C" not null references payments,
    kind         text        not null check (kind in ('paid', 'returned')),
    amount_minor bigint      not null check (amount_minor > 0),  -- Of the payment's own amount.
    ordinal      bigint      not null check (ordinal > 0),
    fits         boolean     not null,  -- Whether it is the payment's; else it is too much.
    completes    boolean     not null,  -- Whether with it all of the payment's amount has come back.
    noted_at     timestamptz not null default clock_timestamp(),
    primary key (partner, line_ref),
    constraint partner_lines_in_order unique (payment_id, kind, ordinal)
);

create trigger frozen before update or delete or truncate on partner_lines
    for each statement execute function refuse_change();

-- Judged once, under the payment's lock: whoever asks again hears the first answer, which may be
-- about another payment than the one that was meant.
create function note_line_v1(
    partner text, line_ref text, meant text, kind text, amount_minor bigint)
returns setof partner_lines
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    payment payments;
    before bigint;
    so_far bigint;
begin
    -- Its commit need not wait for the disk: whatever is booked by the answer commits after it, and
    -- makes both durable; without that, the answer is asked for again.
    perform set_config('synchronous_commit', 'off', true);
    select * into payment from payments p where p.id = meant for no key update;
    if not found then
        perform raise_bug(meant, 'there is no such payment');
    end if;
    select count(*), coalesce(sum(l.amount_minor) filter (where l.fits), 0) into before, so_far
      from partner_lines l
     where l.payment_id = meant and l.kind = note_line_v1.kind;
    insert into partner_lines (partner, line_ref, payment_id, kind, amount_minor, ordinal, fits,
                               completes)
    values (note_line_v1.partner, note_line_v1.line_ref, meant, note_line_v1.kind,
            note_line_v1.amount_minor, before + 1,
            so_far + note_line_v1.amount_minor <= payment.amount_minor,
            so_far + note_line_v1.amount_minor = payment.amount_minor)
    on conflict on constraint partner_lines_pkey do nothing;
    return query select * from partner_lines l
                  where l.partner = note_line_v1.partner and l.line_ref = note_line_v1.line_ref;
end $$;
