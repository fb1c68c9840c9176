"""The contests: what races what, who may win, and what everybody may be told.

Each contest runs one payment (or one balance) to its end and returns the winner's name; anything
that breaks a promise is an AssertionError. What a caller was told is compared with the register's
own rows and with the bank's book: INV-17, INV-18, INV-23.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

from temporalio.exceptions import ApplicationError

from activities.payout_legs import PaymentMissing
from activities.terms import NotOpened, Opened, Terms
from bursar import PaymentState, PayoutRequest, Verdict
from bursar.actions import Answer, Approve, Cancel, Deny
from bursar.gate import DisableBody
from bursar.ids import new_payout_id
from bursar.payments import content_hash
from ledger.books import ApprovalRow
from tests.payments import a_payout, a_transfer
from tests.races.stage import FREE, ONE, TWO, Side, Stage, amount, together

S = PaymentState
V = Verdict
Contest = Callable[[Stage, Random], Awaitable[str]]

APPROVE = Approve(by="ana")
CANCEL = Cancel(by="ops", reason="race")
DENY = Deny(by="ben", reason="race")
Told = tuple[Answer, PaymentState]


async def _state(stage: Stage, payment_id: str) -> PaymentState:
    payment = await stage.left.books.payment(payment_id)
    assert payment is not None
    return payment.state


async def _judge(stage: Stage, request: PayoutRequest, cancel: Answer | None = None) -> str:
    """Compare a finished payout with the bank's book and with what a canceller was told."""
    state, paid = await _state(stage, request.id), stage.bank.paid(request.id)
    sends = stage.bank.sends[request.id]
    if state is S.SETTLED:
        assert (paid, sends) == ([request.amount.amount_minor], 1), (state, paid, sends)
    else:
        assert state in {S.CANCELLED, S.DENIED, S.EXPIRED}, state
        assert (paid, sends) == ([], 0), (state, paid, sends)
    if cancel is not None:
        granted = cancel.verdict is V.CANCELLED
        assert granted == (state is S.CANCELLED), (cancel, state)
        assert granted or cancel.verdict in {V.TOO_LATE, V.ALREADY_FINAL}, cancel
    return str(state)


async def cancel_against_claim(stage: Stage, rng: Random) -> str:
    """A2: who cancels and who hands over start together; a granted cancel is never paid."""
    request = a_payout(amount_minor=FREE)
    await stage.left.open(request)
    told, _ = await together(
        rng,
        lambda: stage.left.act(request.id, CANCEL),
        lambda: stage.right.hand_over(request.id),
    )
    return await _judge(stage, request, told[0])


async def cancel_against_approve(stage: Stage, rng: Random) -> str:
    """A1: one approves, and the payout goes; another cancels: one of them wins.

    Sometimes the cancel comes only with the word given, and so meets the hand-over.
    """
    request = a_payout(amount_minor=ONE)
    await stage.left.open(request)
    given, late = asyncio.Event(), rng.random() < 0.4

    async def cancel() -> Told:
        if late:
            await given.wait()
        return await stage.right.act(request.id, CANCEL)

    approved, cancelled = await together(
        rng, lambda: _approve_and_go(stage.left, request.id, given), cancel
    )
    await _approval_was_told_truly(stage, request.id, approved)
    return await _judge(stage, request, cancelled[0])


async def deny_against_approve(stage: Stage, rng: Random) -> str:
    """Two people decide otherwise at one moment: one word counts, and the other hears so."""
    request = a_payout(amount_minor=ONE)
    await stage.left.open(request)
    approved, denied = await together(
        rng,
        lambda: _approve_and_go(stage.left, request.id),
        lambda: stage.right.act(request.id, DENY),
    )
    await _approval_was_told_truly(stage, request.id, approved)
    state = await _judge(stage, request)
    assert (denied[0].verdict is V.DENIED) == (state == S.DENIED), (denied, state)
    return state


async def expiry_against_approve(stage: Stage, rng: Random) -> str:
    """The time for approval ends at the moment somebody approves."""
    request = a_payout(amount_minor=ONE)
    await stage.left.open(request)
    approved, _ = await together(
        rng,
        lambda: _approve_and_go(stage.left, request.id),
        lambda: stage.right.payments.expire(request.id),
    )
    await stage.left.hand_over(request.id)  # where the expiry's own look found the approval
    await _approval_was_told_truly(stage, request.id, approved)
    return await _judge(stage, request)


async def _approve_and_go(side: Side, payment_id: str, given: asyncio.Event | None = None) -> Told:
    told = await side.act(payment_id, APPROVE)
    if given is not None:
        given.set()
    if told[1] is S.RESERVED:
        await side.hand_over(payment_id)
    return told


async def _approval_was_told_truly(stage: Stage, payment_id: str, told: Told) -> None:
    """INV-23: "approved" is only said of a payment that did go on for it."""
    went_on = "reserved" in await stage.path(payment_id)
    assert (told[0].verdict is V.APPROVED) == went_on, (told, await stage.path(payment_id))


async def double_approve(stage: Stage, rng: Random) -> str:
    """A3: two approvals are needed; one person twice is one, and two people at once are two."""
    request = a_payout(amount_minor=TWO)
    await stage.left.open(request)
    second = rng.choice(["ana", "ben"])
    told = await together(
        rng,
        lambda: stage.left.act(request.id, APPROVE),
        lambda: stage.right.act(request.id, Approve(by=second)),
    )
    verdicts = Counter(answer.verdict for answer, _ in told)
    if second == "ana":
        assert verdicts == {V.RECORDED: 2}, told
        assert (await stage.right.payments.go_on(request.id)).state is S.AWAITING_APPROVAL
        assert await stage.right.hand_over(request.id) is S.AWAITING_APPROVAL
        cancelled, _ = await stage.left.act(request.id, CANCEL)
        await _judge(stage, request, cancelled)
        return "one person twice"
    assert verdicts[V.APPROVED] >= 1, told
    assert verdicts.total() == verdicts[V.APPROVED] + verdicts[V.RECORDED], told
    await together(
        rng,
        lambda: stage.left.hand_over(request.id),
        lambda: stage.right.payments.go_on(request.id),
    )
    await _judge(stage, request)
    assert (await stage.path(request.id)).count("reserved") == 1
    return "two people"


async def approve_after_edit(stage: Stage, rng: Random) -> str:
    """A4: one id, two contents, and an approval of the first: only what was looked at is paid."""
    seen = a_payout(amount_minor=ONE)
    edited = seen.model_copy(update={"amount": amount(ONE + 7_00)})
    bound = Approve(by="ana", content_hash=content_hash(seen))

    async def approve() -> Told:
        while True:
            try:
                return await stage.right.act(seen.id, bound)
            except PaymentMissing:
                await asyncio.sleep(0)

    first, second, told = await together(
        rng, lambda: stage.left.open(seen), lambda: stage.right.open(edited), approve
    )
    assert [type(first), type(second)].count(Opened) == 1, (first, second)
    assert [type(first), type(second)].count(NotOpened) == 1, (first, second)
    await stage.left.hand_over(seen.id)
    if isinstance(first, Opened):
        assert told[0].verdict is V.APPROVED, told
        await _judge(stage, seen)
        return "what was looked at"
    assert told[0].verdict is V.NOT_ALLOWED, told
    assert stage.bank.sends[seen.id] == 0
    cancelled, _ = await stage.left.act(seen.id, CANCEL)
    await _judge(stage, edited, cancelled)
    return "the edited one"


async def creator_approves(stage: Stage, rng: Random) -> str:
    """A5: the creator approves by signal and by a token at once, and one colleague does: one word.

    A second token, another channel, or another spelling of one person is no second person; two
    approvals are needed here.
    """
    request = a_payout(amount_minor=TWO, created_by="maker")
    opened = await stage.left.open(request)
    own = Approve(by="maker")

    async def by_token(name: str) -> Told:
        await stage.right.books.add_approval(_word(request.id, name, opened.terms))
        return await stage.right.act(request.id, Approve(by=name), "update")

    *makers, ana, ana_again, also_ana = await together(
        rng,
        lambda: stage.left.act(request.id, own),
        lambda: by_token("maker"),
        lambda: by_token("Maker"),
        lambda: stage.left.act(request.id, APPROVE),
        lambda: by_token("ana"),
        lambda: by_token("Ana"),
    )
    assert {told[0].verdict for told in makers} == {V.NOT_ALLOWED}
    assert {told[0].verdict for told in (ana, ana_again, also_ana)} == {V.RECORDED}
    assert (await stage.left.payments.go_on(request.id)).state is S.AWAITING_APPROVAL
    assert await stage.right.hand_over(request.id) is S.AWAITING_APPROVAL
    cancelled, _ = await stage.right.act(request.id, CANCEL)
    await _judge(stage, request, cancelled)
    return "nobody"


def _word(payment_id: str, name: str, terms: Terms) -> ApprovalRow:
    """Return the word that the gateway keeps for a token's holder."""
    assert terms.approvals is not None
    return ApprovalRow(
        payment_id=payment_id,
        principal=name,
        decision="approve",
        role=terms.approvals.role,
        content_hash=terms.content_hash,
        rule_version=terms.approvals.version,
        reason=None,
        channel="gateway",
        at=datetime.now(UTC),
    )


async def disable_against_claim(stage: Stage, rng: Random) -> str:
    """A6: an approver is disabled as the payment is claimed; once that has returned, none passes.

    The same person has approved a second payment, which is handed over only afterwards.
    """
    approver = f"leaver-{new_payout_id()}"
    first, second = [a_payout(amount_minor=ONE) for _ in range(2)]
    for request in (first, second):
        opened = await stage.left.open(request)
        await stage.left.books.add_approval(_word(request.id, approver, opened.terms))
        told, state = await stage.left.act(request.id, Approve(by=approver))
        assert (told.verdict, state) == (V.APPROVED, S.RESERVED), told
    leaver = DisableBody(name=approver, reason="has left")
    await together(
        rng,
        lambda: _unless_held_back(stage.left, first.id),
        lambda: stage.right.books.disable_person(leaver, "root"),
    )
    assert not await _unless_held_back(stage.left, second.id), "handed over on a void approval"
    cancelled, _ = await stage.left.act(second.id, CANCEL)
    await _judge(stage, second, cancelled)
    if not stage.bank.sends[first.id]:
        cancelled, _ = await stage.left.act(first.id, CANCEL)
        await _judge(stage, first, cancelled)
        return "disabled"
    late: bool = await stage.watcher.fetchval(
        "select t.at > d.at from transitions t, people_disabled d"
        " where t.payment_id = $1 and t.after = 'submitting' and d.principal = $2",
        first.id,
        approver,
    )
    assert not late, "claimed after the approver was disabled"
    await _judge(stage, first)
    return "claimed"


async def _unless_held_back(side: Side, payment_id: str) -> bool:
    """Hand over once; False where the gate holds the payment back."""
    try:
        standing = await side.rails.submit(payment_id)
    except ApplicationError as error:
        if "not_approved" not in str(error):
            raise
        return False
    return standing.state is not S.RESERVED  # that is what a run is told once, with its case


async def two_hand_overs(stage: Stage, rng: Random) -> str:
    """K+: a worker taken for dead and its successor hand over at once: one send, one debit."""
    request = a_payout(amount_minor=FREE)
    await stage.left.open(request)
    ends = await together(
        rng,
        lambda: stage.left.hand_over(request.id),
        lambda: stage.right.hand_over(request.id),
    )
    assert set(ends) <= {S.SUBMITTED, S.SETTLED}, ends
    await _judge(stage, request)
    return "one send"


async def cancel_against_date(stage: Stage, rng: Random) -> str:
    """A scheduled payout is cancelled at the moment its time comes."""
    later = datetime.now(UTC) + timedelta(hours=1)
    request = a_payout(amount_minor=FREE, execute_at=later)
    await stage.left.open(request)

    async def its_time_comes() -> None:
        await stage.right.payments.go_on(request.id)
        await stage.right.hand_over(request.id)

    told, _ = await together(rng, lambda: stage.left.act(request.id, CANCEL), its_time_comes)
    return await _judge(stage, request, told[0])


async def fifty_openings(stage: Stage, rng: Random) -> str:
    """INV-26: fifty openings of one id with two contents are one payment, and all hear which."""
    request = a_payout(amount_minor=FREE)
    other = request.model_copy(update={"amount": amount(FREE + 1)})
    asked = [rng.choice([request, other]) for _ in range(50)]
    answers = await together(
        rng,
        *(
            (lambda n=n, each=each: (stage.left, stage.right)[n % 2].open(each))
            for n, each in enumerate(asked)
        ),
    )
    payment = await stage.left.books.payment(request.id)
    assert payment is not None
    for each, answer in zip(asked, answers, strict=True):
        if content_hash(each) == payment.content_hash:
            assert isinstance(answer, Opened), answer
            assert answer.terms.content_hash == payment.content_hash
        else:
            assert isinstance(answer, NotOpened), answer
            assert answer.error == "PaymentConflict"
    await stage.right.hand_over(request.id)
    won = request if payment.amount_minor == FREE else other
    return await _judge(stage, won) + (" first" if won is request else " other")


async def parallel_spends(stage: Stage, rng: Random, spends: int = 1_000) -> str:
    """L1: of many parallel spends of one balance exactly those that fit succeed."""
    price = rng.randint(1, 900_00)
    balance = rng.randint(1, price * spends)
    owner = new_payout_id().replace("_", "-")
    account = await stage.fund(owner, balance)
    requests = [
        a_payout(amount_minor=price).model_copy(update={"account": account})
        if rng.random() < 0.5
        else a_transfer(amount_minor=price, source=owner, destination="zenith")
        for _ in range(spends)
    ]
    answers = await together(
        rng,
        *(
            (lambda n=n, each=each: (stage.left, stage.right)[n % 2].open(each))
            for n, each in enumerate(requests)
        ),
    )
    states = Counter(answer.standing.state for answer in answers)
    affordable = balance // price
    assert states[S.RESERVED] + states[S.SETTLED] == affordable, (states, affordable)
    assert states[S.REFUSED] == spends - affordable, states
    held = [
        each
        for each, answer in zip(requests, answers, strict=True)
        if answer.standing.state is S.RESERVED
    ]
    for each in held:
        cancelled, _ = await stage.left.act(each.id, CANCEL)
        assert cancelled.verdict is V.CANCELLED
    return "exact"


CONTESTS: dict[str, tuple[Contest, int]] = {
    "A1 cancel against approve": (cancel_against_approve, 1),
    "A1 deny against approve": (deny_against_approve, 1),
    "A1 expiry against approve": (expiry_against_approve, 1),
    "A2 cancel against claim": (cancel_against_claim, 1),
    "A2 cancel against its date": (cancel_against_date, 1),
    "A3 double approve": (double_approve, 1),
    "A4 approve after edit": (approve_after_edit, 1),
    "A5 creator approves": (creator_approves, 1),
    "A6 disable against claim": (disable_against_claim, 1),
    "K+ two hand-overs": (two_hand_overs, 1),
    "L1 parallel spends": (parallel_spends, 1_000),
    "INV-26 fifty openings": (fifty_openings, 50),
}
"""Every contest by name, and how many racers of one kind are in one round."""
