-- 0012 · before deploy · `partner_lines` is locked for an instant, while two constraints are loosened.
-- Why: a movement is one movement whatever it is told as: a line that came in without an owner, or a
-- debit that we never asked for, is noted as such, and no later word makes something else of it.
alter table partner_lines alter column payment_id drop not null;  -- Null: of no payment.
alter table partner_lines drop constraint partner_lines_kind_check;
alter table partner_lines add constraint partner_lines_kind_check
    check (kind in ('paid', 'returned', 'deposit', 'suspense', 'phantom')) not valid;  -- Wider.

-- As v1, which only knew the first two kinds. `deposit` is an account's, without a payment;
-- `suspense` (came in) and `phantom` (went out) are nobody's, so they never fit; `meant` may be null.
create function note_line_v2(
    partner text, line_ref text, meant text, kind text, amount_minor bigint)
returns setof partner_lines
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    asked bigint;
    before bigint;
    so_far bigint;
begin
    -- Its commit need not wait for the disk: whatever is booked by the answer commits after it, and
    -- makes both durable; without that, the answer is asked for again.
    perform set_config('synchronous_commit', 'off', true);
    if meant is not null then
        select p.amount_minor into asked from payments p where p.id = meant for no key update;
        if not found then
            perform raise_bug(meant, 'there is no such payment');
        end if;
    end if;
    select count(*), coalesce(sum(l.amount_minor) filter (where l.fits), 0) into before, so_far
      from partner_lines l
     where l.payment_id = meant and l.kind = note_line_v2.kind;
    so_far := so_far + note_line_v2.amount_minor;
    insert into partner_lines (partner, line_ref, payment_id, kind, amount_minor, ordinal, fits,
                               completes)
    values (note_line_v2.partner, note_line_v2.line_ref, meant, note_line_v2.kind,
            note_line_v2.amount_minor, before + 1,
            note_line_v2.kind = 'deposit'
            or note_line_v2.kind in ('paid', 'returned') and coalesce(so_far <= asked, false),
            note_line_v2.kind in ('paid', 'returned') and coalesce(so_far = asked, false))
    on conflict on constraint partner_lines_pkey do nothing;
    return query select * from partner_lines l
                  where l.partner = note_line_v2.partner and l.line_ref = note_line_v2.line_ref;
end $$;

create or replace function note_line_v1(
    partner text, line_ref text, meant text, kind text, amount_minor bigint)
returns setof partner_lines
language sql security definer set search_path = public, pg_temp as $$
    select * from note_line_v2(partner, line_ref, meant, kind, amount_minor)
$$;
