"""The chart of accounts: the path, kind and bounds of every account that the books know."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.books import AccountToOpen

ASSET = "asset"
LIABILITY = "liability"
EQUITY = "equity"
INCOME = "income"
EXPENSE = "expense"

PAYOUT = "payout"
TRANSFER = "transfer"
"""The products that fees are taken for."""

_SIDES = {ASSET: -1, EXPENSE: -1, LIABILITY: 1, EQUITY: 1, INCOME: 1}


def side(kind: str) -> int:
    """Return the sign of an account's own side: -1 for assets and expenses, 1 for all others.

    Entries have credits positive; an entry times the side is a change as the owner sees it.

    Raises:
        ValueError: There is no such kind of account.
    """
    try:
        return _SIDES[kind]
    except KeyError:
        raise ValueError(f"{kind!r} is not a kind of account: {', '.join(_SIDES)}") from None


def wallet(owner: str, currency: str) -> str:
    """Return the path of a customer's money with us."""
    return f"wallet/{owner}/{currency}"


def nostro(partner: str, currency: str) -> str:
    """Return the path of our money at a partner, a mirror of the partner's own book."""
    return f"nostro/{partner}/{currency}"


def transit_out(partner: str, currency: str) -> str:
    """Return the path of money that a partner has accepted to pay and has not booked yet."""
    return f"transit/out/{partner}/{currency}"


def suspense_in(partner: str, currency: str) -> str:
    """Return the path of money that came in and has no known owner yet."""
    return f"suspense/in/{partner}/{currency}"


def suspense_out(partner: str, currency: str) -> str:
    """Return the path of money that went out without a reason known to us."""
    return f"suspense/out/{partner}/{currency}"


def returns_due(partner: str, currency: str) -> str:
    """Return the path of returns that a partner has told of, with the money not back yet."""
    return f"returns_due/{partner}/{currency}"


def fees(product: str, currency: str) -> str:
    """Return the path of what we earn with a product: payout or transfer."""
    return f"fees/{product}/{currency}"


def cost(partner: str, currency: str) -> str:
    """Return the path of what a partner keeps for its work."""
    return f"cost/{partner}/{currency}"


def loss(reason: str, currency: str) -> str:
    """Return the path of what we bear ourselves, by its reason, such as partner or fraud."""
    return f"loss/{reason}/{currency}"


def loss_account(path: str) -> AccountToOpen:
    """Return an account of losses.

    Raises:
        ValueError: The path is not of the form loss/<reason>/<currency>.
    """
    parts = path.split("/")
    if len(parts) != 3 or parts[0] != "loss" or not all(parts):
        raise ValueError(f"{path!r} is no account of losses; write loss/<reason>/<currency>")
    return AccountToOpen(path=path, kind=EXPENSE, currency=parts[2])


def own(currency: str) -> str:
    """Return the path of our own capital in a currency."""
    return f"own/{currency}"


def wallet_account(path: str, tenant: str) -> AccountToOpen:
    """Return the account of a customer: never below 0, holds included.

    Raises:
        ValueError: The path is not of the form wallet/<owner>/<currency>.
    """
    parts = path.split("/")
    if len(parts) != 3 or parts[0] != "wallet" or not all(parts):
        raise ValueError(f"{path!r} is not a wallet; write wallet/<owner>/<currency>")
    return AccountToOpen(path=path, kind=LIABILITY, currency=parts[2], tenant=tenant, floor_minor=0)


def rail_accounts(partner: str, currencies: Iterable[str]) -> list[AccountToOpen]:
    """Return every account of ours that payments through a partner need, for each currency."""
    return [
        account for currency in currencies for account in _accounts_of_a_rail(partner, currency)
    ]


def _accounts_of_a_rail(partner: str, currency: str) -> list[AccountToOpen]:
    def bounded(path: str, kind: str, *, soft: bool = False) -> AccountToOpen:
        return AccountToOpen(path=path, kind=kind, currency=currency, floor_minor=0, soft=soft)

    def free(path: str, kind: str) -> AccountToOpen:
        return AccountToOpen(path=path, kind=kind, currency=currency)

    return [
        # A line of the bank's is a fact: it is booked even where it takes the account below 0.
        bounded(nostro(partner, currency), ASSET, soft=True),
        bounded(transit_out(partner, currency), LIABILITY),
        bounded(suspense_in(partner, currency), LIABILITY),
        bounded(suspense_out(partner, currency), ASSET),
        bounded(returns_due(partner, currency), ASSET),
        free(cost(partner, currency), EXPENSE),
        free(fees(PAYOUT, currency), INCOME),
        free(fees(TRANSFER, currency), INCOME),
        free(own(currency), EQUITY),
    ]
