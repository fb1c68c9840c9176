"""Random batches: the set-based function answers as the serial model does, change by change."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import asyncpg
import pytest

from bursar.ids import attempt_key
from bursar.payments import PaymentState
from ledger.accounts import side
from ledger.batch import WRITE, rows_of, touched
from ledger.books import AccountToOpen
from ledger.changes import AttemptOpened, Change, Leg
from ledger.postgres import PostgresBooks
from tests.ledger.model import Answer, Model, ModelAccount
from tests.ledger.steps import breaks, change, moves, registration

S = PaymentState
ACCOUNTS = (
    AccountToOpen(path="wallet/a/EUR", kind="liability", currency="EUR", floor_minor=0),
    AccountToOpen(path="wallet/b/EUR", kind="liability", currency="EUR", floor_minor=-50),
    AccountToOpen(path="wallet/shut/EUR", kind="liability", currency="EUR", floor_minor=0),
    AccountToOpen(path="owed/c/EUR", kind="asset", currency="EUR", ceiling_minor=120),
    AccountToOpen(path="nostro/bank/EUR", kind="asset", currency="EUR", floor_minor=0, soft=True),
    AccountToOpen(path="own/EUR", kind="equity", currency="EUR"),
)
USUAL_CONTENT = "c" * 64
"""The content hash of most payments; another one is a conflict."""
PATHS = [account.path for account in ACCOUNTS]


class Deck:
    """Deals changes at random, over few accounts, holds, payments and keys, so that they meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  a test's dice
        self.count = 0
        self.dealt: list[Change] = []
        self.holds: list[tuple[str, str]] = []

    def batch(self) -> list[Change]:
        """Return changes of which no two share a key, payment or hold, as the scribe sends them."""
        batch: list[Change] = []
        busy: set[str] = set()
        for _ in range(self.random.randint(1, 40)):
            one = self._deal()
            names = touched(one) | {one.key}
            if busy.isdisjoint(names):
                busy |= names
                batch.append(one)
        for one in batch:
            self.dealt.append(one)
            self.holds += [(one.key, leg.account) for leg in one.legs if leg.held > 0]
        return batch

    def _deal(self) -> Change:
        self.count += 1
        kinds = [self._legs, self._legs, self._hold, self._spend, self._again, self._open]
        return self.random.choice([*kinds, self._step])()

    def _legs(self) -> Change:
        amounts = [self.random.randint(-60, 60) or 1 for _ in range(self.random.randint(1, 3))]
        paths = self.random.sample(PATHS, len(amounts) + 1)
        legs = [
            Leg(account=path, currency="EUR", delta=amount)
            for path, amount in zip(paths, [*amounts, -sum(amounts)], strict=True)
            if amount
        ]
        return change(f"t/{self.count}", *legs, evidence_id="line")

    def _hold(self) -> Change:
        path = self.random.choice(PATHS)
        held = Leg(account=path, currency="EUR", held=self.random.randint(1, 80))
        return change(f"h/{self.count}", held)

    def _spend(self) -> Change:
        if not self.holds:
            return self._hold()
        key, path = self.random.choice(self.holds)
        amount = self.random.randint(1, 60)
        taken = Leg(account=path, currency="EUR", delta=-amount, held=-amount, hold=key)
        freed = Leg(account=path, currency="EUR", held=-amount, hold=key, releases=True)
        back = Leg(account=path, currency="EUR", delta=amount, hold=key)
        own = "nostro/bank/EUR" if path == "own/EUR" else "own/EUR"
        other = Leg(account=own, currency="EUR", delta=amount)
        undone = Leg(account=own, currency="EUR", delta=-amount)
        legs = self.random.choice([[taken, other], [freed], [taken, freed, other], [back, undone]])
        return change(f"s/{self.count}", *legs, evidence_id="line")

    def _again(self) -> Change:
        if not self.dealt:
            return self._legs()
        old = self.random.choice(self.dealt)
        return old if self.random.random() < 0.7 else old._replace(kind="other")

    def _open(self) -> Change:
        payment = f"po_{self.random.randint(1, 60)}"
        held = Leg(account="wallet/a/EUR", currency="EUR", held=self.random.randint(1, 90))
        return change(
            f"{payment}/hold/{self.random.randint(1, 2)}",
            held,
            payment_id=payment,
            opens=registration(1, content=self.random.choice([*[USUAL_CONTENT] * 3, "d" * 64])),
            moves=moves(None, S.RECEIVED, S.RESERVED),
            if_refused=self.random.choice([S.REFUSED, None]),
        )

    def _step(self) -> Change:
        known = sorted({one.payment_id for one in self.dealt if one.payment_id})
        if not known:
            return self._open()
        payment = self.random.choice(known)
        path = self.random.choice(
            [(S.RESERVED, S.SUBMITTING), (S.RESERVED, S.CANCELLED), (S.SUBMITTING, S.FAILED)]
        )
        move: dict[str, object] = {"moves": moves(*path), "evidence_id": "line"}
        if path[1] is S.CANCELLED:
            held = Leg(account="wallet/a/EUR", currency="EUR", held=self.random.randint(1, 90))
            return change(f"x/{self.count}", held, payment_id=payment, **move)
        if path[1] is S.SUBMITTING:  # only a claim moves there, for the payment's own content
            move["attempt"] = AttemptOpened(
                ordinal=1,
                key=attempt_key(payment, 1),
                partner="bank",
                wire_hash="a" * 64,
                content_hash=USUAL_CONTENT,
            )
        return change(f"x/{self.count}", payment_id=payment, **move)


def models() -> Iterator[tuple[str, ModelAccount]]:
    for account in ACCOUNTS:
        yield (
            account.path,
            ModelAccount(
                side=side(account.kind),
                floor=account.floor_minor,
                ceiling=account.ceiling_minor,
                soft=account.soft,
                closed="shut" in account.path,
            ),
        )


async def answers(connection: asyncpg.Connection, batch: list[Change]) -> list[Answer]:
    rows = await connection.fetch(
        WRITE, *rows_of([(one, one.digest()) for one in batch]).arguments()
    )
    told = {row["n"]: Answer(row["fate"], row["refusal"], row["state"]) for row in rows}
    return [told.get(n, Answer("written", None, None)) for n, _ in enumerate(batch, start=1)]


ROUNDS = int(os.environ.get("BURSAR_TEST_ROUNDS", "40"))


@pytest.mark.parametrize("seed", range(4))
async def test_the_function_agrees_with_a_serial_model(
    books_url: str, owner: asyncpg.Connection, seed: int
) -> None:
    async with PostgresBooks.open(books_url, lanes=1, pool_size=1) as books:
        await books.open_accounts(ACCOUNTS)
    await owner.execute(
        "update balances set closed = true from accounts where id = account_id and path ~ 'shut'"
    )
    model, deck = Model(dict(models())), Deck(seed)
    seen: set[tuple[str, str | None]] = set()
    connection = await asyncpg.connect(books_url)
    try:
        for _ in range(ROUNDS):
            batch = [one for one in deck.batch() if is_known(model, one)]
            if not batch:
                continue
            expected = [model.write(one) for one in batch]
            assert await answers(connection, batch) == expected, [one.key for one in batch]
            seen |= {(answer.fate, answer.refusal) for answer in expected}
            assert await balances(owner) == {
                path: (account.posted, account.held, account.seq)
                for path, account in model.accounts.items()
            }
    finally:
        await connection.close()
    assert {fate for fate, _ in seen} == {"written", "repeated", "conflict", "stale"}
    assert {refusal for _, refusal in seen} == {
        None,
        "insufficient_funds",
        "ceiling_exceeded",
        "account_closed",
        "hold_spent",
    }
    assert await breaks(books_url, legs_only=True) == []


def is_known(model: Model, one: Change) -> bool:
    """Tell whether all that a change builds upon was ever answered; else it is a caller's bug."""
    built_upon = {leg.hold for leg in one.legs if leg.hold is not None}
    registered = one.payment_id is None or one.opens or one.payment_id in model.payments
    claims = isinstance(one.attempt, AttemptOpened) and one.payment_id in model.payments
    own = not claims or model.payments[one.payment_id or ""][0] == USUAL_CONTENT
    return bool(built_upon <= model.keys.keys() and registered and own)


async def balances(owner: asyncpg.Connection) -> dict[str, tuple[int, int, int]]:
    rows = await owner.fetch(
        "select path, posted, held, seq from balances join accounts on id = account_id"
    )
    return {row["path"]: (row["posted"], row["held"], row["seq"]) for row in rows}
