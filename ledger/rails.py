"""Rails: how the gate stands, and what waits before it, read from the books."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bursar.gate import CapView, PauseView, RailList, RailView

_RAILS = text(
    """with rails as (
           select distinct split_part(path, '/', 2) as partner from accounts
            where path like 'nostro/%'),
       waiting as (
           select p.partner, count(*) as waiting, min(p.updated_at) as waiting_since,
                  count(*) filter (where exists (
                      select from notes n where n.payment_id = p.id and n.kind = 'held_back'))
                  as held_back
             from payments p where p.state = 'reserved' group by p.partner)
       select r.partner, coalesce(w.waiting, 0) as waiting, coalesce(w.held_back, 0) as held_back,
              w.waiting_since,
              exists (select from pauses s where s.resumed_at is null and
                      (s.scope = 'all' or s.scope = 'partner' and s.name = r.partner)) as paused
         from rails r left join waiting w on w.partner = r.partner order by r.partner"""
)
_PAUSES = text(
    """select scope, name, paused_at, paused_by, paused_for, reason
         from pauses where resumed_at is null order by scope, name"""
)
_CAPS = text(
    """select c.currency::text as currency, c.partner, c.tenant, c.per_payment_minor,
              c.per_day_minor, coalesce(u.amount_minor, 0) as claimed_today_minor, c.set_at,
              c.set_by, c.reason
         from caps c left join cap_uses u on u.cap_id = c.id
              and u.day = (now() at time zone 'UTC')::date
        where c.ended_at is null order by c.currency, c.partner nulls first, c.tenant nulls first"""
)
_TRANSFERS = text("select count(*) from payments where state = 'scheduled' and kind = 'transfer'")


async def rail_list(connection: AsyncConnection) -> RailList:
    """Return every rail that the books know, with all pauses and caps that are in force."""
    rails = (await connection.execute(_RAILS)).all()
    pauses = (await connection.execute(_PAUSES)).all()
    caps = (await connection.execute(_CAPS)).all()
    return RailList(
        rails=tuple(RailView(**row._mapping) for row in rails),
        transfers_waiting=(await connection.execute(_TRANSFERS)).scalar_one(),
        pauses=tuple(PauseView(**row._mapping) for row in pauses),
        caps=tuple(CapView(**row._mapping) for row in caps),
    )
