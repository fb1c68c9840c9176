"""Situations: where a payout waits, and what may arrive there in one workflow task."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from random import Random
from typing import Literal

from bursar import PaymentState
from tests.workflows.held import Script

S = PaymentState
KINDS = ("native cancel", "cancel signal", "cancel update", "partner event")
DUE_SECONDS = float(os.environ.get("BURSAR_DUE_SECONDS", "15"))
"""How far off a date is that has to be reached while the worker is stopped, and not before: a
machine that is so busy that twenty payouts take longer to open needs more."""
PAIRS_EACH = 4
"""How many of the sixteen pairs a situation is dealt where not all are played."""
ORDERS: tuple[Literal["first", "last"], ...] = ("first", "last")


@dataclass(frozen=True)
class Situation:
    """Where a payout stands while messages arrive, and what else happens in that moment."""

    name: str
    waits_in: PaymentState | None
    """The register's state to wait for before the worker stops; None: it is started after that."""
    script: Callable[[], Script] = Script
    partner: str = "bank"
    needs_approval: bool = False
    execute_in: float | None = None
    asked: bool = False
    """Whether the look-up, too, has to be under way."""
    released: Literal["first", "last"] | None = None
    """Whether the bank's answer comes before or after the messages, while the worker is stopped."""
    timer_fires: bool = False
    """Whether the payout's own timer ends while the worker is stopped."""


def _answering() -> Script:
    script = Script()
    script.may_reply.set()
    return script


def _lost() -> Script:
    script = Script(reply="unknown")
    script.may_reply.set()
    return script


def _silent() -> Script:
    script = Script(reply="unknown", found="unknown")
    script.may_reply.set()
    script.may_find.set()
    return script


SITUATIONS = (
    Situation("before the first task", None),
    Situation("awaiting approval", S.AWAITING_APPROVAL, needs_approval=True),
    Situation("scheduled", S.SCHEDULED, execute_in=3600),
    Situation("as its date comes", S.SCHEDULED, execute_in=DUE_SECONDS, timer_fires=True),
    Situation("reserved, nobody takes the call", S.RESERVED, partner="idle"),
    Situation("submitting", S.SUBMITTING),
    *(
        Situation(
            f"submitting, {reply} comes {when}",
            S.SUBMITTING,
            script=partial(Script, reply=reply),
            released=when,
        )
        for reply in ("accepted", "paid", "rejected", "unknown")
        for when in ORDERS
    ),
    Situation("outcome unknown", S.OUTCOME_UNKNOWN, _lost, asked=True),
    *(
        Situation(
            f"outcome unknown, the answer comes {when}",
            S.OUTCOME_UNKNOWN,
            _lost,
            asked=True,
            released=when,
        )
        for when in ORDERS
    ),
    Situation("submitted", S.SUBMITTED, _answering),
    Situation("in review", S.IN_REVIEW, _silent),
)


def arrivals(together: int) -> list[tuple[str, ...]]:
    """Return every ordered choice of up to so many messages, the same kind twice included."""
    return [kinds for size in range(1, together + 1) for kinds in product(KINDS, repeat=size)]


def spread(situation: Situation, seed: int) -> list[tuple[str, ...]]:
    """Return every message alone and a few of the pairs; four situations in a row have them all."""
    pairs = list(product(KINDS, repeat=2))
    Random(seed).shuffle(pairs)  # noqa: S311  repeatable, no secret
    begin = SITUATIONS.index(situation) * PAIRS_EACH
    dealt = [pairs[number % len(pairs)] for number in range(begin, begin + PAIRS_EACH)]
    return [*arrivals(1), *dealt]
