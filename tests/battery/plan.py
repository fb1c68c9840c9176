"""The plan: every payment of a run, and what its backend does with it; all from one seed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bursar import IbanAccount, Money, PayoutRequest, TransferRequest
from bursar.beneficiaries import UsAccount
from partners.simulator.bank.misbehaviour import GROUP_OF

PARTNERS = {"keyed": 0.55, "lookup": 0.2, "statement": 0.15, "blind": 0.1}
"""The four personalities, by name in this installation, and their shares of the payouts."""
MODES = {
    "keyed": "keys_and_lookup",
    "lookup": "lookup_only",
    "statement": "statement_only",
    "blind": "neither",
}
CURRENCIES = {"EUR": 0.45, "USD": 0.15, "JPY": 0.15, "KWD": 0.1, "GBP": 0.15}
OWNERS = ("hot", "acme", "bolt", "cargo", "dune")
OWNER_WEIGHTS = (40, 20, 15, 15, 10)
THIN = "wallet/thin/EUR"
"""A wallet with money for half of what is asked of it at the same time."""
THIN_MINOR = 50_000
RICH_MINOR = 10_000_000_000
ABOVE_ALL = 900_000_000_000

MAKER = "service:backend"
APPROVERS = ("ana", "ben")


def _known(*names: str) -> tuple[str, ...]:
    """Return those of the names that this bank knows as misbehaviours."""
    return tuple(name for name in names if name in GROUP_OF)


CONTRADICTIONS = _known(
    *("rejected-but-paid", "failed-but-paid", "paid-but-told-failed"),
    *("status-rolled-back-for-good", "returned-twice", "paid-twice", "phantom-debit"),
)
"""What the bank does against its own word, or by mistake."""
RETURNS = _known(
    *("paid-then-returned", "paid-then-returned-less-fee", "partial-return"),
    *("returned-in-two-parts", "return-before-paid"),
)
CREDIT_FIRST = "webhook-credit-first"
"""One in three returns: the bank tells it as any money that came in before it tells what it is."""
ON_TOP = {
    "webhook": _known(
        *("webhook-doubled", "webhook-doubled-new-ids", "webhook-out-of-order", "webhook-late"),
        *("webhook-before-reply", "webhook-wrongly-signed"),
    ),
    "answer": _known("reset-after-booking", "timeout-after-booking", "500-after-booking"),
    "lookup": _known("not-found-for-a-while"),
}
"""What a bank may do wrong beside, by what it touches. The true event of a return or contradiction
comes in the end: nothing else would tell of it."""
NOES = _known("reject", "accepted-then-failed")
BREACHES = frozenset({"paid-twice", "returned-twice"})
"""Mistakes with which the bank breaks its promises: counted apart, and found by its own events."""


@dataclass(frozen=True)
class Deed:
    """One payment of the plan, and what else is done about it."""

    number: int
    request: dict[str, Any]
    """Without the moment of a scheduled payment, which comes when it is sent."""
    kind: str
    wait: float | None = None
    """Seconds after which a scheduled payment is due."""
    cancel_after: float | None = None
    again: bool = False
    other_content: bool = False
    ask: bool = False
    words: tuple[tuple[str, str], ...] = field(default=())
    """Who says what of it: (person, approve or deny)."""


def payment_id(kind: str, seed: int, number: int) -> str:
    """Return the id of a payment: the same for the same seed."""
    return f"{'po' if kind == 'payout' else 'tr'}_s{seed}_{number:06}"


def deed(seed: int, number: int, contradictions: float = 0.0) -> Deed:
    """Return one payment of the plan; the same for the same arguments.

    Args:
        seed: Of the run.
        number: Of the payment.
        contradictions: Share of payouts about which the bank with keys contradicts itself.
    """
    rng = random.Random(f"{seed}/{number}")  # noqa: S311  a plan, no secret
    if rng.random() < 0.12:
        return _transfer(rng, seed, number)
    return _payout(rng, seed, number, contradictions)


def _chance(rng: random.Random, probability: float) -> bool:
    return rng.random() < probability


def _pick(rng: random.Random, weights: dict[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _payout(rng: random.Random, seed: int, number: int, contradictions: float) -> Deed:
    currency = _pick(rng, CURRENCIES)
    partner = _pick(rng, PARTNERS)
    account = f"wallet/{rng.choices(OWNERS, OWNER_WEIGHTS)[0]}/{currency}"
    amount_minor = rng.randint(1_00, 2_000_00)
    words: tuple[tuple[str, str], ...] = ()
    if currency == "GBP" and _chance(rng, 0.6):
        amount_minor, words = _approved(rng)
    if currency == "EUR" and _chance(rng, 0.15):
        account, amount_minor = THIN, rng.randint(40_00, 60_00)
    elif _chance(rng, 0.02):
        amount_minor = ABOVE_ALL
    marker = _marker(rng, number, contradictions if partner == "keyed" else 0.0)
    request = {
        "id": payment_id("payout", seed, number),
        "account": account,
        "amount": {"amount_minor": amount_minor, "currency": currency},
        "beneficiary": _beneficiary(rng, currency),
        "partner": partner if partner != "keyed" or _chance(rng, 0.8) else None,
        "reference": f"Order {number} {marker}".strip(),
        "created_by": MAKER,
    }
    return Deed(number, request, "payout", words=words, **_more(rng))


def _approved(rng: random.Random) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Return an amount that needs one or two approvals, and what people say of it."""
    both = _chance(rng, 0.5)
    amount_minor = rng.randint(5_000_00, 9_000_00) if both else rng.randint(2_500_00, 4_900_00)
    chance = rng.random()
    if chance < 0.1:
        return amount_minor, ((rng.choice(APPROVERS), "deny"),)
    if chance < 0.15:
        return amount_minor, ()  # nobody says anything: it expires
    enough = both and chance < 0.75  # else one is not enough for two, and it expires
    people = APPROVERS if enough else (rng.choice(APPROVERS),)
    return amount_minor, tuple((person, "approve") for person in people)


def _marker(rng: random.Random, number: int, contradictions: float) -> str:
    """Return what the bank is told to do wrong, where that is not left to its mix."""
    chance, on_top = rng.random(), _chance(rng, 0.3)
    for share, kinds in ((0.06, RETURNS), (0.05, NOES), (contradictions, CONTRADICTIONS)):
        if chance < share:
            kind = kinds[number % len(kinds)]  # so that each kind has its turn
            if kinds is RETURNS and number % 3 == 0:
                return f"[sim:{kind}][sim:{CREDIT_FIRST}]"
            return f"[sim:{kind}]{_beside(rng, kind) if on_top else ''}"
        chance -= share
    return ""


def _beside(rng: random.Random, kind: str) -> str:
    """Return what else goes wrong with a payout, of another group than its first misbehaviour."""
    free = [name for group, names in ON_TOP.items() if group != GROUP_OF[kind] for name in names]
    return f"[sim:{rng.choice(free)}]"


def _beneficiary(rng: random.Random, currency: str) -> dict[str, Any]:
    name = rng.choice(("Anna Müller", "José Díaz", "Łukasz Żak", "Zoë Brontë", "Grace Hopper"))
    if currency == "USD":
        return UsAccount(
            name=name, routing_number="021000021", account_number=str(rng.randint(10**8, 10**9))
        ).model_dump(mode="json")
    return IbanAccount(name=name, iban="DE89370400440532013000").model_dump(mode="json")


def _more(rng: random.Random) -> dict[str, Any]:
    """Return what is done about a payment beside starting it."""
    return {
        "wait": rng.uniform(1.0, 6.0) if _chance(rng, 0.05) else None,
        "cancel_after": rng.uniform(0.0, 3.0) if _chance(rng, 0.08) else None,
        "again": _chance(rng, 0.06),
        "other_content": _chance(rng, 0.02),
        "ask": _chance(rng, 0.1),
    }


def _transfer(rng: random.Random, seed: int, number: int) -> Deed:
    currency = _pick(rng, CURRENCIES)
    source, destination = rng.sample(OWNERS, 2)
    amount_minor = ABOVE_ALL if _chance(rng, 0.05) else rng.randint(1, 500_00)
    words: tuple[tuple[str, str], ...] = ()
    if currency == "GBP" and amount_minor != ABOVE_ALL and _chance(rng, 0.7):
        amount_minor, words = _approved(rng)
    request = {
        "id": payment_id("transfer", seed, number),
        "source": f"wallet/{source}/{currency}",
        "destination": f"wallet/{destination}/{currency}",
        "amount": {
            "amount_minor": amount_minor,
            "currency": currency,
        },
        "reference": f"Rent {number}",
        "created_by": MAKER,
    }
    return Deed(number, request, "transfer", words=words, **_more(rng))


def dated(deed: Deed) -> dict[str, Any]:
    """Return the request as it is sent now."""
    if deed.wait is None:
        return deed.request
    moment = datetime.now(UTC) + timedelta(seconds=deed.wait)
    return {**deed.request, "execute_at": moment.isoformat()}


def as_request(kind: str, content: dict[str, Any]) -> PayoutRequest | TransferRequest:
    """Read a request that was written down."""
    model = PayoutRequest if kind == "payout" else TransferRequest
    return model.model_validate_json(json.dumps(content))


def other_than(request: PayoutRequest | TransferRequest) -> PayoutRequest | TransferRequest:
    """Return a request with the same id and one more minor unit."""
    amount = Money(amount_minor=request.amount.amount_minor + 1, currency=request.amount.currency)
    return request.model_copy(update={"amount": amount})
