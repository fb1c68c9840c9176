"""The adapter of the simulated bank: its API in the port's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from bursar.reports import (
    Accepted,
    NotFound,
    NotSent,
    PartnerEvent,
    Report,
    Throttled,
    Unknown,
)
from partners.port import Attempt, Guarantees, Statement, StatementUnavailable
from partners.simulator import events, wire
from partners.simulator import settings as of_this_partner
from partners.simulator.settings import Mode, Settings
from partners.transport import Below, Reply, Transport


def build(name: str, below: Below | None = None) -> Simulator:
    """Build the adapter from its settings in the environment.

    Args:
        name: The partner's name in this installation.
        below: What carries requests instead of the network, where a test injects faults.
    """
    return Simulator(of_this_partner.read(name), below, name=name)


class Simulator:
    """Speaks to one simulated bank."""

    def __init__(
        self, settings: Settings, below: Below | None = None, *, name: str = "simulator"
    ) -> None:
        self.name = name
        self._settings = settings
        self._transport = Transport(
            str(settings.url),
            bearer=settings.api_key,
            timeout_seconds=settings.timeout_seconds,
            below=below,
        )
        self.guarantees = _guarantees(settings)
        self.environment = settings.environment

    def render(self, attempt: Attempt) -> bytes:
        """Return the body that `submit` sends."""
        return wire.render(attempt)

    async def submit(self, attempt: Attempt) -> Report:
        """Create the payout at the bank, under the attempt's key.

        Only a 422 with a published code is a definite no. A 400, 401 or 403 means that the bank
        did not process this call, but it is our configuration that is wrong, not the beneficiary,
        and it says nothing of an earlier call with the same key: `Unknown`.
        """
        answer = await self._transport.send(
            "POST",
            "/v1/payouts",
            body=wire.render(attempt),
            headers={"Idempotency-Key": attempt.key},
        )
        match answer:
            case NotSent() | Unknown():
                return answer
            case Reply(status=201):
                return wire.answered(answer, wire.read(wire.Payout, answer.body), attempt)
            case Reply(status=422):
                return wire.refusal(answer, attempt)
            case Reply(status=429):
                return Throttled(
                    retry_after_seconds=wire.retry_after_seconds(answer.headers),
                    evidence=wire.unclear(answer, attempt).evidence,
                )
            case _:
                return wire.unclear(answer, attempt)

    async def find(self, attempt: Attempt) -> Report:
        """Look the payout up by reference; where the bank has no look-up, on its statements."""
        match self._settings.mode:
            case Mode.KEYS_AND_LOOKUP | Mode.LOOKUP_ONLY:
                return await self._look_up(attempt)
            case Mode.STATEMENT_ONLY:
                return await self._find_on_statements(attempt)
            case Mode.NEITHER:
                return Unknown(evidence="the bank offers no look-up, nor references on statements")

    async def cancel(self, attempt: Attempt) -> Report:
        """Ask the bank to cancel; needs the look-up, since only the bank's id can be cancelled."""
        if not self.guarantees.cancels_pending:
            return Unknown(evidence="the bank offers no look-up, so that nothing can be cancelled")
        found = await self._look_up(attempt)
        if isinstance(found, NotFound):
            return Unknown(evidence="cannot be cancelled: the bank does not know it (yet)")
        if not isinstance(found, Accepted):
            return found
        answer = await self._transport.send("POST", f"/v1/payouts/{found.partner_ref}/cancel")
        match answer:
            case NotSent() | Unknown():
                return _not_answered(answer)
            case Reply(status=200):
                payout = wire.read(wire.Payout, answer.body)
                if payout is not None and payout.status is not wire.Status.CANCELLED:
                    return wire.unclear(answer, attempt)
                return wire.answered(answer, payout, attempt)
            case Reply(status=409):
                error = wire.read(wire.Error, answer.body)
                return wire.answered(answer, error.payout if error else None, attempt)
            case _:
                return wire.unclear(answer, attempt)

    def read_event(self, raw: bytes, headers: Mapping[str, str]) -> tuple[PartnerEvent, ...]:
        """Verify and read a webhook; a return's amount is what has arrived, beside a kept fee."""
        event_id = events.verify(raw, headers, self._settings.webhook_secrets())
        return (events.understand(self.name, event_id, raw, events.signed_at(headers)),)

    async def statement(self, day: date) -> tuple[Statement, ...]:
        """Return the bank's statements of a day; today's still grow."""
        answer = await self._transport.send("GET", f"/v1/statements/{day.isoformat()}")
        if not isinstance(answer, Reply):
            raise StatementUnavailable(answer.evidence)
        told = wire.read(wire.Day, answer.body) if answer.status == 200 else None
        if told is None or told.day != day:
            raise StatementUnavailable(f"status {answer.status}, or not a statement of {day}")
        return tuple(wire.statement(day, of_currency) for of_currency in told.statements)

    async def aclose(self) -> None:
        """Close connections."""
        await self._transport.aclose()

    async def _look_up(self, attempt: Attempt) -> wire.Found:
        answer = await self._transport.send("GET", "/v1/payouts", query={"reference": attempt.key})
        match answer:
            case NotSent() | Unknown():
                return _not_answered(answer)
            case Reply(status=200):
                listed = wire.read(wire.Payouts, answer.body)
                if listed is not None:
                    return wire.found(listed.payouts, attempt)
            case Reply(status=404):
                error = wire.read(wire.Error, answer.body)
                if error is not None and error.code == wire.NOT_FOUND:
                    return NotFound(evidence=f"404 {error.code}")
            case _:
                pass
        return wire.unclear(answer, attempt)

    async def _find_on_statements(self, attempt: Attempt) -> Report:
        today = datetime.now(UTC).date()
        try:
            statements = [
                *await self.statement(today - timedelta(days=1)),
                *await self.statement(today),
            ]
        except StatementUnavailable as error:
            return Unknown(evidence=f"no statement: {error}")
        lines = [
            line
            for statement in statements
            for line in statement.lines
            if line.reference == attempt.key and line.kind == wire.PAYOUT_LINE
        ]
        return wire.on_statement(lines, attempt)


def _not_answered(answer: NotSent | Unknown) -> Unknown:
    """Return the report where the bank could not be asked: that says nothing of the payout."""
    return Unknown(evidence=f"could not ask: {answer.evidence}")


def _guarantees(settings: Settings) -> Guarantees:
    looks_up = settings.mode in (Mode.KEYS_AND_LOOKUP, Mode.LOOKUP_ONLY)
    return Guarantees(
        key_lifetime=settings.key_lifetime(),
        replays_failures=settings.replays_failures,
        finds_by_reference=settings.mode is not Mode.NEITHER,
        absence_after=timedelta(seconds=settings.lookup_lag_seconds) if looks_up else None,
        throttled_is_not_processed=True,
        cancels_pending=looks_up,
        sends_events=True,
        currencies=settings.currencies,
        beneficiaries=settings.beneficiaries,
        rate_per_second=settings.rate_per_second,
    )
