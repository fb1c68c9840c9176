"""What the callers write: plain postings, hot ones, and whole lives of payouts."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncGenerator, Awaitable, Callable

import asyncpg

from benchmarks.books import CURRENCY, DAY, PARTNER, WALLETS, wallet
from bursar.ids import attempt_key, new_transfer_id
from bursar.payments import PaymentKind, PaymentState
from ledger import postings
from ledger.batch import WRITE, answers, rows_of
from ledger.books import Books
from ledger.changes import AttemptClosed, AttemptOpened, Change, Leg, Move, Registration, Written

S = PaymentState

AMOUNT_MINOR = 100
FEE_MINOR = 5
CONTENT_HASH = "c" * 64
REQUEST = {
    "reference": "Invoice 2026-0001",
    "beneficiary": {"type": "iban", "name": "Ana Lima", "iban": "DE89370400440532013000"},
    "metadata": {"order": "2026-0001"},
}
TERMS = {"route": PARTNER, "fee_rule": "1", "policy": "default"}

_WALLETS = [wallet(number) for number in range(WALLETS)]
_RUN = new_transfer_id().removeprefix("tr_")[:14]
_numbers = itertools.count()


def _new_id(prefix: str) -> str:
    """Return an id that sorts by age, as those that callers make and save beforehand."""
    return f"{prefix}{_RUN}{next(_numbers):012d}"


Caller = Callable[[], AsyncGenerator[object]]
"""One caller's endless work; each step that it yields is one change that has been committed."""


def posting(source: str, target: str) -> Change:
    """Return one transfer between two accounts: a header, two entries, two balances."""
    return Change(
        key=f"{_new_id('tr_')}/transfer",
        kind="transfer",
        actor="benchmark",
        legs=postings.transfer(source, target, CURRENCY, amount_minor=AMOUNT_MINOR),
        effective_on=DAY,
    )


def two_wallets() -> tuple[str, str]:
    """Return two different wallets, any two."""
    half = len(_WALLETS) // 2
    source, target = int(random.random() * half), int(random.random() * half)  # noqa: S311
    return _WALLETS[source], _WALLETS[half + target]


def plain(books: Books) -> Caller:
    """Callers who post between any two wallets."""

    async def work() -> AsyncGenerator[object]:
        while True:
            yield _booked(await books.write(posting(*two_wallets())))

    return work


def hot(books: Books) -> Caller:
    """Callers who all take from one wallet, whose floor is judged at each posting."""

    async def work() -> AsyncGenerator[object]:
        while True:
            yield _booked(await books.write(posting(wallet(0), two_wallets()[1])))

    return work


def direct(connect: Callable[[], Awaitable[asyncpg.Connection]]) -> Caller:
    """Callers who each commit alone, on their own connections, through the same function."""

    async def work() -> AsyncGenerator[object]:
        connection = await connect()
        try:
            while True:
                change = posting(*two_wallets())
                rows = rows_of([(change, change.digest())])
                told = await connection.fetch(WRITE, *rows.arguments())
                yield _booked(next(answers([change], told)))
        finally:
            connection.terminate()

    return work


def payouts(books: Books) -> Caller:
    """Callers who take payout after payout from its opening to settled, four steps each."""

    async def work() -> AsyncGenerator[object]:
        while True:
            for step in payout_steps(_new_id("po_"), two_wallets()[0]):
                yield _booked(await books.write(step))

    return work


def payout_steps(payout_id: str, account: str) -> tuple[Change, ...]:
    """Return a payout's changes: hold, claim, capture, settle."""
    hold_key = f"{payout_id}/hold"
    key = attempt_key(payout_id, 1)
    opened = AttemptOpened(
        ordinal=1, key=key, partner=PARTNER, wire_hash="a" * 64, content_hash=CONTENT_HASH
    )
    accepted = AttemptClosed(key=key, result="accepted", partner_ref=f"bank-{payout_id}")
    held = postings.hold(account, CURRENCY, amount_minor=AMOUNT_MINOR, fee_minor=FEE_MINOR)
    captured = postings.capture(
        hold_key, account, PARTNER, CURRENCY, amount_minor=AMOUNT_MINOR, fee_minor=FEE_MINOR
    )
    settled = postings.settle(PARTNER, CURRENCY, amount_minor=AMOUNT_MINOR)
    return (
        _opening(payout_id, account, held),
        _step(payout_id, "claim", Move(before=S.RESERVED, after=S.SUBMITTING), (), opened),
        _step(
            payout_id, "capture", Move(before=S.SUBMITTING, after=S.SUBMITTED), captured, accepted
        ),
        _step(payout_id, "settle", Move(before=S.SUBMITTED, after=S.SETTLED), settled, None),
    )


def _opening(payout_id: str, account: str, legs: tuple[Leg, ...]) -> Change:
    return Change(
        key=f"{payout_id}/hold",
        kind="hold",
        actor="benchmark",
        payment_id=payout_id,
        opens=Registration(
            kind=PaymentKind.PAYOUT,
            tenant="main",
            account=account,
            currency=CURRENCY,
            amount_minor=AMOUNT_MINOR,
            fee_minor=FEE_MINOR,
            partner=PARTNER,
            content_hash=CONTENT_HASH,
            request=REQUEST,
            terms=TERMS,
            created_by="orders",
        ),
        moves=(Move(before=None, after=S.RECEIVED), Move(before=S.RECEIVED, after=S.RESERVED)),
        if_refused=S.REFUSED,
        legs=legs,
        effective_on=DAY,
    )


def _step(
    payout_id: str,
    kind: str,
    move: Move,
    legs: tuple[Leg, ...],
    attempt: AttemptOpened | AttemptClosed | None,
) -> Change:
    return Change(
        key=f"{payout_id}/{kind}/1",
        kind=kind,
        actor=f"partner:{PARTNER}",
        payment_id=payout_id,
        moves=(move,),
        legs=legs,
        effective_on=DAY,
        evidence_id=f"event/{payout_id}",
        attempt=attempt,
    )


def _booked(written: object) -> Written:
    """Return the answer; a refusal in a benchmark means that it measures something else."""
    if not isinstance(written, Written) or written.refusal or written.stale or written.repeated:
        raise RuntimeError(f"the books did not take a posting of the benchmark: {written!r}")
    return written
