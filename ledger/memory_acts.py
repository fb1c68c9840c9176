"""What people do to the gate, in memory: pauses, caps, disabled people; see the port."""

from __future__ import annotations

from datetime import UTC

from bursar.gate import CapBody, DisableBody, Scope, SwitchBody
from bursar.payments import PaymentKind, PaymentState
from ledger.memory_gate import CapName, MemoryCap, MemoryPause
from ledger.memory_register import MemoryRegister


class MemoryActs(MemoryRegister):
    """The gate's side of `ledger.books.Books`. In whose name and why is not kept."""

    async def approvals_given(self, payment_id: str) -> int:
        """Return how many people's approvals count now; 0 where there is no such payment."""
        payment = self.payments.get(payment_id)
        return self.gate.approvals_given(payment, self.approvals_kept) if payment else 0

    async def waiting(self, partner: str | None) -> int:
        """Return how many of a partner's payouts, or of all transfers, wait to go."""
        state = PaymentState.SCHEDULED if partner is None else PaymentState.RESERVED
        return sum(
            row.state is state
            and row.partner == partner
            and (state is PaymentState.RESERVED or row.kind is PaymentKind.TRANSFER)
            for row in self.payments.values()
        )

    async def pause(self, body: SwitchBody, by: str) -> str:
        """Stop handing over."""
        if not self._is_known(body.scope, body.name):
            return "unknown"
        if self.gate.open_pause(body.scope, body.name) is not None:
            return "paused_already"
        self.gate.pauses.append(MemoryPause(body.scope, body.name, by))
        return "paused"

    async def resume(self, body: SwitchBody, by: str, *, is_admin: bool) -> str:
        """Lift a pause of one's own, or as an administrator any."""
        pause = self.gate.open_pause(body.scope, body.name)
        if pause is None:
            return "not_paused" if self._is_known(body.scope, body.name) else "unknown"
        if pause.paused_by != by and not is_admin:
            return "not_allowed"
        lifted = pause._replace(resumed_by=by, resumed_at=self.clock())
        self.gate.pauses[self.gate.pauses.index(pause)] = lifted
        return "resumed"

    async def set_cap(self, body: CapBody, by: str) -> str:
        """Set, replace or end a cap; what was claimed today counts under a new one too."""
        if not (
            (body.partner is None or self._is_known(Scope.PARTNER, body.partner))
            and (body.tenant is None or self._is_known(Scope.TENANT, body.tenant))
        ):
            return "unknown"
        name = CapName(body.currency, body.partner, body.tenant)
        ended = self.gate.caps.pop(name, None)
        if body.per_payment_minor is None and body.per_day_minor is None:
            return "not_set" if ended is None else "ended"
        cap = MemoryCap(body.per_payment_minor, body.per_day_minor)
        today = self.clock().astimezone(UTC).date()
        for attempt in self.attempts_by_key.values():
            payment = self.payments[attempt.payment_id]
            is_ours = name.covers(payment.currency, attempt.partner, payment.tenant)
            if is_ours and attempt.opened_at.astimezone(UTC).date() == today:
                cap.used[today] = cap.used.get(today, 0) + payment.amount_minor
        self.gate.caps[name] = cap
        return "set"

    async def disable_person(self, body: DisableBody, by: str) -> bool:
        """Make a person's approvals count no more; False if they do not count already."""
        if body.name in self.gate.disabled:
            return False
        self.gate.disabled[body.name] = self.clock()
        return True

    async def is_disabled(self, name: str) -> bool:
        """Tell whether a person's words count no more."""
        return self.gate.is_disabled(name)

    def _is_known(self, scope: Scope, name: str) -> bool:
        """Tell whether the books know what is to be stopped; each currency's code is checked."""
        accounts = self.journal.accounts
        match scope:
            case Scope.PARTNER:
                return any(path.startswith(f"nostro/{name}/") for path in accounts)
            case Scope.TENANT:
                return any(account.opened.tenant == name for account in accounts.values())
            case Scope.ALL | Scope.CURRENCY:
                return True
