"""Preparing: what a migration needs of large books, done while everybody goes on.

Revision 0010 makes the table of entries a part of a partitioned one. PostgreSQL takes it as it is
if a constraint proves which transactions it holds; otherwise it reads all of it under a lock.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Half as many ids again as there are: they last half as long as the books are old, at their pace.
# So long a migration that was cut off here may wait; then the proof would refuse new entries.
_NEEDED = """
select (select (last_value * 3 / 2 / 10000000 + 1) * 10000000 from transactions_id_seq) as until_id,
       (select conname from pg_constraint
         where conrelid = c.oid and conname ~ '^entries_until_') as proof
  from pg_class c
 where c.oid = to_regclass('public.entries') and c.relkind = 'r' and exists (select from entries)
"""


async def prepare(connection: AsyncConnection) -> None:
    """Prove which transactions the entries are of; nothing to do where that is proven, or past.

    Adding the constraint locks `entries` for an instant; validating it reads all of them under
    SHARE UPDATE EXCLUSIVE, which stops nobody. Each is a commit, and safe to repeat.
    """
    there = await connection.scalar(text("select to_regclass('public.entries') is not null"))
    needed = (await connection.execute(text(_NEEDED))).first() if there else None
    await connection.commit()
    if needed is None:
        return
    proof = needed.proof or f"entries_until_{needed.until_id}"
    if needed.proof is None:
        condition = f"check (transaction_id < {needed.until_id}) not valid"
        await _as_owner(connection, f"alter table entries add constraint {proof} {condition}")
    await _as_owner(connection, f"alter table entries validate constraint {proof}")


async def _as_owner(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(text("set local role bursar_owner"))
    await connection.execute(text(statement))
    await connection.commit()
