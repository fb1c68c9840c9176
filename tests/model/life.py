"""A life: one payout from its money to its end, with everything going wrong that the dice say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.exceptions import ApplicationError

from activities.events import EventActivities
from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.rules import ApprovalRule, Delays, FeeRule, Person, Rules
from activities.terms import Acted, EventRow, Wish
from bursar.actions import Action, Approve, Cancel, Deny, Outcome, Resolve
from bursar.payments import FINAL, PaymentKind, PaymentState, PayoutRequest
from bursar.reports import EventKind, PartnerEvent
from checker.rows import Told
from ledger.accounts import rail_accounts, wallet_account
from ledger.memory import MemoryBooks
from tests.model.bank import NAME, Character, ModelBank
from tests.model.dice import Dice
from tests.model.run import Run
from tests.model.stage import Crash, PausingBooks, Task
from tests.model.verdict import facts_of, judged
from tests.payments import a_payout

S = PaymentState
PAYOUT = "po_model"
WALLET = "wallet/acme/EUR"
FUNDS_MINOR = 1_000_00
TICKS_MAX = 48
HEALING_MAX = 300
FAILURES_MAX = 20
PEOPLE = ("ana", "ben")

CHARACTERS = (
    Character(),
    Character(honours_keys=False),
    Character(looks_up=False),
    Character(sends_events=False),
    Character(honours_keys=False, looks_up=False),
    Character(lies=True),
    Character(looks_up=False, sends_events=False),
    Character(honours_keys=False, sends_events=False),
)

RULES = Rules(
    trust_signal_actors=True,
    approvals=(ApprovalRule(number=2, role="approve-l1", amount_from_minor=500_00),),
    fees=(FeeRule(kind=PaymentKind.PAYOUT, fixed_minor=20),),
    people=tuple(
        Person(name=name, roles=frozenset({"approve-l1", "resolve"})) for name in (*PEOPLE, "maker")
    ),
    delays=Delays(ask_again_after=(5, 15, 60), ask_for=120, submit_for=120, overdue_after=3600),
)

JUMPS = (1, 6, 20, 70, 400, 5_000, 400_000)
"""Seconds by which time may leap."""

ACCOUNTS = (*rail_accounts(NAME, ["EUR"]), wallet_account(WALLET, "main"))
REQUESTS = tuple(
    a_payout(payout_id=PAYOUT, amount_minor=amount) for amount in (100_00, 600_00, 999_90, 2_000_00)
)
"""One that needs nobody, two that need people, of which one spends all, and one too large."""

Rails = Callable[[Any, Any], RailActivities]


class Life:
    """Everything there is in one life, and the hand that moves it."""

    def __init__(self, dice: Dice, rails: Rails = RailActivities, *, zombies: bool = True) -> None:
        """Begin a life.

        Args:
            dice: What decides everything.
            rails: The calls to the partner; another class is a platform with a fault in it.
            zombies: Whether a call to the partner may be left standing while time passes, or be
                run again while an earlier try of it is alive.
        """
        self.dice = dice
        self._zombies = zombies
        self.trace: list[str] = []
        self.told: list[Told] = []
        self._moment = datetime.now(UTC) + timedelta(hours=1)
        self.books = MemoryBooks(self.clock)
        self._at_work: Task | None = None
        self.bank = ModelBank(
            dice, self.clock, CHARACTERS[dice.below(len(CHARACTERS))], self._bytes_have_left
        )
        self._paused = PausingBooks(self.books, self._bytes_may_leave).as_books()
        partners = {NAME: self.bank}
        self._events = EventActivities(self._paused)
        self._aside: list[Task] = []
        self._lost_at_relay: list[int] = []
        self.run = Run(
            self._request(),
            PaymentActivities(self._paused, partners, RULES),
            rails(self._paused, partners),
            self._events,
            self._answered,
        )

    def clock(self) -> datetime:
        """Return the one clock's time; it never stands still."""
        self._moment += timedelta(microseconds=1)
        return self._moment

    def _request(self) -> PayoutRequest:
        request = REQUESTS[self.dice.below(len(REQUESTS))]
        later = self._moment + timedelta(hours=2)
        return request.model_copy(update={"execute_at": later}) if self.dice.one_in(6) else request

    # What goes on

    def live(self) -> list[str]:
        """Live to the end; return what the rules have found, which should be nothing."""
        self._fund()
        for _ in range(8 + self.dice.below(TICKS_MAX)):
            self._tick()
        stuck = self._heal()
        return stuck or judged(facts_of(self.books, self.bank, self.told, self.clock()))

    def _fund(self) -> None:
        self._finish(self.books.open_accounts(ACCOUNTS))
        self._deliver(self.bank.credit(FUNDS_MINOR, WALLET))
        while self._aside:
            self._advance(self._aside[0], 1_000)

    def _finish(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Run what nothing can go wrong with."""
        try:
            while True:
                step.send(None)
        except StopIteration as ended:
            return ended.value

    def _tick(self) -> None:
        self.run.start_next(self.clock())
        tasks = self._tasks()
        choice = self.dice.below(24)
        if choice < 14 and tasks:
            self._advance(tasks[self.dice.below(len(tasks))], 1 + self.dice.below(24))
        elif choice < 16:
            self._deliver_one()
        elif choice < 18:
            self.bank.go_on()
        elif choice < 20:
            self._leap(timedelta(seconds=JUMPS[self.dice.below(len(JUMPS))]))
        elif choice < 22:
            self._person_acts()
        elif choice == 22 and self._zombies:
            self._note("time-out of the call")
            self.run.try_call_again()
        else:
            self._crash(tasks)

    def _tasks(self) -> list[Task]:
        now = self._moment
        known = [self.run.calling, self.run.on_books, *self._aside, *self.run.given_up]
        return [t for t in known if t is not None and (t.retry_at is None or t.retry_at <= now)]

    def _advance(self, task: Task, pauses: int) -> None:
        """Let a task go on for some calls; what ends it is heard, or tried again."""
        self._at_work = task
        if task.running is None:
            self._note(f"{task.name} begins")
            task.running = task.step()
            task.retry_at = None
        try:
            for _ in range(pauses):
                task.running.send(None)
        except StopIteration as ended:
            self._note(f"{task.name} → {_short(ended.value)}")
            self._end(task)
            task.done(ended.value)
        except ApplicationError as again:
            self._note(f"{task.name} again: {again.message}")
            self._end(task)
            task.retry_at = self._moment + (again.next_retry_delay or timedelta(seconds=1))
        except Exception as failure:  # as Temporal does: run it again, and it stays to be seen
            self._note(f"{task.name} failed: {failure!r}")
            self._end(task)
            task.failures.append(repr(failure))
            task.retry_at = self._moment + timedelta(seconds=1)

    def _end(self, task: Task) -> None:
        task.running, task.is_sending = None, False
        if task.is_zombie:
            self.run.given_up.remove(task)

    def _crash(self, tasks: list[Task]) -> None:
        """End a process at the call it is at; what it began is in the books, or is not."""
        alive = [task for task in tasks if task.running is not None]
        if not alive:
            return
        task = alive[self.dice.below(len(alive))]
        self._note(f"{task.name} dies")
        running, task.running = task.running, None
        self._end(task)
        if running is not None:
            try:
                running.throw(Crash())
            except Crash:
                return
            raise AssertionError(f"{task.name} outlived its process")

    def _leap(self, length: timedelta) -> None:
        """Let time pass. A process is not frozen for long between its mark and its first byte."""
        for task in self._tasks():
            while task.is_sending or (task.is_partner_call and task.running and not self._zombies):
                self._advance(task, 1)
        self._note(f"{length} pass")
        self._moment += length

    def _bytes_may_leave(self) -> None:
        if self._at_work is not None:
            self._at_work.is_sending = True

    def _bytes_have_left(self) -> None:
        if self._at_work is not None:
            self._at_work.is_sending = False

    # What arrives

    def _deliver_one(self) -> None:
        waiting = self.bank.waiting
        if not waiting:
            return
        place = self.dice.below(len(waiting))
        event = waiting[place] if self.dice.one_in(4) else waiting.pop(place)
        self._deliver(event)

    def _deliver(self, event: PartnerEvent) -> None:
        """Store an event as the gateway does, and hand it over as the relay does."""
        row_id = self._finish(self.books.store_event(event, b"", {}))
        self._note(f"event {event.event_id} {event.kind}{' again' if row_id is None else ''}")
        if row_id is not None:
            self._relay(row_id)

    def _relay(self, row_id: int) -> None:
        stored = self.books.events[row_id]
        row, kind = EventRow(row_id=row_id), stored.event.kind
        if kind is EventKind.CREDIT:
            self._aside_task("book_deposit", lambda: self._events.book_deposit(row))
        elif kind is EventKind.RETURNED:
            self._aside_task("book_return", lambda: self._events.book_return(row), self._tell_run)
        elif stored.payment_id is None or self.run.is_over:
            self._aside_task("judge_late", lambda: self._events.judge_late(row))
        else:
            self.run.news = True

    def _tell_run(self, waiting: str | None) -> None:
        self.run.news |= waiting is not None and not self.run.is_over

    def _aside_task(
        self, name: str, step: Any, then: Callable[[Any], None] = lambda _answer: None
    ) -> None:
        def done(answer: Any) -> None:
            self._aside.remove(task)
            then(answer)

        task = Task(name, step, done)
        self._aside.append(task)

    def _person_acts(self) -> None:
        if self.run.standing is None or self.run.is_over:
            return
        by = (*PEOPLE, "maker", "eve")[self.dice.below(4)]
        actions: tuple[Action, ...] = (
            Approve(by=by),
            Cancel(by=by, reason="paid by card"),
            Deny(by=by, reason="not ours"),
        )
        self._wish(actions[self.dice.below(len(actions))])

    def _wish(self, action: Action) -> None:
        self._note(f"{action.by} wishes to {action.verb}")
        self.run.wishes.append(Wish(payment_id=PAYOUT, action=action, channel="update"))

    def _answered(self, wish: Wish, acted: Acted) -> None:
        answer = {"ok": True, "verdict": acted.answer.verdict.value}
        self._tell_client(wish.action.verb, answer)

    def _tell_client(self, op: str, answer: dict[str, Any]) -> None:
        place = f"line {len(self.told) + 1}"
        self.told.append(Told(place, self._moment, op, PAYOUT, "payout", "answered", {}, answer))

    # How it ends

    def _heal(self) -> list[str]:
        """Let everything go right from now on; return what does not end even so."""
        self.bank.is_calm = True
        for _ in range(HEALING_MAX):
            if self._is_quiet():
                self._tell_client("result", {"ok": True, "state": self.run.state})
                return []
            self._go_right()
        failures = [text for task in self._tasks() for text in task.failures[:2]]
        return [f"liveness: still {self.run.state}; {failures or 'nothing fails'}"]

    def _is_quiet(self) -> bool:
        waits = self.bank.waiting or self.bank.has_pending() or self._aside or self.run.given_up
        unapplied = [row for row in self.books.events.values() if row.applied_at is None]
        return self.run.is_over and not waits and not unapplied

    def _go_right(self) -> None:
        self.run.start_next(self.clock())
        for task in self._tasks():
            self._advance(task, 1_000)
        while self.bank.waiting:
            self._deliver(self.bank.waiting.pop(0))
        self.bank.go_on()
        self._offer_again()
        self._people_resolve()
        due = [t.retry_at for t in self._all_tasks() if t.retry_at is not None]
        due += [at for at in (self.run.waits_until(),) if at is not None]
        self._leap(max(min(due, default=self._moment) - self._moment, timedelta(seconds=90)))

    def _all_tasks(self) -> list[Task]:
        known = [self.run.calling, self.run.on_books, *self._aside, *self.run.given_up]
        return [task for task in known if task is not None]

    def _offer_again(self) -> None:
        """Hand over again what no run has taken account of, as the relay's leases do."""
        if self._aside or self.run.on_books:
            return
        for row_id, row in list(self.books.events.items()):
            if row.applied_at is None:
                self._relay(row_id)

    def _people_resolve(self) -> None:
        """Let two people who have asked the bank say what became of the money."""
        payment = self.books.payments.get(PAYOUT)
        if payment is None or payment.state in FINAL or self._all_tasks() or self.run.wishes:
            return
        cases = [case for case in self.books.cases if case.closed_at is None]
        if not cases or payment.state not in {S.IN_REVIEW, S.SUBMITTED}:
            return
        truths = {payout.truth for payout in self.bank.payouts}
        if truths & {"paid", "returned"}:
            outcome = Outcome.PAID
        elif "pending" in truths:
            outcome = Outcome.ACCEPTED
        else:
            outcome = Outcome.NEVER_MOVED
        self._wish(Resolve(by="ana", confirmed_by="ben", outcome=outcome, evidence="its letter"))

    def _note(self, what: str) -> None:
        self.trace.append(what)


def _short(answer: object) -> str:
    standing = getattr(answer, "standing", answer)
    return str(getattr(standing, "state", None) or answer)[:60]
