"""Lives: one payment with all that happened to it, put together out of the journal and register."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bursar.beneficiaries import masked
from bursar.texts import mixed_scripts
from bursar.views import (
    AttemptView,
    EntryView,
    PaymentSummary,
    PaymentView,
    PostingView,
    TimelineEntry,
    WordView,
)
from ledger.checks import MONEY_KINDS
from ledger.trouble import cases_of

_SUMMARY = """
    select p.id, p.kind, p.tenant, p.state, p.account, p.partner, p.amount_minor, p.fee_minor,
           p.currency, p.request ->> 'reference' as reference, p.created_by, p.created_at,
           p.updated_at, p.content_hash, p.request, p.terms,
           case p.state
             when 'refused' then coalesce(nullif(last.outcome, 'booked'), last.reason)
             when 'failed' then coalesce(sent.code, last.reason)
             when 'denied' then null
             when 'expired' then null
             when 'cancelled' then null
             else open_case.kind
           end as code,
           n.next_action, n.due_at
      from {payments} p
      left join payment_next n on n.id = p.id
      left join lateral (select x.reason, t.outcome
                           from transitions x left join transactions t on t.id = x.transaction_id
                          where x.payment_id = p.id and x.seq = p.seq limit 1) last on true
      left join lateral (select code from attempts where payment_id = p.id
                          order by ordinal desc limit 1) sent on true
      left join lateral (select kind from cases where payment_id = p.id and closed_at is null
                          order by id desc limit 1) open_case on true"""


def summaries(payments: str = "payments") -> str:
    """Return the query of the summaries of all payments, named `p`, or of those of a subquery."""
    return _SUMMARY.format(payments=payments)


_HAPPENED = text(
    """select at, 1 as rank, seq as nth, 'transition' as what,
              coalesce(before || ' → ', '') || after as text, actor, reason, evidence_id
         from transitions where payment_id = :id
       union all
       select at, 2, 0, 'approval', decision || ' as ' || role || ' by ' || channel, principal,
              reason, null
         from approvals where payment_id = :id
       union all
       select received_at, 0, id, 'event', kind || coalesce(' ' || code, '')
              || coalesce(': ' || nullif(detail, ''), '')
              || case when applied_at is null then ' (not applied yet)'
                      else coalesce(' (' || verdict || ')', '') end,
              'partner:' || partner, null, 'event/' || event_id
         from partner_events where payment_id = :id
       union all
       select opened_at, 3, id, 'case', 'opened: ' || kind, opened_by, detail, null
         from cases where payment_id = :id
       union all
       select closed_at, 3, id, 'case', 'closed: ' || kind, closed_by, resolution, null
         from cases where payment_id = :id and closed_at is not null
       union all
       select at, 4, id, 'note', kind || ': ' || detail, actor, null, null
         from notes where payment_id = :id
       order by 1, 2, 3"""
)

_ATTEMPTS = text(
    """select ordinal, key, partner, opened_at, sent_at, result, partner_ref, code
         from attempts where payment_id = :id order by ordinal"""
)

_WORDS = text(
    """select w.answered_at as at, w.attempt_key, w.verb, w.kind, w.partner_ref, w.code, w.evidence
         from partner_words w join attempts a on a.key = w.attempt_key
        where a.payment_id = :id order by w.id"""
)

# Steps without entries, such as the claim of an attempt, stand on the timeline already.
_POSTINGS = text(
    f"""select t.id, t.key, t.kind, nullif(t.outcome, 'booked') as refusal, t.booked_at,
              t.effective_on, t.actor, t.reason, t.evidence_id, r.key as reverses,
              d.file as archived_in
         from transactions t left join transactions r on r.id = t.reverses
         left join periods d on d.archived_at is not null
              and t.id >= d.first_id and t.id < d.until_id
        where t.payment_id = :id
          and (t.outcome <> 'booked' or d.file is not null and t.kind in {MONEY_KINDS}
               or exists (select from entries e where e.transaction_id = t.id))
        order by t.id"""  # noqa: S608  our own words
)

_ENTRIES = text(
    """select e.transaction_id, a.path as account, e.currency, e.delta as delta_minor,
              e.held as held_minor, e.posted_after as posted_after_minor,
              e.held_after as held_after_minor
         from transactions t join entries e on e.transaction_id = t.id
         join accounts a on a.id = e.account_id
        where t.payment_id = :id order by e.transaction_id, e.delta, a.path"""
)

# What came back went back to the hold that it was captured from, whose row is never archived.
_RETURNED = text(
    """select coalesce((select sum(h.returned)
                          from transactions t join holds h on h.transaction_id = t.id
                          join payments p on p.id = t.payment_id
                         where p.id = :id and p.state in ('settled', 'returned')
                           and t.id < (select id from live_from)),
                       (select sum(e.delta)
                          from transactions t join entries e on e.transaction_id = t.id
                          join accounts a on a.id = e.account_id
                          join payments p on p.id = t.payment_id
                         where p.id = :id and t.kind = 'return' and a.path = p.account),
                       0)::bigint"""
)

_APPROVALS_THAT_COUNT = text("select approvals_given_v2(:id)")

_NUMBERS = ("iban", "account_number", "msisdn")


def summary(row: Row[Any]) -> PaymentSummary:
    """Return a row of `summaries` as a payment in a list."""
    return PaymentSummary(**{name: getattr(row, name) for name in PaymentSummary.model_fields})


async def payment_view(connection: AsyncConnection, payment_id: str) -> PaymentView | None:
    """Return everything that is known of a payment, or None if the register does not have it."""

    async def rows(query: Any, **more: Any) -> list[Row[Any]]:
        return list((await connection.execute(query, {"id": payment_id, **more})).all())

    found = await rows(text(f"{summaries()} where p.id = :id"))
    if not found:
        return None
    row = found[0]
    need = row.terms.get("approvals") or {}
    given = await rows(_APPROVALS_THAT_COUNT) if need else [(0,)]
    return PaymentView(
        payment=summary(row),
        beneficiary=_shown(row.request.get("beneficiary")),
        cautions=_cautions(row.request),
        destination=row.request.get("destination"),
        content_hash=row.content_hash,
        approvals_needed=need.get("number", 0),
        approvals_given=given[0][0],
        execute_at=_moment(row.terms.get("execute_at")),
        timeline=tuple(_entry(r) for r in await rows(_HAPPENED)),
        attempts=tuple(AttemptView(**r._mapping) for r in await rows(_ATTEMPTS)),
        words=tuple(WordView(**r._mapping) for r in await rows(_WORDS)),
        postings=_postings(await rows(_POSTINGS), await rows(_ENTRIES)),
        returned_minor=(await rows(_RETURNED))[0][0],
        cases=await cases_of(connection, payment_id),
    )


def _entry(row: Row[Any]) -> TimelineEntry:
    return TimelineEntry(**{name: getattr(row, name) for name in TimelineEntry.model_fields})


def _postings(rows: list[Row[Any]], entries: list[Row[Any]]) -> tuple[PostingView, ...]:
    """Return transactions with the entries that each one made, debits first."""
    made: defaultdict[int, list[EntryView]] = defaultdict(list)
    for row in entries:
        made[row.transaction_id].append(
            EntryView(**{name: getattr(row, name) for name in EntryView.model_fields})
        )
    return tuple(
        PostingView(
            key=row.key,
            kind=row.kind,
            refusal=row.refusal,
            booked_at=row.booked_at,
            effective_on=row.effective_on.isoformat(),
            actor=row.actor,
            reason=row.reason,
            evidence_id=row.evidence_id,
            reverses=row.reverses,
            archived_in=row.archived_in,
            entries=tuple(made[row.id]),
        )
        for row in rows
    )


def _cautions(request: dict[str, Any]) -> tuple[str, ...]:
    """Return what an approver must know of the texts of a request; their letters may deceive."""
    texts = {
        "the beneficiary's name": (request.get("beneficiary") or {}).get("name"),
        "the reference": request.get("reference"),
    }
    judged = {what: mixed_scripts(text) for what, text in texts.items() if isinstance(text, str)}
    return tuple(f"{what} {caution}" for what, caution in judged.items() if caution)


def _shown(beneficiary: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a beneficiary as it may be shown: whole but for the number of the account."""
    if beneficiary is None:
        return None
    return beneficiary | {
        name: _hidden(beneficiary[name]) for name in _NUMBERS if name in beneficiary
    }


def _hidden(number: str) -> str:
    """Return a number masked; a short one, which `masked` would show whole, by its last two."""
    return masked(number) if len(number) > 8 else f"…{number[-2:]}"


def _moment(iso: str | None) -> datetime | None:
    return datetime.fromisoformat(iso) if iso else None
