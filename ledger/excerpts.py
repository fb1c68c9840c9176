"""Excerpts: what is new in the books and all that belongs to it, under the names of their tables.

A query that follows one of these texts sees the excerpt where it names a table, and the whole table
where it writes `public.` before it. So one query serves for all of the books and for an excerpt.

What is new is between two xids: $1, which is in, and $2, which is not. $3 and $4 are the lowest and
the highest id of the transactions between them, both in; they only bound what is read, being handed
out in about the order of the xids. The `case` is for the planner, whose statistics end before the
newest xids: it takes half of these rows for new, and would take none. For the same reason payments
and their transactions are given by name: a list has a length.
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

TOUCHED = """
select payment_id
  from transactions where id between $3 and $4 and payment_id is not null
   and case when xid >= $1 then xid < $2 end
 union
select o.payment_id
  from transactions t join transactions o on o.id = t.reverses
 where t.id between $3 and $4 and o.payment_id is not null
   and case when t.xid >= $1 then t.xid < $2 end
"""
"""The ids of the payments that new transactions are of, or are of what they reverse."""

OWN = """
with own as (
    select t.id from unnest($1::text[]) p(id)
      join transactions t on t.payment_id = p.id collate "C"
)
select id from own union select r.id from own join transactions r on r.reverses = own.id
"""
"""The ids of some payments' transactions, and of those that reverse them."""

PAYMENTS = """
with touched as materialized (
    select t.id collate "C" as id from unnest($1::text[]) t(id)
), payments as materialized (
    select p.* from touched join public.payments p using (id)
), transitions as materialized (
    select t.* from touched p join public.transitions t on t.payment_id = p.id
), attempts as materialized (
    select a.* from touched p join public.attempts a on a.payment_id = p.id
), transactions as materialized (
    select t.* from unnest($2::bigint[]) own(id) join public.transactions t using (id)
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
"""Payments, given as $1 with their transactions as $2, and whatever the register and the journal
have of them. Events to publish are found by their ids, which begin with the payment's and a slash;
"0" is the character after it. What spends a hold is of the hold's own payment, or reverses one of
its transactions: no step does otherwise."""
