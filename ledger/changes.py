"""Changes: a payment's moves, their postings and what goes with them, in one commit or none."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic_core import to_json

from bursar.payments import PaymentKind, PaymentState


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Leg(_Part):
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


class Registration(_Part):
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


class Move(_Part):
    """One transition of a payment; `before` None is its entry into the register."""

    before: PaymentState | None
    after: PaymentState


class AttemptOpened(_Part):
    """The claim: committed before the first byte leaves."""

    ordinal: int
    key: str
    partner: str
    wire_hash: str
    """SHA-256 of the body that will be sent, 64 hex digits."""
    content_hash: str
    """Of the request that the body was made of; the books claim no other than the payment's."""


class AttemptClosed(_Part):
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


class AttemptReopened(_Part):
    """The attempt may be sent again: clears `sent_at`, never `first_sent_at`, raises the fence.

    Goes with the move back to `submitting`, so that no one can see the one without the other. The
    attempt's result stays the last one that was heard until another comes.
    """

    key: str
    fence: int | None = None
    """The attempt's fence as the writer knows it: behind a newer one this is `stale`."""


class CaseOpened(_Part):
    """Something that a person has to look at; a case is never closed by a machine's guess."""

    kind: str
    """One word for the sort of trouble, such as outcome_unknown, contradiction, echo_mismatch."""
    detail: str


class Change(_Part):
    """What is written together. The same key and content again gives the first outcome."""

    key: str
    """Payment, step and ordinal: po_…/hold, po_…/capture/1; never from a run's id."""
    kind: str
    """The step: hold, capture, settle, void, …, or the name of the move."""
    actor: str
    reason: str | None = None
    payment_id: str | None = None
    opens: Registration | None = None
    moves: tuple[Move, ...] = ()
    if_refused: PaymentState | None = None
    """Where the payment goes when the books refuse the legs; None leaves it where it is."""
    legs: tuple[Leg, ...] = ()
    effective_on: date
    """The value date."""
    evidence_id: str | None = None
    """What proves it: the partner's event, look-up or statement line. Needed to move a nostro."""
    reverses: str | None = None
    """The key of the change that this one undoes."""
    hold_expires_at: AwareDatetime | None = None
    """Kept on the hold that this makes; no step sets it yet, and nothing ends a hold by it."""
    attempt: AttemptOpened | AttemptClosed | AttemptReopened | None = None
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
        content = {  # In the order of the names, since that is the order they are digested in.
            "attempt": self.attempt.key if self.attempt else None,
            "format": 1,
            "kind": self.kind,
            "legs": sorted(
                [
                    (leg.account, leg.currency, leg.delta, leg.held, leg.hold or "", leg.releases)
                    for leg in self.legs
                ]
            ),
            "opens": self.opens.content_hash if self.opens else None,
            "payment": self.payment_id,
        }
        canonical = to_json(content)
        if not canonical.isascii() or b"\x7f" in canonical:  # All else both write the same.
            canonical = json.dumps(content, separators=(",", ":")).encode()
        return hashlib.sha256(canonical).digest()


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


class Written(_Part):
    """The answer to a change, given after the commit that carries it."""

    key: str
    refusal: Refusal | None = None
    held: HeldBack | None = None
    """Why a claim, a resend or a transfer's booking may not pass now; nothing was written."""
    state: PaymentState | None = None
    """The payment's state now; None where the change is of no payment."""
    stale: bool = False
    """True: the payment was not where the first move begins, or an event of `applies_events` was
    taken account of already, by another key; nothing was written."""
    repeated: bool = False
    """True: the key was known already with this content; `refusal` is the first answer's."""
