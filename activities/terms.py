"""Terms: what is frozen on a payment when it opens, and what its steps answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bursar.actions import Action, Answer
from bursar.payments import FINAL, PaymentResult, PaymentState
from partners.port import Guarantees


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True)


class Policy(_Plain):
    """How long a payment waits for what; the delays come with the payment, not with the code."""

    approval_expires_after: timedelta = timedelta(hours=72)
    partner_call_timeout: timedelta = timedelta(seconds=20)
    """Longest time of one partner call, book-keeping included; then it is run again."""
    submit_for: timedelta = timedelta(hours=4)
    """How long to keep trying while certainly nothing has left the machine."""
    submit_again_after: timedelta = timedelta(seconds=2)
    ask_again_after: tuple[timedelta, ...] = Field(
        default=(
            timedelta(seconds=5),
            timedelta(seconds=15),
            timedelta(seconds=60),
            timedelta(minutes=5),
            timedelta(minutes=10),
        ),
        min_length=1,
    )
    """The ladder: pauses between look-ups while the outcome is unknown."""
    ask_for: timedelta = timedelta(minutes=15)
    """How long an attempt is asked about at least, from its last send; the last pause repeats, so
    that a partner's outage alone hands nothing to people. After both, a person decides."""
    resends_max: int = 2
    """How often the same key is sent again after a proof of absence."""
    poll_after: timedelta = timedelta(seconds=60)
    """How long to wait for the partner's event before asking."""
    poll_every: timedelta = timedelta(seconds=60)
    overdue_after: timedelta = timedelta(hours=24)
    """How long an accepted payout may take before a person is called."""


class ApprovalNeed(_Plain):
    """The approval rule as it stood when the payment opened."""

    number: int
    role: str
    version: str


class Terms(_Plain):
    """Everything that is decided once, when a payment opens, and never again."""

    content_hash: str
    partner: str | None = None
    fee_minor: int = 0
    approvals: ApprovalNeed | None = None
    approve_by: AwareDatetime | None = None
    execute_at: AwareDatetime | None = None
    policy: Policy = Policy()
    guarantees: Guarantees | None = None


class Standing(_Plain):
    """Where a payment stands after a step."""

    payment_id: str
    state: PaymentState
    code: str | None = None
    partner_ref: str | None = None
    overdue: bool = False
    """True: accepted, but past its time; a case is open, and it still waits."""
    held: str | None = None
    """Why a transfer may not be booked now; it is looked at again until it may."""

    @property
    def final(self) -> bool:
        """Whether nothing more is done for the payment."""
        return self.state in FINAL

    def result(self) -> PaymentResult:
        """Return the standing as the caller's result."""
        return PaymentResult(
            id=self.payment_id, state=self.state, code=self.code, partner_ref=self.partner_ref
        )


class Opening(_Plain):
    """A payment's request as it came to its workflow: anybody may have started that.

    The workflow hands it on unread. Reading it there would let one malformed request fail the
    run's tasks for ever, and would load the tables of banks and phones into the sandbox.
    """

    payment_id: str
    """From the workflow's id; the request has to name the same."""
    request: Any


class Opened(_Plain):
    """A payment's first step: where it stands, and its terms."""

    standing: Standing
    terms: Terms


class NotOpened(_Plain):
    """No payment came of it; nothing was done."""

    error: Literal["PaymentConflict", "InvalidRequest"]
    """Conflict: the register knows the id with other content."""
    reason: str


class Wish(_Plain):
    """A person's action on its way to the books."""

    payment_id: str
    action: Action
    channel: str
    """How it came: signal, update, or temporal (a native cancellation)."""


class Acted(_Plain):
    """What came of a wish, and where the payment stands now."""

    answer: Answer
    standing: Standing
    ask_partner: bool = False
    """True: the partner may still be able to cancel, and is to be asked."""


class Question(_Plain):
    """What a look-up of an unknown outcome has to know."""

    payment_id: str
    cancel_wished: bool = False
    """True: somebody wanted to cancel; proven absence then ends the payment instead of a resend."""


class Note(_Plain):
    """A remark for the payment's timeline, such as a signal that could not be read."""

    payment_id: str
    key: str
    kind: str
    detail: str


class EventRow(_Plain):
    """Which stored partner event to look at."""

    row_id: int
