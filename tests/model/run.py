"""The run: what a payout's workflow does next, as `workflows/payout.py` and the desk have it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from activities.events import EventActivities
from activities.payments import PaymentActivities
from activities.rails import RailActivities
from activities.terms import Acted, NotOpened, Opened, Opening, Question, Standing, Terms, Wish
from bursar.payments import PaymentState, PayoutRequest
from tests.model.stage import Task

S = PaymentState

CALLING = {
    "submit": frozenset({S.RESERVED, S.SUBMITTING}),
    "ask": frozenset({S.OUTCOME_UNKNOWN}),
    "poll": frozenset({S.SUBMITTED}),
    "ask_to_cancel": frozenset({S.SUBMITTED}),
}
"""Calls to the partner, with the states in which each is of use."""


class Run:
    """One workflow: a standing, a desk, a step on the books at a time, and a partner's call."""

    def __init__(
        self,
        request: PayoutRequest,
        steps: PaymentActivities,
        rails: RailActivities,
        events: EventActivities,
        answered: Callable[[Wish, Acted], None],
    ) -> None:
        self.id = request.id
        self.request = request
        self.standing: Standing | None = None
        self.terms = Terms(content_hash="")
        self.wishes: deque[Wish] = deque()
        self.news = False
        self.cancel_wished = False
        self.on_books: Task | None = None
        self.calling: Task | None = None
        self.given_up: list[Task] = []
        """Calls that nobody waits for any more, and that may be under way all the same."""
        self.timer_at: datetime | None = None
        self._steps, self._rails, self._events = steps, rails, events
        self._answered = answered

    @property
    def state(self) -> PaymentState | None:
        """Where the run believes its payment to be."""
        return self.standing.state if self.standing else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come from this run."""
        final = self.standing is not None and self.standing.final
        return final and not (self.wishes or self.news or self.on_books or self.calling)

    def waits_until(self) -> datetime | None:
        """Return when the run's own timer ends, where it waits for one."""
        match self.state:
            case S.AWAITING_APPROVAL:
                return self.terms.approve_by
            case S.SCHEDULED:
                return self.terms.execute_at
            case S.SUBMITTED:
                return self.timer_at
            case _:
                return None

    def start_next(self, now: datetime) -> None:
        """Start what comes next, where something can."""
        if self.on_books is not None:
            return
        submitting = self.calling is not None and self.calling.name == "submit"
        if self.standing is None:
            self._book("open", lambda: self._steps.open_payout(self._opening()), self._opened)
        elif self.news and not submitting:
            self.news = False
            self._book("apply_events", lambda: self._events.apply_events(self.id), self._stand)
        elif self.wishes:
            wish = self.wishes.popleft()
            self._book("act", lambda: self._steps.act(wish), lambda a: self._acted(wish, a))
        elif self.calling is None and not self.standing.final:
            self._take_step(self.standing, now)

    def _opening(self) -> Opening:
        return Opening(payment_id=self.id, request=self.request.model_dump(mode="json"))

    def _take_step(self, standing: Standing, now: datetime) -> None:
        match standing.state:
            case S.AWAITING_APPROVAL:
                if self._is_time(self.terms.approve_by, now):
                    self._book("expire", lambda: self._steps.expire(self.id), self._stand)
            case S.SCHEDULED:
                if self._is_time(self.terms.execute_at, now):
                    self._book("go_on", lambda: self._steps.go_on(self.id), self._stand)
            case S.RESERVED | S.SUBMITTING:
                self._call("submit", lambda: self._rails.submit(self.id))
            case S.OUTCOME_UNKNOWN:
                question = Question(payment_id=self.id, cancel_wished=self.cancel_wished)
                self._call("ask", lambda: self._rails.ask(question))
            case S.SUBMITTED:
                self._await_last_word(standing, now)
            case _:
                return

    def _await_last_word(self, standing: Standing, now: datetime) -> None:
        if self.cancel_wished:
            self.cancel_wished = False
            self._call("ask_to_cancel", lambda: self._rails.ask_to_cancel(self.id))
            return
        if self.timer_at is None:
            policy = self.terms.policy
            self.timer_at = now + (policy.overdue_after if standing.overdue else policy.poll_after)
        if self._is_time(self.timer_at, now):
            self.timer_at = None
            self._call("poll", lambda: self._rails.poll(self.id))

    def _is_time(self, moment: datetime | None, now: datetime) -> bool:
        return moment is None or now >= moment

    def _book(self, name: str, step: Any, done: Callable[[Any], None]) -> None:
        def ended(answer: Any) -> None:
            self.on_books = None
            done(answer)

        self.on_books = Task(name, step, ended)

    def _call(self, name: str, step: Any) -> None:
        def ended(answer: Any) -> None:
            self.calling = None
            self._stand(answer)

        self.calling = Task(name, step, ended, is_partner_call=True)

    def _opened(self, opened: Opened | NotOpened) -> None:
        if not isinstance(opened, Opened):
            raise TypeError(f"a sound request was not opened: {opened.reason}")
        self.terms = opened.terms
        self._stand(opened.standing)

    def _acted(self, wish: Wish, acted: Acted) -> None:
        self.cancel_wished |= acted.ask_partner
        self._answered(wish, acted)
        if acted.standing.state is not self.state:
            self._stand(acted.standing)

    def _stand(self, standing: Standing) -> None:
        self.standing = standing
        if self.calling is not None and standing.state not in CALLING[self.calling.name]:
            self.give_up_call()

    def give_up_call(self) -> None:
        """Stop waiting for the partner's call; it may go on, and its answer is heard by nobody."""
        if self.calling is not None and self.calling.running is not None:
            self.calling.is_zombie = True
            self.given_up.append(self.calling)
        self.calling = None

    def try_call_again(self) -> None:
        """Run the partner's call once more, as after its time-out, while the first may go on."""
        call = self.calling
        if call is None or call.running is None:
            return
        zombie = Task(call.name, call.step, lambda _answer: None, is_partner_call=True)
        zombie.running, zombie.is_sending, zombie.is_zombie = call.running, call.is_sending, True
        self.given_up.append(zombie)
        call.running, call.is_sending = None, False
