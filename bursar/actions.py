"""Actions: what people do to a payment, as payloads of signals and updates, and their answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from bursar.ids import Actor
from bursar.texts import PrintableText

Reason = Annotated[PrintableText, Field(max_length=300)]


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    by: Actor


class Approve(_Action):
    """Approve the payment as it stands; bound to its content hash where one is given."""

    verb: Literal["approve"] = "approve"
    content_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    reason: Reason | None = None


class Deny(_Action):
    """Deny the payment: it ends as `denied`."""

    verb: Literal["deny"] = "deny"
    reason: Reason


class Cancel(_Action):
    """Cancel the payment; it counts before the commit point, and is a wish after it."""

    verb: Literal["cancel"] = "cancel"
    reason: Reason


class Outcome(StrEnum):
    """What a person found out about a payment in review."""

    PAID = "paid"
    ACCEPTED = "accepted"
    NEVER_MOVED = "never_moved"


class Resolve(_Action):
    """Decide a payment in review, with evidence from the partner."""

    verb: Literal["resolve"] = "resolve"
    outcome: Outcome
    evidence: Annotated[PrintableText, Field(min_length=3, max_length=300)]
    """Where the partner says so: a statement line, a ticket, a letter."""
    partner_ref: Annotated[PrintableText, Field(max_length=80)] | None = None
    confirmed_by: Actor | None = None
    """A second person, where names in messages are believed; through the gateway each of the two
    says the same with a token of their own."""


Action = Annotated[Approve | Deny | Cancel | Resolve, Field(discriminator="verb")]
"""Any action, told apart by its verb."""

ACTION_READER: TypeAdapter[Approve | Deny | Cancel | Resolve] = TypeAdapter(Action)


class Verdict(StrEnum):
    """The answer to an action."""

    RECORDED = "recorded"
    """Taken; more approvals are needed, or the payment goes on."""
    APPROVED = "approved"
    """Taken, and it was the last approval that was needed."""
    DENIED = "denied"
    CANCELLED = "cancelled"
    """Nothing has moved, and nothing will."""
    TOO_LATE = "too_late"
    """The payment is past its commit point; the wish is recorded."""
    ALREADY_FINAL = "already_final"
    RESOLVED = "resolved"
    NOT_WAITING = "not_waiting"
    """The payment does not wait for this."""
    NOT_ALLOWED = "not_allowed"
    """This actor may not do this: creator, unknown, without the role, or a second time."""


class Answer(BaseModel):
    """What an action did, and why."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    detail: str = ""
