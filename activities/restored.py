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
from typing import Any

from bursar import names
from bursar.gate import Scope, SwitchBody
from bursar.ids import attempt_key
from bursar.payments import PaymentKind, PaymentResult, PaymentState
from bursar.sweeps import Watermark
from ledger.books import Books, Payment
from ledger.oversight import Oversight
from partners.port import Partner, StatementLine

ACTOR = "bursar:start-guard"

REASON_LENGTH_MAX = 200

OURS = re.compile(r"po_[0-9A-Za-z_]{1,29}-[1-9][0-9]*")
"""What a reference of ours looks like on a partner's statement: an attempt's key."""

_NEVER_SENT = frozenset(
    {
        PaymentState.CANCELLED,
        PaymentState.DENIED,
        PaymentState.EXPIRED,
        PaymentState.REFUSED,
    }
)
"""Ends that the caller was told of, and after which nothing may be sent."""


class Restored:
    """Compares the books with what is kept outside of them, and stops all sending if need be."""

    def __init__(self, books: Books, oversight: Oversight) -> None:
        self._books = books
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
    ) -> tuple[str, Any] | None:
        """Take account of a run that has ended for a payment that the register has not.

        A run ends only after its payment, so these books are from before. What was sent is asked
        about before it is sent again; what was never to be sent is cancelled, by the signal that
        this returns for its new run.
        """
        reason = f"{payment.id} is {payment.state}, but its run has ended {ended.state}: restored?"
        await self._stop(reason)
        if ended.state in _NEVER_SENT:
            told = f"it had ended {ended.state} before the books were restored"
            return names.CANCEL, {"by": "bursar:sweeper", "reason": told}
        if payment.kind is PaymentKind.PAYOUT and payment.partner is not None:
            ordinal = payment.attempts[-1].ordinal if payment.attempts else 1
            key = attempt_key(payment.id, ordinal)
            evidence = f"the end of its run: {ended.state}"
            await self._oversight.remember_send(key, payment.partner, evidence, started_at)
        return None

    async def compare(self, partner: Partner, days: Sequence[date]) -> list[str]:
        """Stop all sending where a partner has booked what these books do not know as sent.

        The statement is read first: whatever is on it was marked as sent before its bytes left.
        Returns the keys that are new here; the same differences stop nothing a second time.

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
        new = [key for key in sorted(unknown) if await self._is_new(partner.name, lines[key])]
        if new:
            reason = (
                f"{partner.name} has booked {len(new)} payouts that the books do not know as sent,"
                f" such as {new[0]}: restored from before?"
            )
            await self._stop(reason)
        return new

    async def _stop(self, reason: str) -> None:
        """Pause everything; only an administrator lifts what this actor has paused."""
        body = SwitchBody(scope=Scope.ALL, reason=reason[:REASON_LENGTH_MAX])
        await self._books.pause(body, ACTOR)

    async def _is_new(self, partner: str, line: StatementLine) -> bool:
        evidence = f"statement line {line.line_id}"
        return await self._oversight.remember_send(
            str(line.reference), partner, evidence, line.booked_at
        )


def _is_ours(line: StatementLine) -> bool:
    """Tell whether a line is a payout of ours: money that left, under an attempt's key."""
    return line.amount_minor < 0 and OURS.fullmatch(line.reference or "") is not None
