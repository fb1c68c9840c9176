-- 0007 · before deploy · indexes of `payments`, made under SHARE: reads go on, writes wait for as
-- long as the table is read three times (a second or two for each million payments).
-- Why: a page of one tenant's, account's or partner's payments was looked for among everybody's,
-- so it took the longer the rarer theirs were. Each index is in the order of the pages.
create index payments_of_tenant on payments (tenant, created_at, id);
create index payments_of_account on payments (account, created_at, id);
create index payments_of_partner on payments (partner, created_at, id) where partner is not null;
