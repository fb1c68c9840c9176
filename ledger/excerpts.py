"""Excerpts: what is new in the books and all that belongs to it, under the names of their tables.

A query that follows one of these texts sees the excerpt where it names a table, and the whole table
where it writes `public.` before it. So one query serves for all of the books and for an excerpt.

The parameters of both: $1 and $2 are xids, of which the first is in and the second is not; $3 and
$4 are the lowest and the highest id of the transactions between them, both in. The ids only bound
what is read: they are handed out in about the order of the xids. The `case` is for the planner,
whose statistics end before the newest xids: it takes half of these rows for new, and would take
none.
"""

from __future__ import annotations

JOURNAL = """
with transactions as materialized (
    select id, key, digest, kind, outcome, payment_id, attempt_key, evidence_id
      from public.transactions where id between $3 and $4
       and case when xid >= $1 then xid < $2 end
), entries as materialized (
    select e.*
      from public.entries e
      left join public.transactions t on t.id = e.transaction_id and t.id between $3 and $4
     where e.transaction_id between $3 and $4
       and case when t.id is null then true when t.xid >= $1 then t.xid < $2 end
)
"""
"""The new transactions and their entries, and entries of no transaction that lie between them."""

PAYMENTS = """
with fresh as materialized (
    select id, payment_id, reverses
      from public.transactions where id between $3 and $4
       and case when xid >= $1 then xid < $2 end
), touched as materialized (
    select payment_id as id from fresh where payment_id is not null
     union
    select t.payment_id from fresh f join public.transactions t on t.id = f.reverses
     where t.payment_id is not null
), payments as materialized (
    select p.* from touched join public.payments p using (id)
), transitions as materialized (
    select t.* from touched p join public.transitions t on t.payment_id = p.id
), attempts as materialized (
    select a.* from touched p join public.attempts a on a.payment_id = p.id
), transactions as materialized (
    select t.* from touched p join public.transactions t on t.payment_id = p.id
     union
    select r.* from touched p join public.transactions t on t.payment_id = p.id
      join public.transactions r on r.reverses = t.id
), entries as materialized (
    select e.* from transactions t join public.entries e on e.transaction_id = t.id
), holds as materialized (
    select h.* from transactions t join public.holds h on h.transaction_id = t.id
), partner_lines as materialized (
    select l.* from touched p join public.partner_lines l on l.payment_id = p.id
), outbox as materialized (
    select o.* from touched p join public.outbox o
        on o.event_id > p.id || '/' and o.event_id < p.id || '0'
)
"""
"""The payments that new transactions are of, and whatever the register and the journal have of
them. Events to publish are found by their ids, which begin with the payment's and a slash; "0" is
the character after it. What spends a hold is of the hold's own payment, or reverses one of its
transactions: no step does otherwise."""
