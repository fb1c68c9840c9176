"""Who stands for what people decide, in memory: as `judge_people` has it of the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from bursar.ids import person_of
from bursar.payments import PaymentState
from ledger.books import Payment
from ledger.changes import AttemptClosed, Change
from ledger.resolutions import due_since, newest_words

if TYPE_CHECKING:
    from ledger.memory_register import MemoryRegister

DECIDERS_MIN = 2


def case_deciders(register: MemoryRegister, case_id: int, decision: str) -> list[str]:
    """Return who stands for a decision on a case now, each as they were spelt the first time."""
    people: dict[str, str] = {}
    newest: dict[str, str] = {}
    for word in register.case_words:
        if word.case_id == case_id:
            people.setdefault(person_of(word.principal), word.principal)
            newest[person_of(word.principal)] = word.decision
    return sorted(
        name
        for person, name in people.items()
        if newest[person] == decision and not register.gate.is_disabled(name)
    )


def lacks_deciders(register: MemoryRegister, change: Change) -> bool:
    """Tell whether fewer than two people stand for what a change does in their name."""
    counts = [len(case_deciders(register, *asked)) for asked in _taken_out(register, change)]
    if change.closes_cases and isinstance(change.attempt, AttemptClosed):
        payment = register.payments[change.payment_id or ""]
        counts.append(_payment_deciders(register, payment, f"resolve_{change.attempt.result}"))
    return min(counts, default=DECIDERS_MIN) < DECIDERS_MIN


def _taken_out(register: MemoryRegister, change: Change) -> Iterable[tuple[int, str]]:
    """Yield the case, and each account that its money goes to."""
    word, _, rest = change.key.partition("/")
    number = rest.partition("/")[0]
    if word != "case" or not number.isdecimal():
        return
    money = register.case_money(int(number))
    for leg in change.legs:
        if money is None or leg.account != money.account:
            yield int(number), leg.account


def _payment_deciders(register: MemoryRegister, payment: Payment, decision: str) -> int:
    words = [word for word in register.approvals_kept if word.payment_id == payment.id]
    said = newest_words(
        sorted(words, key=lambda word: word.at), _since(register, payment, decision)
    )
    return sum(
        word.decision == decision and not register.gate.is_disabled(word.principal)
        for person, word in said.items()
        if person != person_of(payment.created_by)
    )


def _since(register: MemoryRegister, payment: Payment, decision: str) -> datetime:
    """Return since when an outcome is asked for: who decides `paid` captures, and then settles."""
    *_, before, last = (None, *(t for t in register.transitions if t.payment_id == payment.id))
    by_people = last is not None and (
        last.transaction.change.evidence_id == f"resolution/{payment.id}"
    )
    newest = max(register.attempts_of(payment.id), key=lambda row: row.ordinal, default=None)
    settles = decision == "resolve_paid" and newest is not None and newest.result == "paid"
    if payment.state is PaymentState.SUBMITTED and by_people and settles and before is not None:
        return before.transaction.at
    cases = [c for c in register.cases if c.payment_id == payment.id and c.closed_at is None]
    return due_since(payment, cases) or payment.updated_at
