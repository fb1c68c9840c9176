"""Changes: a payment's moves, their postings and what goes with them, in one commit or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from bursar.payments import PaymentKind, PaymentState

_quoted: Callable[[str], str] = encode_basestring_ascii


class Leg(NamedTuple):
    """What one posting does to one account; credits are positive, debits negative."""

    account: str
    currency: str
    delta: int = 0
    """Minor units that move; the legs of a change sum to 0 in each currency."""
    held: int = 0
    """Minor units that become held (positive) or stop being held (negative)."""
    hold: str | None = None
    """The key of the change that made the hold, where `held` is negative."""
    releases: bool = False
    """Whether a negative `held` gives the money back (release) or takes it (capture).

    A leg that names a hold, holds nothing and has a positive `delta` brings back what was
    captured from that hold; never more of it than was captured.
    """


class Registration(NamedTuple):
    """A payment enters the register: written once, with everything that is frozen on it."""

    kind: PaymentKind
    tenant: str
    account: str
    """The account that pays: the source."""
    currency: str
    amount_minor: int
    fee_minor: int
    partner: str | None
    content_hash: str
    request: dict[str, Any]
    terms: dict[str, Any]
    created_by: str
    batch_id: str | None = None


class Move(NamedTuple):
    """One transition of a payment; `before` None is its entry into the register."""

    before: PaymentState | None
    after: PaymentState


class AttemptOpened(NamedTuple):
    """The claim: committed before the first byte leaves."""

    ordinal: int
    key: str
    partner: str
    wire_hash: str
    """SHA-256 of the body that will be sent, 64 hex digits."""
    content_hash: str
    """Of the request that the body was made of; the books claim no other than the payment's."""


class AttemptClosed(NamedTuple):
    """What became of an attempt; a later report may follow an unknown one."""

    key: str
    result: str
    """The kind of the report: accepted, paid, rejected, unknown, …"""
    partner_ref: str | None = None
    code: str | None = None
    fence: int | None = None
    """The attempt's fence as the writer knows it: behind a newer one this is `stale`.

    None only for definite evidence of the partner, which is never too late.
    """


class AttemptReopened(NamedTuple):
    """The attempt may be sent again: clears `sent_at`, never `first_sent_at`, raises the fence.

    Goes with the move back to `submitting`, so that no one can see the one without the other. The
    attempt's result stays the last one that was heard until another comes.
    """

    key: str
    fence: int | None = None
    """The attempt's fence as the writer knows it: behind a newer one this is `stale`."""


Attempt = AttemptOpened | AttemptClosed | AttemptReopened


class CaseOpened(NamedTuple):
    """Something that a person has to look at; a case is never closed by a machine's guess."""

    kind: str
    """One word for the sort of trouble, such as outcome_unknown, contradiction, echo_mismatch."""
    detail: str


class Change(NamedTuple):
    """What is written together. The same key and content again gives the first outcome."""

    key: str
    """Payment, step and ordinal: po_…/hold, po_…/capture/1; never from a run's id."""
    kind: str
    """The step: hold, capture, settle, void, …, or the name of the move."""
    actor: str
    effective_on: date
    """The value date."""
    reason: str | None = None
    payment_id: str | None = None
    opens: Registration | None = None
    moves: tuple[Move, ...] = ()
    if_refused: PaymentState | None = None
    """Where the payment goes when the books refuse the legs; None leaves it where it is."""
    legs: tuple[Leg, ...] = ()
    evidence_id: str | None = None
    """What proves it: the partner's event, look-up or statement line. Needed to move a nostro."""
    reverses: str | None = None
    """The key of the change that this one undoes."""
    hold_expires_at: datetime | None = None
    """Kept on the hold that this makes; no step sets it yet, and nothing ends a hold by it."""
    attempt: Attempt | None = None
    applies_events: tuple[int, ...] = ()
    """Row ids of the stored partner events that this change has taken account of.

    An event is taken account of once: where another change has applied one of these, or it was
    set aside, nothing is written and the answer is `stale`.
    """
    case: CaseOpened | None = None
    closes_cases: bool = False
    """Whether this settles every open case of the payment, by `actor` and for `reason`."""

    def digest(self) -> bytes:
        """Return SHA-256 over what moves: not dates, evidence, actor or reason.

        So a retry after midnight, or a webhook and a poll that prove the same step, agree.
        """
        attempt = "null" if self.attempt is None else _quoted(self.attempt.key)
        opens = "null" if self.opens is None else _quoted(self.opens.content_hash)
        payment = "null" if self.payment_id is None else _quoted(self.payment_id)
        legs = sorted([(a, c, delta, held, h or "", r) for a, c, delta, held, h, r in self.legs])
        lines = ",".join(
            [
                f"[{_quoted(account)},{_quoted(currency)},{delta},{held},{_quoted(hold)},"
                f"{'true' if releases else 'false'}]"
                for account, currency, delta, held, hold, releases in legs
            ]
        )
        canonical = (  # JSON in ASCII; in the order of the names, since that is the first format's.
            f'{{"attempt":{attempt},"format":1,"kind":{_quoted(self.kind)},"legs":[{lines}],'
            f'"opens":{opens},"payment":{payment}}}'
        )
        return hashlib.sha256(canonical.encode()).digest()


class Refusal(StrEnum):
    """Why the books did not take a change; stored under its key for ever."""

    FUNDS = "insufficient_funds"
    CEILING = "ceiling_exceeded"
    ACCOUNT_CLOSED = "account_closed"
    HOLD_SPENT = "hold_spent"


class HeldBack(StrEnum):
    """Why money may not leave now; nothing was written, and the same change may pass later."""

    PAUSED = "paused"
    NOT_APPROVED = "not_approved"
    OVER_LIMIT = "over_limit"
    NOT_DUE = "not_due"


class Written(NamedTuple):
    """The answer to a change, given after the commit that carries it."""

    key: str
    refusal: Refusal | None = None
    held: HeldBack | None = None
    """Why a claim, a resend or a transfer's booking may not pass now; nothing was written."""
    state: PaymentState | None = None
    """The payment's state now; None where the change is of no payment."""
    stale: bool = False
    """True: the payment was not where the first move begins, or an event of `applies_events` was
    taken account of already, by another key; or fewer than two people stand for what it does in
    their name (`closes_cases`, a key `case/…`); nothing was written."""
    repeated: bool = False
    """True: the key was known already with this content; `refusal` is the first answer's."""
