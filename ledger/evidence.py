"""Evidence: what partners have moved, the events that fail, and the cases that people close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

LineKind = Literal["paid", "returned", "deposit", "suspense", "phantom"]
"""A payout's debit, a return of it, an account's credit; nobody's: came in, or went out."""

GIVEN_UP = "given-up"
"""What people say of a case's event that nothing will ever apply."""

GivingUp = Literal["given_up", "few", "gone"]
"""What became of that: too few people say so now; or the event waits on this case no more."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class PartnerLine(_Row):
    """One movement at a partner, judged once when it was first told."""

    partner: str
    line_ref: str
    payment_id: str | None
    """The payment that it was first told of; None: of no payment."""
    kind: LineKind
    amount_minor: int
    ordinal: int
    """The how manieth of its kind for the payment, from 1."""
    fits: bool
    """Whether it is within the payment's amount, or an account's own credit.

    A second debit of a payout never is, nor is what is nobody's."""
    completes: bool
    """Whether with it all of the payment's amount has been covered."""


class CaseFile(_Row):
    """A case with the money that it has put into suspense."""

    id: int
    payment_id: str | None
    kind: str
    owner: str | None
    closed_at: AwareDatetime | None
    created_by: str | None
    """Who created the payment that it is about: that person does not decide on it."""
    account: str | None = None
    """The suspense account that its money waits on; None: it has moved none there."""
    currency: str | None = None
    delta: int = 0
    """What it has put there, signed: money without an owner positive, money gone negative."""


class Evidence(Protocol):
    """The part of the books that holds what partners did and what people found out.

    As all of the books, every method is safe to repeat and raises `ConnectionError` when the
    database does not answer.
    """

    async def note_line(
        self, partner: str, line_ref: str, payment_id: str | None, kind: LineKind, amount_minor: int
    ) -> PartnerLine:
        """Note a movement that a partner tells of, and return how it was judged the first time.

        What is booked has to be what the answer says: it is one movement, whoever tells of it.

        Args:
            partner: Who has booked it.
            line_ref: Its name there, the same for ever.
            payment_id: The payment that it is told of, if any; the answer may name another one.
            kind: What it is to be booked as; the answer may name another one.
            amount_minor: How much has moved, or of the payment's own amount it covers; above 0.
        """

    async def line(self, partner: str, line_ref: str) -> PartnerLine | None:
        """Return a movement that was noted before, or None."""

    async def payment_with_partner_ref(self, partner: str, partner_ref: str) -> str | None:
        """Return the payment whose attempt a partner calls by this name, or None."""

    async def add_event_failure(self, row_id: int, error: str, failures_max: int) -> bool:
        """Count that an event failed; True once it is set aside for a person."""

    async def events_set_aside(self) -> int:
        """Return how many events wait for a person to bring them back."""

    async def redrive_events(self, row_ids: Sequence[int] | None, by: str) -> list[int]:
        """Offer events that were set aside to the relay again, or all of them (None)."""

    async def case(self, case_id: int) -> CaseFile | None:
        """Return a case, or None."""

    async def assign_case(self, case_id: int, owner: str, by: str) -> bool:
        """Give a case to somebody; False where it is closed or not there."""

    async def add_case_word(
        self, case_id: int, principal: str, decision: str, evidence: str
    ) -> list[str]:
        """Keep what a person decides on a case; return everybody who says the same now.

        Each person's newest word counts, and none of a person who is disabled.
        """

    async def case_postings(self, case_id: int) -> list[tuple[str, bool]]:
        """Return each posting that a case's resolution tried: its key, and whether it booked."""

    async def give_up_event(self, case_id: int, by: str, evidence: str) -> GivingUp:
        """Set the event of a case aside for good, by the word of two people: it is never applied.

        Args:
            case_id: Its case, of the kind `event_set_aside`; their words on it are `GIVEN_UP`.
            by: Who says so.
            evidence: Why it cannot be applied, and what was done about what it tells.
        """

    async def close_case(
        self, case_id: int, *, by: str, decision: str, resolution: str, posting: str | None
    ) -> bool:
        """Close a case by the word of people; False where it was closed before.

        False too, and it stays open, for an event that is set aside: that is brought back first.

        Raises:
            ValueError: Its money is in suspense, and two people and the posting are not there.
        """
