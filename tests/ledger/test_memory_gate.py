"""Both engines answer alike to what the gate judges, and to what partners and people did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bursar.gate import START_GUARD, CapBody, DisableBody, Scope
from bursar.payments import PaymentState
from bursar.reports import EventKind, PartnerEvent
from ledger import postings
from ledger.books import Books, PartnerWord
from ledger.changes import AttemptClosed, AttemptReopened, CaseOpened, Change
from ledger.memory import MemoryBooks
from ledger.postgres import PostgresBooks
from tests.ledger.conftest import open_usual_accounts
from tests.ledger.gate import ALL, NEED, say, switch, with_terms
from tests.ledger.steps import change, claimed, deposit, moves, opened
from tests.ledger.test_pauses import booked

S = PaymentState


class Said:
    """Calls the books, and keeps what they answer, with moments left out."""

    def __init__(self, books: Books) -> None:
        self.books: Any = books
        self.answers: list[object] = []

    async def __call__(self, name: str, *given: object, **named: object) -> Any:
        try:
            answer = await getattr(self.books, name)(*given, **named)
        except ValueError:
            answer = ValueError
        self.answers.append(_bare(answer))
        return answer


def _bare(answer: Any) -> object:
    if isinstance(answer, list):
        return [_bare(one) for one in answer]
    if not hasattr(answer, "model_dump"):
        return answer
    fields = answer.model_dump(exclude={"event"}).items()
    return {name: "a moment" if isinstance(value, datetime) else value for name, value in fields}


def lost(n: int, fence: int | None) -> Change:
    return change(
        f"po_1/unknown/{n}",
        payment_id="po_1",
        moves=moves(S.SUBMITTING, S.OUTCOME_UNKNOWN),
        attempt=AttemptClosed(key="po_1-1", result="unknown", fence=fence),
    )


def resent(n: int, fence: int | None) -> Change:
    return change(
        f"po_1/resend/{n}",
        payment_id="po_1",
        moves=moves(S.OUTCOME_UNKNOWN, S.SUBMITTING),
        attempt=AttemptReopened(key="po_1-1", fence=fence),
    )


async def permits_and_fences(said: Said) -> None:
    await said("write", opened("po_1", 100))
    await said("write", claimed("po_1"))
    first = (await said("mark_sent", "po_1-1")).fence
    await said("mark_sent", "po_1-1")
    await said("mark_unsent", "po_1-1", first)
    await said("mark_unsent", "po_1-1", first)
    await said("mark_unsent", "po_9-1", first)
    second = (await said("mark_sent", "po_1-1")).fence
    await said("mark_unsent", "po_1-1", first)
    for n, fence in enumerate((first, second)):
        await said("write", lost(n, fence))
        await said("mark_sent", "po_1-1")
    for n, fence in enumerate((first, second, second)):
        await said("write", resent(n, fence))
        await said("write", lost(n + 10, second))
    await said("attempts", "po_1")


async def pauses(said: Said) -> None:
    bank, main = switch(Scope.PARTNER, "bank"), switch(Scope.TENANT, "main")
    for n in (1, 2, 3):
        await said("write", opened(f"po_{n}", 100))
    await said("waiting", "bank")
    for n, body in enumerate((bank, main, ALL, switch(Scope.CURRENCY, "EUR")), 1):
        await said("pause", body, "ana")
        await said("pause", body, "ben")
        await said("write", claimed("po_1"))
        await said("write", booked(f"tr_{n}"))
        await said("write", deposit(f"d/p{n}", 5))
        await said("resume", body, "ben", is_admin=False)
        await said("resume", body, "ben", is_admin=n == 1)
        await said("resume", body, "ana", is_admin=False)
    for name in ("bonk", "ban", "bank/EUR"):
        await said("pause", bank.model_copy(update={"name": name}), "ana")
    await said("write", claimed("po_1"))
    await said("pause", bank, "ana")
    await said("mark_sent", "po_1-1")
    await said("resume", bank, "ana", is_admin=False)
    fence = (await said("mark_sent", "po_1-1")).fence
    await said("write", lost(1, fence))
    await said("pause", bank, "ana")
    await said("write", resent(1, fence))
    await said("mark_sent", "po_1-1")
    await said("waiting", "bank")
    await said("waiting", None)


async def claims(said: Said) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    await said("write", with_terms("po_1", approvals=NEED, approve_by=soon.isoformat()))
    await said("write", with_terms("po_2", execute_at=soon.isoformat(), approvals=NEED))
    await said("write", with_terms("po_3", approvals=NEED))
    await said("write", with_terms("po_4", approvals={"number": "many"}))
    words: tuple[tuple[str, dict[str, Any]], ...] = (
        ("ana", {}),
        ("shop", {}),
        ("ben", {"content_hash": "d" * 64}),
        ("carl", {"rule_version": "v6"}),
        ("dora", {"role": "clerk"}),
        ("eve", {"at": soon + timedelta(days=1)}),
        ("fay", {}),
        ("fay", {"decision": "deny"}),
        ("guy", {}),
    )
    for payment in ("po_1", "po_3"):
        for who, other in words:
            await say(said.books, payment, who, **other)
            await said("approvals_given", payment)
            await said("write", claimed(payment)._replace(reason=who))
    body = DisableBody(name="guy", reason="left")
    for _ in range(2):
        await said("disable_person", body, "chief")
    for n in (1, 2, 3, 4):
        await said("approvals_given", f"po_{n}")
        await said("write", claimed(f"po_{n}"))
    await said("write", opened("po_5", 10))
    good = claimed("po_5")
    await said("write", good._replace(attempt=None))
    await said("write", good._replace(moves=()))
    await said("write", claimed("po_5", 2))
    await said("write", claimed("po_5", content="d" * 64))
    await said("write", good)


async def caps(said: Said) -> None:
    def cap(**bounds: Any) -> CapBody:
        return CapBody(**({"currency": "EUR", "reason": "a test"} | bounds))

    for n, amount in enumerate((91, 90, 61, 60, 1), 1):
        await said("write", opened(f"po_{n}", amount))
    for bounds in (
        {"currency": "USD", "per_payment_minor": 1},
        {"per_payment_minor": 90},
        {"partner": "bank", "per_payment_minor": 100},
        {"partner": "bank", "tenant": "main", "per_day_minor": 150},
        {"partner": "bonk", "per_day_minor": 1},
        {"tenant": "mian", "per_day_minor": 1},
    ):
        await said("set_cap", cap(**bounds), "ana")
    for n in range(1, 6):
        await said("write", claimed(f"po_{n}"))
    await said("set_cap", cap(partner="bank", tenant="main", per_day_minor=151), "ana")
    await said("write", claimed("po_5"))
    for _ in range(2):
        await said("set_cap", cap(), "ana")
    await said("write", claimed("po_1"))


async def movements(said: Said) -> None:
    for n in (1, 2):
        await said("write", opened(f"po_{n}", 100))
    for ref, payment, kind, amount in (
        ("l1", "po_1", "paid", 100),
        ("l1", "po_2", "paid", 70),
        ("l2", "po_1", "paid", 100),
        ("l3", "po_2", "returned", 40),
        ("l4", "po_2", "returned", 61),
        ("l5", "po_2", "returned", 60),
        ("l6", "po_2", "returned", 1),
        ("l7", "po_9", "returned", 1),
        ("l8", None, "suspense", 100),
        ("l8", "po_1", "paid", 100),
        ("l9", "po_2", "suspense", 40),
        ("l10", "po_2", "suspense", 40),
        ("l9", "po_2", "returned", 40),
        ("l11", None, "deposit", 10**9),
        ("l12", None, "deposit", 1),
        ("l13", "po_1", "phantom", 100),
        ("l13", None, "phantom", 100),
        ("l14", None, "paid", 100),
    ):
        await said("note_line", "bank", ref, payment, kind, amount)
        await said("line", "bank", ref)
    await said("write", claimed("po_1"))
    await said("write", claimed("po_2"))
    told = AttemptClosed(key="po_1-1", result="accepted", partner_ref="b-7")
    await said("write", change("po_1/told", payment_id="po_1", attempt=told))
    for ref in ("b-7", "b-8"):
        await said("payment_with_partner_ref", "bank", ref)


async def told_before_sent(said: Said) -> None:
    """What a partner knows of first is asked about, once, under a key as old as its payment."""
    for n, kind in enumerate((EventKind.ACCEPTED, EventKind.PAID, EventKind.FAILED), start=1):
        await said("write", opened(f"po_{n}", 100))
        event = PartnerEvent(
            partner="bank",
            event_id=f"evt_{n}",
            kind=kind,
            reference=f"po_{n}-1",
            occurred_at=datetime.now(UTC),
        )
        await said("store_event", event, b"", {})
        await said("write", claimed(f"po_{n}"))
        for _ in range(2):
            await said("mark_sent", f"po_{n}-1")
        [attempt] = await said("attempts", f"po_{n}")
        payment = await said.books.payment(f"po_{n}")
        assert (attempt.first_sent_at == payment.created_at) is (kind is not EventKind.FAILED)
    await said("mark_unsent", "po_1-1", 1)
    await said("mark_sent", "po_1-1")


async def dated_transfers(said: Said) -> None:
    """By the books' clock: at once, and when a worker's clock says that their time has come."""
    for n, at in ((1, "2100-01-01T00:00:00+00:00"), (2, "2000-01-01T00:00:00+00:00")):
        straight = booked(f"tr_{n}")
        assert straight.opens is not None
        opens = straight.opens._replace(terms={"execute_at": at, "approvals": NEED})
        waits = moves(None, S.RECEIVED, S.SCHEDULED)
        key = f"tr_{n}/scheduled"
        await said("write", straight._replace(opens=opens))
        await said("write", straight._replace(key=key, legs=(), opens=opens, moves=waits))
        later = straight._replace(opens=None, moves=moves(S.SCHEDULED, S.SETTLED))
        await said("write", later)
        for who in ("ana", "ben"):
            await say(said.books, f"tr_{n}", who)
        await said("write", later)
        await said("payment", f"tr_{n}")


async def failing_events(said: Said) -> None:
    await said("write", opened("po_1", 100))
    for n in (1, 2):
        event = PartnerEvent(
            partner="bank",
            event_id=f"evt_{n}",
            kind=EventKind.ACCEPTED,
            reference="po_1-1",
            occurred_at=datetime.now(UTC),
        )
        await said("store_event", event, b"", {})
    for _ in range(3):
        await said("add_event_failure", 1, "no account", 2)
        await said("events_set_aside")
    await said("open_events", "po_1")
    await said("events_to_relay", 10)
    await said("redrive_events", [2], "ana")
    await said("redrive_events", None, "ana")
    await said("redrive_events", None, "ana")
    await said("events_to_relay", 10)
    await said("event", 1)
    await said("set_event_aside", 1, "stale")
    await said("add_event_failure", 1, "no account", 1)


async def approved_transfers(said: Said) -> None:
    straight = booked("tr_1")
    assert straight.opens is not None
    opens = straight.opens._replace(terms={"approvals": NEED})
    await said("write", straight._replace(opens=opens))
    waits = moves(None, S.RECEIVED, S.AWAITING_APPROVAL)
    await said("write", straight._replace(key="tr_1/opened", legs=(), opens=opens, moves=waits))
    later = straight._replace(opens=None, moves=moves(S.AWAITING_APPROVAL, S.SETTLED))
    for who in ("ana", "shop", "ben"):
        await said("write", later)
        await say(said.books, "tr_1", who)
    await said("disable_person", DisableBody(name="ben", reason="left"), "chief")
    await said("write", later)
    await say(said.books, "tr_1", "carl")
    for _ in range(2):
        await said("write", later)
    await said("approvals_given", "tr_1")
    await said("payment", "tr_1")


async def doubts(said: Said) -> None:
    for n in (1, 2):
        await said("write", opened(f"po_{n}", 100))
        await said("may_have_left", f"po_{n}")
        await said("pause", ALL, START_GUARD)
        await said("may_have_left", f"po_{n}")
        await said("resume", ALL, "root", is_admin=True)
        await said("may_have_left", f"po_{n}")
        for kind in ("cancel_refused", "cancel_too_late"):
            note = {"key": f"po_{n}/{kind}", "actor": "ana", "kind": kind, "detail": "a wish"}
            await said("add_note", f"po_{n}", **note)
            await said("cancel_wished", f"po_{n}")
        await said("write", claimed(f"po_{n}"))
        for _ in range(2):
            await said("mark_sent", f"po_{n}-1")
        await said("add_word", PartnerWord(attempt_key=f"po_{n}-1", verb="find", kind="unknown"))
        await said("write", lost(1, 1)._replace(key=f"po_{n}/lost", payment_id=f"po_{n}"))
    reopened = change(
        "po_1/resend/1", payment_id="po_1", moves=moves(S.OUTCOME_UNKNOWN, S.SUBMITTING)
    )
    await said("write", reopened._replace(attempt=AttemptReopened(key="po_1-1", fence=1)))
    await said("mark_sent", "po_1-1")
    await said("write", opened("po_3", 100))
    await said("write", claimed("po_3"))
    await said("mark_sent", "po_3-1")
    later = (await said.books.now() + timedelta(days=1)).isoformat()
    await said("write", with_terms("po_4", execute_at=later))
    await said("pause", ALL, START_GUARD)
    await said("may_have_left", "po_4")
    await said("attempts", "po_1")


async def words(said: Said) -> None:
    """Each person's newest word counts, and nobody's who is disabled; cases stay with events."""
    await said("write", opened("po_1", 100))
    for decision in ("resolve_paid", "resolve_paid", "resolve_failed", "resolve_paid", "approve"):
        await say(said.books, "po_1", "ana", decision=decision)
    now = await said.books.now()
    row = (await said.books.approvals("po_1"))[-2].model_copy(update={"at": now})
    await said("add_approval", row)
    await said("add_approval", row, now)
    await said("approvals", "po_1")
    trouble = CaseOpened(kind="contradiction", detail="paid after all")
    await said("write", change("po_1/case", payment_id="po_1", case=trouble))
    for who, decision in (("ana", "take"), ("ben", "take"), ("Ana", "none"), ("carl", "take")):
        await said("add_case_word", 1, who, decision, "a letter")
    for name in ("BEN", "ben", "dora"):
        await said("disable_person", DisableBody(name=name, reason="left"), "chief")
    for name in ("ben", "Ben ", "ana"):
        await said("is_disabled", name)
    for who in ("ana", "ben"):
        await said("add_case_word", 1, who, "take", "a letter")
    end: dict[str, object] = {"by": "ana", "resolution": "ours", "posting": None}
    for decision in ("none", "take"):
        await said("close_case", 1, decision=decision, **end)


async def cases(said: Said) -> None:
    await said("write", opened("po_1", 100))
    gone = postings.paid_after_failed("bank", "EUR", amount_minor=70)
    trouble = CaseOpened(kind="contradiction", detail="paid after all")
    with_money = change("po_1/gone", *gone, payment_id="po_1", evidence_id="e", case=trouble)
    await said("write", with_money)
    await said("write", change("po_1/case", payment_id="po_1", case=trouble))
    await said("open_cases", "po_1")
    closing = {"payment_id": "po_1", "closes_cases": True, "reason": "seen"}
    await said("write", change("po_1/decided", **closing))
    await said("open_cases", "po_1")
    await said("payment", "po_1")
    end: dict[str, object] = {"by": "ana", "decision": gone[1].account, "resolution": "ours"}
    for case_id in (1, 2, 3):
        await said("case", case_id)
        await said("assign_case", case_id, "ben", "ana")
        await said("case", case_id)
    for who in ("ana", "ana", "Ana", "ANA ", "ben"):
        await said("close_case", 1, posting="case/1/take", **end)
        await said("add_case_word", 1, who, gone[1].account, "a letter")
    await said("close_case", 1, posting="case/1/take", **end)
    back = [leg._replace(delta=-leg.delta) for leg in gone]
    await said("write", change("case/1/take", *back, evidence_id="e2"))
    await said("case_postings", 1)
    for _ in range(2):
        await said("close_case", 1, posting="case/1/take", **end)
    await said("case", 1)


SCENES = (
    *(permits_and_fences, pauses, claims, caps, movements, failing_events),
    *(approved_transfers, dated_transfers, told_before_sent, cases, doubts, words),
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_both_engines_answer_a_scene_alike(
    scene: Callable[[Said], Awaitable[None]], books_url: str
) -> None:
    async with PostgresBooks.open(books_url, lanes=1, pool_size=1) as postgres:
        heard = [Said(MemoryBooks()), Said(postgres)]
        for said in heard:
            await open_usual_accounts(said.books)
            await said.books.write(deposit("d/1", 1_000_000))
            await scene(said)
    assert len(heard[1].answers) > 9
    assert heard[0].answers == heard[1].answers
