-- Adds a block of transfers to books whose wallets have money, as the function would have written
-- them: running balances and sequences, digests, and every trigger on. {first} and {last} are
-- the ids of the transfers; each moves some units between two of the {wallets} wallets.
with legs as materialized (
    select n, case side when -1 then n * 7919 % {wallets}
                        else (n * 7919 + 1 + n / {wallets} % ({wallets} - 1)) % {wallets} end as nth,
           side * (1 + n % 97) as delta
      from generate_series({first}::bigint, {last}::bigint) n, unnest(array[-1, 1]) side
), named as materialized (
    select l.n, l.delta, a.id as account_id, a.path
      from legs l join accounts a on a.path = 'wallet/w' || lpad(l.nth::text, 5, '0') || '/EUR'
), anchored as (
    insert into transactions (id, key, digest, kind, outcome, effective_on, booked_at, actor)
    overriding system value
    select n, 'tr_' || lpad(n::text, 26, '0') || '/transfer',
           sha256(convert_to('{{"attempt":null,"format":1,"kind":"transfer","legs":['
               || string_agg(format('["%s","EUR",%s,0,"",false]', path, delta), ',' order by path)
               || '],"opens":null,"payment":null}}', 'UTF8')),
           'transfer', 'booked', date '2026-01-01' + (n / 100000)::int, now(), 'benchmark'
      from named group by n order by n
)
insert into entries (account_id, seq, transaction_id, currency, delta, held, posted_after,
                     held_after)
select b.account_id, b.seq + row_number() over so_far, l.n, 'EUR', l.delta, 0,
       b.posted + (sum(l.delta) over so_far)::bigint, b.held
  from named l join balances b using (account_id)
window so_far as (partition by b.account_id order by l.n rows unbounded preceding);

update balances b set posted = b.posted + w.delta, seq = b.seq + w.count
  from (select account_id, sum(delta)::bigint as delta, count(*) as count
          from entries where transaction_id between {first} and {last} group by account_id) w
 where b.account_id = w.account_id;
