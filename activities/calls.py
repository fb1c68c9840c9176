"""Calls: all that is known of one attempt at a partner, and how to ask and keep what is said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from activities.conclusions import Conclusions, Evidence
from activities.terms import Terms
from bursar.ids import attempt_key, payment_of
from bursar.payments import PayoutRequest, stored_content_hash
from bursar.reports import Accepted, Paid, Rejected, Report, Unknown
from ledger.books import AttemptRow, Books, PartnerWord, Payment
from partners.port import Attempt, Guarantees, Partner

MISSES_MIN = 2
"""How many look-ups, apart in time, have to miss before absence is believed."""


class ContentChanged(RuntimeError):
    """A stored request has another hash than its payment: a bug, or somebody has tampered."""


class BodyChanged(RuntimeError):
    """A deployment renders a claimed attempt otherwise: a bug, so the payment waits for a fix."""


@dataclass(frozen=True)
class Call:
    """All that one call to a partner is about."""

    payment: Payment
    partner: Partner
    attempt: Attempt
    row: AttemptRow
    terms: Terms

    @property
    def guarantees(self) -> Guarantees:
        """What was promised when the payout opened, or now where nothing was frozen."""
        return self.terms.guarantees or self.partner.guarantees

    def permitted(self, fence: int) -> Call:
        """Return the call as it stands with a new permission to send."""
        return replace(self, row=self.row.model_copy(update={"fence": fence}))

    def check_body(self) -> None:
        """Refuse to send another body than was claimed.

        Raises:
            BodyChanged: The adapter renders the attempt otherwise than when it was claimed.
        """
        if hash_of(self.partner.render(self.attempt)) != self.row.wire_hash:
            raise BodyChanged(self.attempt.key)


class Calls:
    """Opens calls and answers what the books know of them."""

    def __init__(self, books: Books, partners: Mapping[str, Partner]) -> None:
        self._books = books
        self._partners = partners
        self._conclusions = Conclusions(books)

    def open(self, payment: Payment, made: Attempt | None = None) -> Call:
        """Return the call that a payment's newest attempt is about; `made` where it was just made.

        Raises:
            ContentChanged: See `attempt_of`.
        """
        row = payment.attempts[-1]
        if made is None or made.key != row.key:
            made = attempt_of(payment, row.ordinal)
        return Call(
            payment=payment,
            partner=self._partners[row.partner],
            attempt=made,
            row=row,
            terms=Terms.model_validate(payment.terms),
        )

    async def find(self, call: Call) -> Report:
        """Look the attempt up at the partner, and keep the answer."""
        report = await call.partner.find(call.attempt)
        await self.keep(call, "find", report)
        return report

    async def keep(self, call: Call, verb: str, report: Report) -> None:
        """Keep what the partner said, whatever it means."""
        code = report.code.value if isinstance(report, Rejected) else None
        ref = report.partner_ref if isinstance(report, Accepted | Paid | Rejected) else None
        await self._books.add_word(
            PartnerWord(
                attempt_key=call.attempt.key,
                verb=verb,
                kind=report.kind,
                partner_ref=ref,
                code=code,
                evidence=report.evidence[:300],
            )
        )
        if isinstance(report, Unknown) and report.differs:
            await self._quarantine(call, verb, report)

    async def _quarantine(self, call: Call, verb: str, report: Unknown) -> None:
        """Call a person to an answer that echoes something else; the outcome stays unknown."""
        evidence = Evidence(actor=f"partner:{call.partner.name}", id=f"{verb}/{call.attempt.key}")
        text = f"the answer to {verb} echoes otherwise than asked: {', '.join(report.differs)}"
        other = payment_of(report.other_reference) if report.other_reference else None
        await self._conclusions.mismatch(call.payment, text, evidence, other)

    async def words(self, call: Call) -> list[PartnerWord]:
        """Return what the partner has said about this attempt, oldest first."""
        words = await self._books.words(call.payment.id)
        return [word for word in words if word.attempt_key == call.attempt.key]

    async def look_ups(self, call: Call) -> list[PartnerWord]:
        """Return the look-ups since the attempt was last sent, by the books and not by tries.

        So an outage of ours, which repeats this step as well, uses up no rung of the ladder.
        """
        since = call.row.sent_at or call.row.opened_at
        return [
            word
            for word in await self.words(call)
            if word.verb == "find" and word.answered_at is not None and word.answered_at >= since
        ]

    async def is_absent(self, call: Call, asked_at: datetime) -> bool:
        """Tell whether a look-up that missed proves absence: the second one, and past the lag.

        Args:
            call: The call that was looked up.
            asked_at: The books' time before the partner was asked. When its answer was kept says
                nothing: books that were away meanwhile make an early miss look like a late one.
        """
        lag = call.guarantees.absence_after
        if lag is None or asked_at - (call.row.sent_at or call.row.opened_at) < lag:
            return False
        misses = [word for word in await self.look_ups(call) if word.kind == "not_found"]
        return len(misses) >= MISSES_MIN

    async def nothing_ever_left(self, call: Call) -> bool:
        """Tell whether every try so far has certainly done nothing at the partner."""
        sends = [word for word in await self.words(call) if word.verb == "submit"]
        return all(word.kind in {"not_sent", "throttled"} for word in sends)

    async def may_send(self, call: Call) -> bool:
        """Tell whether the key may go out now: for the first time, or while it is remembered."""
        if call.row.first_sent_at is None or await self.nothing_ever_left(call):
            return True
        return call.guarantees.may_resend(await self._books.now() - call.row.first_sent_at)

    async def age(self, row: AttemptRow) -> timedelta:
        """Return how long ago the attempt was last sent, or opened, by the books' clock."""
        return await self._books.now() - (row.sent_at or row.opened_at)


def attempt_of(payment: Payment, ordinal: int) -> Attempt:
    """Return an attempt of a payout, made of nothing but its stored request.

    Raises:
        ContentChanged: The request is not what people approved, and the content hash stands for.
    """
    if stored_content_hash(payment.request) != payment.content_hash:
        raise ContentChanged(payment.id)
    # Through JSON, since only there the strict models read dates from text.
    request = PayoutRequest.model_validate_json(json.dumps(payment.request))
    return Attempt(
        key=attempt_key(payment.id, ordinal),
        payment_id=payment.id,
        ordinal=ordinal,
        amount=request.amount,
        beneficiary=request.beneficiary,
        reference=request.reference,
    )


def hash_of(body: bytes) -> str:
    """Return the SHA-256 of a wire body, 64 hex digits."""
    return hashlib.sha256(body).hexdigest()
