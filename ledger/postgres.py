"""The books in PostgreSQL: changes through the scribe, all else by functions and plain reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg

from bursar.errors import ContentConflict
from bursar.gate import CapBody, DisableBody, SwitchBody
from bursar.ids import payment_of
from bursar.reports import PartnerEvent
from ledger.books import (
    Account,
    AccountToOpen,
    ApprovalRow,
    AttemptRow,
    CaseRow,
    PartnerWord,
    Payment,
    Permit,
    StoredEvent,
)
from ledger.changes import Change, Written
from ledger.connections import (
    COMMAND_SECONDS,
    CONNECT_SECONDS,
    SERVER_SETTINGS,
    answering,
    open_pool,
)
from ledger.postgres_evidence import PostgresEvidence
from ledger.scribe import Scribe

RELAY_LEASE = timedelta(seconds=15)
"""How long an event that was handed to a relay is kept from another."""

_ACCOUNT = """
select a.path, a.tenant, a.kind, a.currency, b.side * b.posted as posted_minor,
       b.held as held_minor, b.side * b.posted - b.held as available_minor,
       b.floor as floor_minor, b.ceiling as ceiling_minor, b.closed
  from accounts a join balances b on b.account_id = a.id where a.path = $1
"""
_PAYMENT = """
select row_to_json(r) from (
    select id, kind, tenant, state, seq, content_hash, partner, currency, amount_minor, fee_minor,
           request, terms, created_by, created_at, updated_at,
           (select count(*) from cases c where c.payment_id = p.id and c.closed_at is null)
           as open_cases,
           array(select row_to_json(a) from attempts a where a.payment_id = p.id order by ordinal)
           as attempts
      from payments p where id = $1) r
"""
_WORDS = """
select w.attempt_key, w.verb, w.kind, w.partner_ref, w.code, w.evidence, w.answered_at
  from partner_words w join attempts a on a.key = w.attempt_key
 where a.payment_id = $1 order by w.id
"""
_CANCEL_WISHED = "select from notes where payment_id = $1 and kind = 'cancel_too_late' limit 1"
_WAITING = """
select count(*) from payments
 where state = $1 and partner is not distinct from $2 and (state = 'reserved' or kind = 'transfer')
"""
_EVENTS = """
select e.*, (select a.payment_id from attempts a
              where a.partner = e.partner and a.partner_ref = e.partner_ref
              order by a.opened_at limit 1) as named_payment
  from partner_events e
"""
_EVENT = f"{_EVENTS} where e.id = $1"
_TOLD_BY = """
select e.partner from partner_events e
 where e.payment_id = $1 and e.kind in ('accepted', 'paid') order by e.received_at, e.id limit 1
"""
_OPEN_EVENTS = f"""{_EVENTS}
 where e.payment_id = $1 and e.applied_at is null and e.set_aside_at is null
 order by e.occurred_at, e.id
"""


class PostgresBooks(PostgresEvidence):
    """`ledger.books.Books` on one PostgreSQL database."""

    def __init__(self, pool: asyncpg.Pool, scribe: Scribe) -> None:
        super().__init__(pool)
        self._scribe = scribe

    @classmethod
    @asynccontextmanager
    async def open(
        cls, dsn: str, *, lanes: int = 2, pool_size: int = 8
    ) -> AsyncIterator[PostgresBooks]:
        """Open the books; on leaving, what waits is written first.

        Args:
            dsn: postgresql://…, as a login in the role bursar_writer.
            lanes: Connections that write changes.
            pool_size: Connections for everything else, opened as they are needed.

        Raises:
            ConnectionError: The database does not answer.
        """

        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(
                dsn,
                timeout=CONNECT_SECONDS,
                command_timeout=COMMAND_SECONDS,
                server_settings=SERVER_SETTINGS,
            )

        with answering("at all"):
            pool = await open_pool(dsn, idle=1, connections_max=pool_size)
        scribe = Scribe(connect, lanes=lanes)
        try:
            yield cls(pool, scribe)
        finally:
            await scribe.aclose()
            await pool.close()

    async def write(self, change: Change) -> Written:
        """Write a change once; returns when the commit that carries it is durable."""
        return await self._scribe.write(change)

    async def open_accounts(self, accounts: Sequence[AccountToOpen]) -> None:
        """Open accounts that do not exist yet."""
        by_path = {account.path: account for account in accounts}
        for account in accounts:
            if by_path[account.path] != account:
                raise ContentConflict(account.path)
        rows = [by_path[path] for path in sorted(by_path)]
        await self._value(
            "select open_accounts_v1($1, $2, $3, $4, $5, $6, $7)",
            [row.path for row in rows],
            [row.kind for row in rows],
            [row.currency for row in rows],
            [row.tenant for row in rows],
            [row.floor_minor for row in rows],
            [row.ceiling_minor for row in rows],
            [row.soft for row in rows],
        )

    async def account(self, path: str) -> Account | None:
        """Return one account with its balance, or None."""
        rows = await self._rows(_ACCOUNT, path)
        return Account.model_validate(dict(rows[0])) if rows else None

    async def payment(self, payment_id: str) -> Payment | None:
        """Return a payment with its attempts, as it stands now, or None."""
        text = await self._value(_PAYMENT, payment_id)
        return None if text is None else Payment.model_validate_json(text)

    async def attempts(self, payment_id: str) -> list[AttemptRow]:
        """Return a payment's attempts, oldest first."""
        rows = await self._rows(
            "select * from attempts where payment_id = $1 order by ordinal", payment_id
        )
        return [AttemptRow.model_validate(dict(row)) for row in rows]

    async def mark_sent(self, attempt_key: str) -> Permit:
        """Record that bytes may leave from now on, unless they may not."""
        (row,) = await self._rows("select permit, refusal from mark_sent_v4($1)", attempt_key)
        return Permit(fence=row["permit"], refusal=row["refusal"])

    async def may_have_left(self, payment_id: str) -> bool:
        """Tell whether a payout that is not claimed here may be at its partner all the same."""
        return bool(await self._value("select may_have_left_v1($1)", payment_id))

    async def told_by(self, payment_id: str) -> str | None:
        """Return the partner that was the first to tell that it has a payment, or None."""
        partner: str | None = await self._value(_TOLD_BY, payment_id)
        return partner

    async def cancel_wished(self, payment_id: str) -> bool:
        """Tell whether somebody's wish to cancel came too late."""
        return bool(await self._rows(_CANCEL_WISHED, payment_id))

    async def mark_unsent(self, attempt_key: str, fence: int) -> bool:
        """Record that certainly nothing left after all, if that permission is still the newest."""
        return bool(await self._value("select mark_unsent_v2($1, $2)", attempt_key, fence))

    async def add_word(self, word: PartnerWord) -> None:
        """Keep a partner's answer."""
        await self._value(
            "select add_word_v1($1, $2, $3, $4, $5, $6)",
            word.attempt_key,
            word.verb,
            word.kind,
            word.partner_ref,
            word.code,
            word.evidence,
        )

    async def words(self, payment_id: str) -> list[PartnerWord]:
        """Return every answer to a payment's attempts, oldest first."""
        rows = await self._rows(_WORDS, payment_id)
        return [PartnerWord.model_validate(dict(row)) for row in rows]

    async def add_note(
        self, payment_id: str, *, key: str, actor: str, kind: str, detail: str
    ) -> None:
        """Put a remark on a payment's timeline, once per key."""
        await self._value(
            "select add_note_v1($1, $2, $3, $4, $5)", payment_id, key, actor, kind, detail
        )

    async def store_event(
        self, event: PartnerEvent, raw: bytes, headers: dict[str, str]
    ) -> int | None:
        """Store an authentic event with its raw bytes; None if it was there already."""
        row_id: int | None = await self._value(
            "select store_event_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
            " $15, $16, $17, $18)",
            event.partner,
            event.event_id,
            event.kind,
            event.reference,
            event.partner_ref,
            event.amount_minor,
            event.currency,
            event.code,
            event.detail,
            event.value_on,
            event.occurred_at,
            payment_of(event.reference) if event.reference is not None else None,
            raw,
            json.dumps(headers),
            event.payee_account,
            event.payment_amount_minor,
            event.fee_minor,
            event.line_ref,
        )
        return row_id

    async def events_to_relay(self, limit: int) -> list[StoredEvent]:
        """Return events that no workflow has taken notice of, oldest first, leased for a while."""
        rows = await self._rows("select * from events_to_relay_v2($1, $2)", limit, RELAY_LEASE)
        return [_stored_event(row) for row in rows]

    async def mark_taken(self, row_id: int) -> None:
        """Record that a workflow has taken notice of an event."""
        await self._value("select mark_taken_v1($1)", row_id)

    async def event(self, row_id: int) -> StoredEvent | None:
        """Return one stored event, with the payment that its partner's name is of."""
        rows = await self._rows(_EVENT, row_id)
        return _stored_event(rows[0]) if rows else None

    async def open_events(self, payment_id: str) -> list[StoredEvent]:
        """Return a payment's events that are not applied yet, in order of occurrence."""
        return [_stored_event(row) for row in await self._rows(_OPEN_EVENTS, payment_id)]

    async def set_event_aside(self, row_id: int, verdict: str) -> None:
        """Record that an event needs no change, and why: repeated, stale."""
        await self._value("select set_event_aside_v1($1, $2)", row_id, verdict)

    async def add_approval(self, approval: ApprovalRow, due_since: datetime | None = None) -> bool:
        """Keep a person's word on a payment; False if the same word is there already."""
        added = await self._value(
            "select add_approval_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            approval.payment_id,
            approval.principal,
            approval.decision,
            approval.role,
            approval.content_hash,
            approval.rule_version,
            approval.reason,
            approval.channel,
            approval.at,
            due_since,
        )
        return bool(added)

    async def approvals(self, payment_id: str) -> list[ApprovalRow]:
        """Return what people said of a payment, oldest first."""
        rows = await self._rows(
            "select * from approvals where payment_id = $1 order by at, principal, decision",
            payment_id,
        )
        return [ApprovalRow.model_validate(dict(row)) for row in rows]

    async def approvals_given(self, payment_id: str) -> int:
        """Return how many people's approvals count now, by the rule frozen on the payment."""
        return int(await self._value("select approvals_given_v2($1)", payment_id))

    async def waiting(self, partner: str | None) -> int:
        """Return how many of a partner's payouts, or of all transfers, wait to go."""
        state = "scheduled" if partner is None else "reserved"
        return int(await self._value(_WAITING, state, partner))

    async def pause(self, body: SwitchBody, by: str) -> str:
        """Stop handing over; once this returns, no money leaves against it."""
        return str(
            await self._value(
                "select pause_v1($1, $2, $3, $4, $5)",
                body.scope,
                body.name,
                by,
                body.on_behalf_of,
                body.reason,
            )
        )

    async def resume(self, body: SwitchBody, by: str, *, is_admin: bool) -> str:
        """Lift a pause of one's own, or as an administrator any."""
        return str(
            await self._value(
                "select resume_v2($1, $2, $3, $4, $5, $6)",
                body.scope,
                body.name,
                by,
                is_admin,
                body.on_behalf_of,
                body.reason,
            )
        )

    async def set_cap(self, body: CapBody, by: str) -> str:
        """Set, replace or end a cap."""
        return str(
            await self._value(
                "select set_cap_v1($1, $2, $3, $4, $5, $6, $7, $8)",
                body.currency,
                body.partner,
                body.tenant,
                body.per_payment_minor,
                body.per_day_minor,
                by,
                body.on_behalf_of,
                body.reason,
            )
        )

    async def disable_person(self, body: DisableBody, by: str) -> bool:
        """Make a person's approvals count no more; False if they do not count already."""
        return bool(
            await self._value(
                "select disable_person_v1($1, $2, $3, $4)",
                body.name,
                by,
                body.on_behalf_of,
                body.reason,
            )
        )

    async def is_disabled(self, name: str) -> bool:
        """Tell whether a person's words count no more."""
        return bool(await self._value("select is_disabled_v1($1)", name))

    async def open_cases(self, payment_id: str) -> list[CaseRow]:
        """Return a payment's cases that nobody has closed yet, oldest first."""
        rows = await self._rows(
            "select * from cases where payment_id = $1 and closed_at is null order by id",
            payment_id,
        )
        return [CaseRow.model_validate(dict(row)) for row in rows]

    async def now(self) -> datetime:
        """Return the database's clock: the one clock that decides."""
        moment: datetime = await self._value("select clock_timestamp()")
        return moment


def _stored_event(row: asyncpg.Record) -> StoredEvent:
    event = PartnerEvent(**{name: row[name] for name in PartnerEvent.model_fields})
    return StoredEvent(
        row_id=row["id"],
        event=event,
        payment_id=row["payment_id"],
        received_at=row["received_at"],
        taken_at=row["taken_at"],
        applied_at=row["applied_at"],
        failures=row["failures"],
        redrives=row["redrives"],
        named_payment=row.get("named_payment"),
    )
