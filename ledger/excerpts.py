"""Excerpts: what is new in the books and all that belongs to it, under the names of their tables.

A query that follows one of these texts sees the excerpt where it names a table, and the whole table
where it writes `public.` before it. So one query serves for all of the books and for an excerpt.

What is new is between two xids: $1, which is in, and $2, which is not. $3 and $4 are the lowest and
the highest id of the transactions between them, both in; they only bound what is read, being handed
out in about the order of the xids.

Statistics say nothing of what is new, so how it is read is not left to them. Each row of an excerpt
is looked up in an index, which `lateral` and `offset 0` see to; and joins are never loops in loops
(`SETTINGS`), so the checks put an excerpt together by hashing or sorting, however large it is.
"""

from __future__ import annotations

SETTINGS = ("set local enable_seqscan = off", "set local enable_nestloop = off")

_ACCOUNTS = """), accounts as materialized (
    select a.* from concerned c
     cross join lateral (select * from public.accounts a where a.id = c.id offset 0) a
), balances as materialized (
    select b.* from concerned c
     cross join lateral (select * from public.balances b where b.account_id = c.id offset 0) b
)"""

JOURNAL = f"""
with transactions as materialized (
    select id, key, digest, kind, outcome, payment_id, attempt_key, evidence_id
      from public.transactions where id between $3 and $4 and xid >= $1 and xid < $2
), entries as materialized (
    select e.*
      from public.entries e
      left join public.transactions t on t.id = e.transaction_id and t.id between $3 and $4
     where e.transaction_id between $3 and $4 and (t.id is null or t.xid >= $1 and t.xid < $2)
), concerned as materialized (
    select distinct account_id as id from entries
{_ACCOUNTS}
"""  # noqa: S608  our own words alone
"""The new transactions and their entries, entries of no transaction that lie between them, and the
accounts of all these."""

TOUCHED = """
select payment_id
  from transactions where id between $3 and $4 and payment_id is not null
   and xid >= $1 and xid < $2
 union
select (select o.payment_id from transactions o where o.id = t.reverses)
  from transactions t where t.id between $3 and $4 and t.reverses is not null
   and t.xid >= $1 and t.xid < $2
"""
"""The ids of the payments that new transactions are of, or are of what they reverse; and null."""

PAYMENTS = f"""
with touched as materialized (
    select t.id collate "C" as id from unnest($1::text[]) t(id)
), payments as materialized (
    select p.* from touched
     cross join lateral (select * from public.payments p where p.id = touched.id offset 0) p
), transitions as materialized (
    select t.* from touched cross join lateral (
        select * from public.transitions t where t.payment_id = touched.id offset 0) t
), attempts as materialized (
    select a.* from touched cross join lateral (
        select * from public.attempts a where a.payment_id = touched.id offset 0) a
), own as materialized (
    select t.* from touched cross join lateral (
        select * from public.transactions t where t.payment_id = touched.id offset 0) t
), transactions as materialized (
    select * from own
     union
    select r.* from own cross join lateral (
        select * from public.transactions r where r.reverses = own.id offset 0) r
), entries as materialized (
    select e.* from transactions t cross join lateral (
        select * from public.entries e where e.transaction_id = t.id offset 0) e
), holds as materialized (
    select h.* from transactions t cross join lateral (
        select * from public.holds h where h.transaction_id = t.id offset 0) h
), partner_lines as materialized (
    select l.* from touched cross join lateral (
        select * from public.partner_lines l where l.payment_id = touched.id offset 0) l
), outbox as materialized (
    select o.* from touched cross join lateral (
        select * from public.outbox o
         where o.event_id > touched.id || '/' and o.event_id < touched.id || '0' offset 0) o
), concerned as materialized (
    select account_id as id from entries union select account_id from holds
{_ACCOUNTS}
"""  # noqa: S608
"""Payments, given as $1, and whatever the register and the journal have of them. Events to publish
are found by their ids, which begin with the payment's and a slash; "0" is the character after it.
What spends a hold is of the hold's own payment, or reverses one of its transactions: no step does
otherwise."""
