"""Every step balances, holds net out, and every life ends with the money where it belongs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.money import AMOUNT_MINOR_MAX
from ledger import accounts, postings
from ledger.changes import Leg

WALLET = accounts.wallet("acme", "EUR")
OTHER = accounts.wallet("zenith", "EUR")
NOSTRO = accounts.nostro("bank", "EUR")
TRANSIT = accounts.transit_out("bank", "EUR")
HOLD = "po_1/hold"

amounts = st.integers(min_value=1, max_value=AMOUNT_MINOR_MAX)
extras = st.integers(min_value=0, max_value=AMOUNT_MINOR_MAX)

STEPS: dict[str, Callable[[int, int], tuple[Leg, ...]]] = {
    "hold": lambda x, f: postings.hold(WALLET, "EUR", amount_minor=x, fee_minor=f),
    "capture": lambda x, f: postings.capture(
        HOLD, WALLET, "bank", "EUR", amount_minor=x, fee_minor=f
    ),
    "void": lambda x, f: postings.void(HOLD, WALLET, "EUR", amount_minor=x, fee_minor=f),
    "settle": lambda x, c: postings.settle("bank", "EUR", amount_minor=x, cost_minor=c),
    "uncapture": lambda x, f: postings.uncapture(
        WALLET, "bank", "EUR", amount_minor=x, fee_minor=f
    ),
    "returned": lambda x, k: postings.returned(
        WALLET, "bank", "EUR", amount_minor=x + k, kept_minor=k
    ),
    "return_told": lambda x, _: postings.return_told(WALLET, "bank", "EUR", amount_minor=x),
    "return_money": lambda x, k: postings.return_money(
        "bank", "EUR", amount_minor=x + k, kept_minor=k
    ),
    "fee": lambda x, _: postings.fee(WALLET, "payout", "EUR", amount_minor=x),
    "transfer": lambda x, f: postings.transfer(WALLET, OTHER, "EUR", amount_minor=x, fee_minor=f),
    "deposit": lambda x, _: postings.deposit(WALLET, "bank", "EUR", amount_minor=x),
    "deposit_unowned": lambda x, _: postings.deposit_unowned("bank", "EUR", amount_minor=x),
    "assign": lambda x, _: postings.assign(WALLET, "bank", "EUR", amount_minor=x),
    "paid_after_failed": lambda x, _: postings.paid_after_failed("bank", "EUR", amount_minor=x),
}


class Sheet:
    """What the accounts say after some steps, on each account's own side."""

    def __init__(self, *steps: Sequence[Leg]) -> None:
        self.posted: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        kinds = {row.path: row.kind for row in accounts.rail_accounts("bank", ["EUR"])}
        for leg in (leg for legs in steps for leg in legs):
            kind = kinds.get(leg.account, accounts.LIABILITY)
            self.posted[leg.account] += accounts.side(kind) * leg.delta
            self.held[leg.account] += leg.held

    def moved(self) -> dict[str, int]:
        """Return the accounts whose balance is not 0."""
        return {path: amount for path, amount in self.posted.items() if amount}

    def holding(self) -> dict[str, int]:
        """Return the accounts on which something is held."""
        return {path: amount for path, amount in self.held.items() if amount}


@pytest.mark.parametrize("step", STEPS)
@given(amount=amounts, extra=extras)
def test_every_step_sums_to_zero_in_its_currency(step: str, amount: int, extra: int) -> None:
    sums: dict[str, int] = defaultdict(int)
    for leg in STEPS[step](amount, extra):
        sums[leg.currency] += leg.delta
    assert dict(sums) == {"EUR": 0}


@pytest.mark.parametrize("step", STEPS)
@given(amount=amounts, extra=extras)
def test_no_step_has_a_leg_that_does_nothing_or_an_account_twice(
    step: str, amount: int, extra: int
) -> None:
    legs = STEPS[step](amount, extra)
    assert all(leg.delta or leg.held for leg in legs)
    assert len({leg.account for leg in legs}) == len(legs)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("amount", [0, -1])
def test_no_step_takes_an_amount_that_is_not_above_zero(step: str, amount: int) -> None:
    with pytest.raises(ValueError, match="above 0 minor units"):
        STEPS[step](amount, 0)


@pytest.mark.parametrize(
    "step", ["hold", "capture", "void", "settle", "uncapture", "returned", "transfer"]
)
def test_no_step_takes_a_fee_or_cost_below_zero(step: str) -> None:
    with pytest.raises(ValueError, match="below 0 minor units"):
        STEPS[step](10, -1)


def test_a_partner_cannot_keep_more_than_came_back() -> None:
    with pytest.raises(ValueError, match="cannot keep 11 of 10"):
        postings.returned(WALLET, "bank", "EUR", amount_minor=10, kept_minor=11)
    with pytest.raises(ValueError, match="cannot keep 11 of 10"):
        postings.return_money("bank", "EUR", amount_minor=10, kept_minor=11)


def test_a_partner_can_keep_all_that_came_back() -> None:
    sheet = Sheet(postings.returned(WALLET, "bank", "EUR", amount_minor=10, kept_minor=10))
    assert sheet.moved() == {WALLET: 10, accounts.cost("bank", "EUR"): 10}


def test_money_cannot_be_transferred_to_where_it_is() -> None:
    with pytest.raises(ValueError, match="both source and destination"):
        postings.transfer(WALLET, WALLET, "EUR", amount_minor=10)


def test_a_hold_moves_nothing_and_names_no_other_hold() -> None:
    assert postings.hold(WALLET, "EUR", amount_minor=100, fee_minor=5) == (
        Leg(account=WALLET, currency="EUR", held=105),
    )


def test_only_a_void_gives_held_money_back() -> None:
    (void,) = postings.void(HOLD, WALLET, "EUR", amount_minor=100, fee_minor=5)
    captured = postings.capture(HOLD, WALLET, "bank", "EUR", amount_minor=100, fee_minor=5)[0]
    assert (void.held, void.delta, void.hold, void.releases) == (-105, 0, HOLD, True)
    assert (captured.held, captured.delta, captured.hold) == (-105, -105, HOLD)
    assert not captured.releases


@given(amount=amounts, fee=extras, cost=extras)
def test_a_settled_payout_leaves_the_wallet_and_the_nostro_by_what_was_paid(
    amount: int, fee: int, cost: int
) -> None:
    sheet = Sheet(
        postings.deposit(WALLET, "bank", "EUR", amount_minor=amount + fee),
        postings.hold(WALLET, "EUR", amount_minor=amount, fee_minor=fee),
        postings.capture(HOLD, WALLET, "bank", "EUR", amount_minor=amount, fee_minor=fee),
        postings.settle("bank", "EUR", amount_minor=amount, cost_minor=cost),
    )
    assert sheet.holding() == {}
    assert sheet.posted[WALLET] == 0
    assert sheet.posted[TRANSIT] == 0
    assert sheet.posted[NOSTRO] == fee - cost
    assert sheet.posted[accounts.fees("payout", "EUR")] == fee
    assert sheet.posted[accounts.cost("bank", "EUR")] == cost


@given(amount=amounts, fee=extras)
def test_an_accepted_payout_stands_in_transit_and_not_in_the_nostro(amount: int, fee: int) -> None:
    sheet = Sheet(
        postings.hold(WALLET, "EUR", amount_minor=amount, fee_minor=fee),
        postings.capture(HOLD, WALLET, "bank", "EUR", amount_minor=amount, fee_minor=fee),
    )
    assert sheet.posted[TRANSIT] == amount
    assert sheet.posted[WALLET] == -amount - fee
    assert sheet.posted[NOSTRO] == 0


@given(amount=amounts, fee=extras)
def test_a_voided_or_uncaptured_payout_leaves_no_trace_in_any_balance(
    amount: int, fee: int
) -> None:
    held = postings.hold(WALLET, "EUR", amount_minor=amount, fee_minor=fee)
    voided = Sheet(held, postings.void(HOLD, WALLET, "EUR", amount_minor=amount, fee_minor=fee))
    uncaptured = Sheet(
        held,
        postings.capture(HOLD, WALLET, "bank", "EUR", amount_minor=amount, fee_minor=fee),
        postings.uncapture(WALLET, "bank", "EUR", amount_minor=amount, fee_minor=fee),
    )
    for sheet in (voided, uncaptured):
        assert sheet.moved() == {}
        assert sheet.holding() == {}


@given(first=amounts, second=amounts, rest=amounts)
def test_a_hold_can_be_captured_in_parts_and_its_rest_released(
    first: int, second: int, rest: int
) -> None:
    sheet = Sheet(
        postings.hold(WALLET, "EUR", amount_minor=first + second + rest),
        postings.capture(HOLD, WALLET, "bank", "EUR", amount_minor=first),
        postings.capture(HOLD, WALLET, "bank", "EUR", amount_minor=second),
        postings.void(HOLD, WALLET, "EUR", amount_minor=rest),
    )
    assert sheet.holding() == {}
    assert sheet.moved() == {WALLET: -first - second, TRANSIT: first + second}


@given(amount=amounts, fee=extras, kept=extras)
def test_a_returned_payout_gives_the_principal_back_in_one_step_as_in_two(
    amount: int, fee: int, kept: int
) -> None:
    came_back = amount + kept
    life = (
        postings.hold(WALLET, "EUR", amount_minor=came_back, fee_minor=fee),
        postings.capture(HOLD, WALLET, "bank", "EUR", amount_minor=came_back, fee_minor=fee),
        postings.settle("bank", "EUR", amount_minor=came_back),
    )
    at_once = Sheet(
        *life,
        postings.returned(WALLET, "bank", "EUR", amount_minor=came_back, kept_minor=kept),
    )
    in_two = Sheet(
        *life,
        postings.return_told(WALLET, "bank", "EUR", amount_minor=came_back),
        postings.return_money("bank", "EUR", amount_minor=came_back, kept_minor=kept),
    )
    assert at_once.moved() == in_two.moved()
    assert at_once.posted[WALLET] == -fee
    assert at_once.posted[NOSTRO] == -kept
    assert at_once.posted[accounts.cost("bank", "EUR")] == kept


def test_a_return_that_was_told_is_owed_by_the_partner_until_the_money_is_there() -> None:
    told = Sheet(postings.return_told(WALLET, "bank", "EUR", amount_minor=70))
    assert told.moved() == {WALLET: 70, accounts.returns_due("bank", "EUR"): 70}


@given(amount=amounts, fee=extras)
def test_a_transfer_takes_the_fee_from_the_source_only(amount: int, fee: int) -> None:
    sheet = Sheet(postings.transfer(WALLET, OTHER, "EUR", amount_minor=amount, fee_minor=fee))
    assert sheet.posted[WALLET] == -amount - fee
    assert sheet.posted[OTHER] == amount
    assert sheet.posted[accounts.fees("transfer", "EUR")] == fee


@given(amount=amounts)
def test_money_without_an_owner_ends_in_the_wallet_it_is_assigned_to(amount: int) -> None:
    waiting = postings.deposit_unowned("bank", "EUR", amount_minor=amount)
    assert Sheet(waiting).moved() == {NOSTRO: amount, accounts.suspense_in("bank", "EUR"): amount}
    assigned = Sheet(waiting, postings.assign(WALLET, "bank", "EUR", amount_minor=amount))
    assert assigned.moved() == {NOSTRO: amount, WALLET: amount}


@given(amount=amounts)
def test_a_payment_made_after_it_had_failed_waits_in_suspense(amount: int) -> None:
    sheet = Sheet(postings.paid_after_failed("bank", "EUR", amount_minor=amount))
    assert sheet.moved() == {NOSTRO: -amount, accounts.suspense_out("bank", "EUR"): amount}


def test_a_separate_fee_is_income_of_its_product() -> None:
    sheet = Sheet(postings.fee(WALLET, "transfer", "EUR", amount_minor=3))
    assert sheet.moved() == {WALLET: -3, accounts.fees("transfer", "EUR"): 3}


def test_a_rail_has_every_account_that_its_postings_touch() -> None:
    opened = {row.path for row in accounts.rail_accounts("bank", ["EUR", "JPY"])}
    touched = {leg.account for step in STEPS.values() for leg in step(5, 1)}
    assert touched - opened == {WALLET, OTHER}
    assert {path.rpartition("/")[2] for path in opened} == {"EUR", "JPY"}


def test_only_the_mirror_of_the_bank_may_pass_its_floor() -> None:
    rows = {row.path: row for row in accounts.rail_accounts("bank", ["EUR"])}
    assert [path for path, row in rows.items() if row.soft] == [NOSTRO]
    bounded = {path for path, row in rows.items() if row.floor_minor == 0}
    assert {path.split("/")[0] for path in bounded} == {
        "nostro",
        "transit",
        "suspense",
        "returns_due",
    }


def test_a_wallet_never_goes_below_zero_and_holds_its_paths_currency() -> None:
    row = accounts.wallet_account("wallet/acme/JPY", "main")
    assert (row.kind, row.currency, row.tenant) == ("liability", "JPY", "main")
    assert (row.floor_minor, row.ceiling_minor, row.soft) == (0, None, False)


@pytest.mark.parametrize("path", ["nostro/bank/EUR", "wallet/acme", "wallet//EUR", "wallet/a/b/c"])
def test_a_path_that_is_no_wallet_is_not_opened_as_one(path: str) -> None:
    with pytest.raises(ValueError, match="is not a wallet"):
        accounts.wallet_account(path, "main")


def test_assets_and_expenses_grow_by_debits_and_all_others_by_credits() -> None:
    kinds = ("asset", "expense", "liability", "equity", "income")
    assert [accounts.side(kind) for kind in kinds] == [-1, -1, 1, 1, 1]
    with pytest.raises(ValueError, match="not a kind of account"):
        accounts.side("wallet")
