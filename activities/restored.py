"""Restored books: how it is noticed that they have lost commits, and what is done then.

A database that was restored, or failed over with a loss, does not know what was sent since. What
is outside of it does: the newest change that a sweep saw, kept by Temporal; the end of a run, kept
there too; and each partner's statement. The first sign stops all sending until a person has
compared, and what is known to have been sent is asked about before anything is sent again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime

from activities.payout_legs import partner as partner_of
from bursar.ids import attempt_key
from bursar.payments import CANCELLABLE, PaymentKind, PaymentResult, PaymentState
from bursar.sweeps import Watermark
from ledger.books import Payment
from ledger.oversight import Oversight
from partners.port import Partner, StatementLine

REASON_LENGTH_MAX = 200

OURS = re.compile(r"po_[0-9A-Za-z_]{1,29}-[1-9][0-9]*")
"""What a reference of ours looks like on a partner's statement: an attempt's key."""

_NEVER_SENT = frozenset(
    {
        PaymentState.CANCELLED,
        PaymentState.DENIED,
        PaymentState.EXPIRED,
        PaymentState.FAILED,
        PaymentState.REFUSED,
    }
)
"""Ends that the caller was told of, and after which nothing may be sent."""

_HANDED_OVER = frozenset(
    {
        PaymentState.SUBMITTING,
        PaymentState.SUBMITTED,
        PaymentState.OUTCOME_UNKNOWN,
        PaymentState.IN_REVIEW,
    }
)
"""States that no run shows before its payment's claim was committed."""


class Restored:
    """Compares the books with what is kept outside of them, and stops all sending if need be."""

    def __init__(self, oversight: Oversight) -> None:
        self._oversight = oversight

    async def stop_if_behind(self, mark: Watermark) -> str | None:
        """Stop all sending where the journal has lost a change that was once its newest.

        Returns why; None where the journal has it.
        """
        if await self._oversight.has(mark):
            return None
        reason = f"the books have lost change {mark.change_id} ({mark.key}): restored from before?"
        await self._stop(reason)
        return reason

    async def after_a_completed_run(
        self, payment: Payment, ended: PaymentResult, started_at: datetime
    ) -> str | None:
        """Take account of a run that has ended for a payment that the register has not.

        A run ends only after its payment, so these books are from before. What was sent is asked
        about before it is sent again. What ended without having moved is to end so again, since
        its caller was told: this returns why.
        """
        reason = f"{payment.id} is {payment.state}, but its run has ended {ended.state}: restored?"
        await self._stop(reason)
        key = _payouts_key(payment)
        if key is not None and ended.state not in _NEVER_SENT - {PaymentState.FAILED}:
            evidence = f"the end of its run: {ended.state}"
            await self._oversight.remember_send(key, partner_of(payment), evidence, started_at)
        if ended.state not in _NEVER_SENT:
            return None
        return f"it had ended {ended.state} before the books were restored"

    async def beside_a_run(self, payment: Payment, shown: str | None, started_at: datetime) -> bool:
        """Take account of a run that is further than the register: these books lost its claim.

        Its next step, or its successor's, would hand over what is at the partner already. That
        is kept, and stops everything once: afterwards what is kept is enough. True: it was so, and
        a new run has to go on.
        """
        key = _payouts_key(payment)
        if key is None or shown not in _HANDED_OVER or payment.state not in CANCELLABLE:
            return False
        sends = {key: (f"its run, which shows {shown}", started_at)}
        await self._oversight.remember_and_stop(partner_of(payment), sends)
        return True

    async def compare(self, partner: Partner, days: Sequence[date]) -> list[str]:
        """Stop all sending where a partner has booked what these books do not know as sent.

        The statement is read first: whatever is on it was marked as sent before its bytes left.
        Returns the keys that stop anything: what was compared once does not a second time.

        Raises:
            StatementUnavailable: The partner gave no statement: nothing is known.
        """
        lines: dict[str, StatementLine] = {}
        for day in days:
            for statement in await partner.statement(day):
                lines.update(
                    {str(line.reference): line for line in filter(_is_ours, statement.lines)}
                )
        unknown = await self._oversight.not_known_as_sent(list(lines))
        if not unknown:
            return []
        sends = {
            key: (f"statement line {lines[key].line_id}", lines[key].booked_at)
            for key in sorted(unknown)
        }
        return await self._oversight.remember_and_stop(partner.name, sends)

    async def _stop(self, reason: str) -> None:
        """Pause everything; only an administrator lifts what this actor has paused."""
        await self._oversight.stop_sending(reason[:REASON_LENGTH_MAX])


def _payouts_key(payment: Payment) -> str | None:
    """Return the key that a payout is, or would be, at its partner under; None for others."""
    if payment.kind is not PaymentKind.PAYOUT or payment.partner is None:
        return None
    return attempt_key(payment.id, payment.attempts[-1].ordinal if payment.attempts else 1)


def _is_ours(line: StatementLine) -> bool:
    """Tell whether a line is a payout of ours: money that left, under an attempt's key."""
    return line.amount_minor < 0 and OURS.fullmatch(line.reference or "") is not None
