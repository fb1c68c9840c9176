"""The relay: hands stored partner events to workflows until each of them has been taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import structlog
from pydantic import TypeAdapter, ValidationError

from bursar import names
from bursar.beneficiaries import Beneficiary, IbanAccount, MobileWallet, UsAccount, masked
from bursar.ids import attempt_key
from bursar.payments import CANCELLABLE, FINAL, PaymentState
from bursar.reports import EventKind, PartnerEvent
from gateway.engine import Engine, EngineRefused, EngineSilent, NotRunning
from ledger.books import Books, Payment, StoredEvent
from ledger.poison import FAILURES_MAX, count_failure

ACTOR = "service:gateway"

_OWN_WORKFLOWS = {
    EventKind.CREDIT: (names.DEPOSIT_WORKFLOW, names.deposit_workflow_id),
    EventKind.RETURNED: (names.RETURN_WORKFLOW, names.return_workflow_id),
}
_UNDECIDED = frozenset({PaymentState.OUTCOME_UNKNOWN, PaymentState.IN_REVIEW})
_NEVER_MOVED = FINAL - {PaymentState.SETTLED, PaymentState.RETURNED}
_NEWS = _UNDECIDED | _NEVER_MOVED | CANCELLABLE
"""States in which it says something that a partner has accepted a payout."""
_LATE = (names.LATE_EVENT_WORKFLOW, names.late_event_workflow_id)

_BENEFICIARY: TypeAdapter[IbanAccount | UsAccount | MobileWallet] = TypeAdapter(Beneficiary)

_log = structlog.get_logger("gateway.relay")


@dataclass(frozen=True)
class Pace:
    """How fast the relay goes, and when it gives a row a rest."""

    batch: int = 100
    parallel: int = 16
    poll_seconds: float = 1.0
    """How long to wait for a nudge before the table is looked at anyway."""
    retry_seconds: float = 0.2
    """The first wait while Temporal or the database is down; it doubles."""
    retry_seconds_max: float = 5.0
    tries: int = 3
    """How often a row is tried while Temporal is up, before its lease brings it again."""
    failures_max: int = FAILURES_MAX
    """After so many leases in which each try was refused, a row is set aside."""


@dataclass(frozen=True)
class RelayHealth:
    """How the relay is doing."""

    lag_seconds: float
    """Age of the oldest event that the relay holds and no workflow has taken yet."""
    waiting: int
    """Events that the relay holds and cannot hand over now."""
    set_aside: int
    """Events that failed again and again; each has a case, and waits for a person."""
    temporal_down: bool
    books_down: bool


@dataclass
class _Situation:
    held: list[StoredEvent] = field(default_factory=list)
    set_aside: int = 0
    temporal_down: bool = False
    books_down: bool = False


class Relay:
    """Takes stored events in order of arrival; at least once, so workflows notice a row once.

    While Temporal is down it holds what it has and waits. An event that fails while Temporal is
    up goes back to the table, whose lease brings it again later; after some such failures it is
    set aside there, with a case, until a person brings it back.
    """

    def __init__(self, books: Books, engine: Engine, pace: Pace | None = None) -> None:
        self._books = books
        self._engine = engine
        self._pace = pace or Pace()
        self._nudged = asyncio.Event()
        self._situation = _Situation()
        self._count_next = 0.0

    def nudge(self) -> None:
        """Say that there is something new to hand over."""
        self._nudged.set()

    def health(self) -> RelayHealth:
        """Return how the relay is doing, as of its last look."""
        now = self._situation
        oldest = min((event.received_at for event in now.held), default=None)
        lag = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
        return RelayHealth(
            lag_seconds=round(max(lag, 0.0), 3),
            waiting=len(now.held),
            set_aside=now.set_aside,
            temporal_down=now.temporal_down,
            books_down=now.books_down,
        )

    async def run(self) -> None:
        """Relay until cancelled; whatever fails is logged and tried again."""
        wait = self._pace.retry_seconds
        while True:
            try:
                await self._relay_one_batch()
                wait = self._pace.retry_seconds
            except Exception as error:  # a relay that has died would strand every later event
                self._situation.books_down = isinstance(error, ConnectionError)
                _log.error("the relay failed and goes on", error=type(error).__name__)
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._pace.retry_seconds_max)

    async def _relay_one_batch(self) -> None:
        self._nudged.clear()
        events = await self._books.events_to_relay(self._pace.batch)
        self._situation.books_down = False
        if events:
            await self._hand_over_all(events)
        if monotonic() >= self._count_next:
            self._situation.set_aside = await self._books.events_set_aside()
            self._count_next = monotonic() + self._pace.poll_seconds
        if len(events) < self._pace.batch:  # only a full one may have left some in the table
            await self._wait_for_a_nudge()

    async def _wait_for_a_nudge(self) -> None:
        try:
            async with asyncio.timeout(self._pace.poll_seconds):
                await self._nudged.wait()
        except TimeoutError:
            return  # time to look at the table anyway: another gateway may have stored something

    async def _hand_over_all(self, events: Sequence[StoredEvent]) -> None:
        """Hand a batch over; wait here for as long as Temporal is down."""
        tries_left = self._pace.tries
        wait = self._pace.retry_seconds
        held = list(events)
        failures: Counter[int] = Counter()
        try:
            while held := await self._one_round(held, failures):
                self._situation.held = held
                self._situation.temporal_down = not await self._engine.answers()
                if self._situation.temporal_down:
                    _log.warning("Temporal is down, events wait", waiting=len(held))
                else:
                    tries_left -= 1  # Temporal is up, so it is these rows, or its silence
                if not tries_left:
                    tries = self._pace.tries
                    await self._count_failures([e for e in held if failures[e.row_id] >= tries])
                    return  # those that only met with silence come again with their lease
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._pace.retry_seconds_max)
            self._situation.temporal_down = False
        finally:
            self._situation.held = []

    async def _one_round(
        self, events: Sequence[StoredEvent], failures: Counter[int]
    ) -> list[StoredEvent]:
        """Try every event once; return those that were not taken, and count what is their fault."""
        gate = asyncio.Semaphore(self._pace.parallel)

        async def attempt(event: StoredEvent) -> bool:
            async with gate:
                return await self._hand_over(event, failures)

        ends = await asyncio.gather(*(attempt(event) for event in events), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):  # only once all have ended: none runs on unseen
                raise end
        return [event for event, end in zip(events, ends, strict=True) if end is False]

    async def _hand_over(self, event: StoredEvent, failures: Counter[int]) -> bool:
        """Hand one event to its workflow and note that; False if nobody took it.

        That Temporal gives no answer says nothing of the event, so it is no failure of that.
        """
        try:
            if await self._wakes_nobody(event):
                return True
            await self._tell(event)
        except (EngineSilent, EngineRefused) as error:
            _log.warning("an event was not taken", row_id=event.row_id, error=str(error))
            failures[event.row_id] += isinstance(error, EngineRefused)
            return False
        except ConnectionError:  # the books are down: that is no fault of this event
            raise
        except Exception as error:  # a bug that one event sets off must not stop all others
            _log.error("an event failed", row_id=event.row_id, error=type(error).__name__)
            failures[event.row_id] += 1
            return False
        await self._books.mark_taken(event.row_id)
        return True

    async def _wakes_nobody(self, stored: StoredEvent) -> bool:
        """Tell whether an event can do without its workflow; each waking costs a task there.

        That a partner has accepted a payout is news where its outcome is unknown, and where it
        cannot have it: before it was handed over, or after it was not. While our own call is under
        way the event stays in the table, and its lease brings it again.
        """
        event = stored.event
        if event.kind is not EventKind.ACCEPTED or stored.payment_id is None:
            return False
        payment = await self._books.payment(stored.payment_id)
        if payment is None or payment.state in _NEWS:
            return False
        if (event.amount_minor, event.currency) != (payment.amount_minor, payment.currency):
            return False  # not what was asked for: a person has to see it
        if await self._is_misnamed(event, payment):
            return False  # likewise
        if payment.state is not PaymentState.SUBMITTING:
            await self._books.set_event_aside(stored.row_id, f"known: {payment.state}")
        return True

    async def _is_misnamed(self, event: PartnerEvent, payment: Payment) -> bool:
        """Tell whether an event echoes other names than the payment's: payee, attempt, payout."""
        if event.payee_account is not None and event.payee_account != _payee(payment):
            return True
        if event.reference not in (None, attempt_key(payment.id, 1)):
            return True
        if not event.partner_ref:
            return False
        if payment.state is PaymentState.SUBMITTED and payment.attempts:
            known = payment.attempts[-1].partner_ref
            if known and known != event.partner_ref:
                return True
        owner = await self._books.payment_with_partner_ref(event.partner, event.partner_ref)
        return owner not in (None, payment.id)

    async def _tell(self, stored: StoredEvent) -> None:
        """Signal the payment's workflow, or start the one that judges this kind of event."""
        event = stored.event
        summary = f"{event.kind} event of {event.partner}"
        if event.kind not in _OWN_WORKFLOWS and await self._signalled(stored):
            return
        workflow, make_id = _OWN_WORKFLOWS.get(event.kind, _LATE)
        workflow_id = make_id(event.partner, event.event_id)
        if stored.redrives:  # the first run of it has ended, and an id is never used again
            workflow_id += f"/{stored.redrives}"
        await self._engine.start(workflow, workflow_id, stored.row_id, summary)

    async def _signalled(self, stored: StoredEvent) -> bool:
        """Signal the payment that an event is about; False if there is none that runs."""
        if stored.payment_id is None or stored.event.kind is EventKind.UNRECOGNISED:
            return False
        try:
            await self._engine.signal_event(stored.payment_id, stored.row_id)
        except NotRunning:
            return False
        except EngineRefused as error:  # 10,000 signals are all that one run takes
            _log.warning("a run takes no more signals", row_id=stored.row_id, error=str(error))
            return False
        return True

    async def _count_failures(self, failed: Sequence[StoredEvent]) -> None:
        for event in failed:
            why = "no workflow took it"
            most = self._pace.failures_max
            if await count_failure(self._books, event, why, actor=ACTOR, failures_max=most):
                _log.error("an event was set aside", row_id=event.row_id, kind=event.event.kind)


def _payee(payment: Payment) -> str | None:
    """Return the beneficiary's account as a partner may echo it; None where that is not known."""
    try:
        beneficiary = _BENEFICIARY.validate_python(payment.request.get("beneficiary"))
    except ValidationError:
        return None
    return masked(beneficiary.account())
