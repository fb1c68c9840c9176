"""Cases: what each kind of trouble means, and how a person may close it.

Source: docs/cases.md, one section for each kind.
"""

from __future__ import annotations

from typing import NamedTuple


class CaseKind(NamedTuple):
    """One kind of case."""

    says: str
    ways: tuple[str, ...]
    """Suggestions, the likeliest first."""
    partner_breach: bool = False
    """Whether the partner did what it must never do, so that it counts against it."""


_ASK = "ask the partner for the money back; when it comes, its credit is a case of its own"
_TO_WALLET = "bursar cases resolve ID --to wallet/<owner>/<currency>: it is this customer's"
_TO_LOSS = "bursar cases resolve ID --to loss/<reason>/<currency>: we bear it"
_SEEN = "bursar cases resolve ID --evidence TEXT: nothing moves, it is explained"
_REVIEW = "bursar resolve PAYMENT --outcome …: decide the payment, which closes this case too"

KINDS: dict[str, CaseKind] = {
    "outcome_unknown": CaseKind(
        "Nobody knows whether the payout moved; all automatic ways are spent.", (_REVIEW,)
    ),
    "overdue": CaseKind(
        "The partner accepted the payout long ago, and has neither paid nor refused it.",
        (_REVIEW, _SEEN),
    ),
    "mismatch": CaseKind(
        "An authentic word echoes another amount, currency, payee or reference; it moved nothing.",
        (_SEEN,),
        partner_breach=True,
    ),
    "contradiction": CaseKind(
        "The partner says the opposite of what it said before.",
        (_TO_WALLET, _TO_LOSS, _SEEN),
        partner_breach=True,
    ),
    "paid_twice": CaseKind(
        "The partner debited our account a second time for one payout.",
        (_ASK, _TO_LOSS, _TO_WALLET),
        partner_breach=True,
    ),
    "phantom_debit": CaseKind(
        "The partner debited our account under a reference that we never sent.",
        (_ASK, _TO_LOSS, _TO_WALLET),
        partner_breach=True,
    ),
    "excess_return": CaseKind(
        "More came back than was paid, or it belongs to another payment.",
        ("send it back to the partner, or", _TO_WALLET),
        partner_breach=True,
    ),
    "unowned_credit": CaseKind("Money came in, and no account of ours is named.", (_TO_WALLET,)),
    "unowned_returned": CaseKind(
        "Money came back for a payment that cannot have been paid, or is not known.", (_TO_WALLET,)
    ),
    "unowned_accepted": CaseKind("The partner accepted a payout that we do not know.", (_SEEN,)),
    "unowned_paid": CaseKind(
        "The partner says a payout is paid that we do not know, and not how much.", (_SEEN,)
    ),
    "unowned_failed": CaseKind("The partner refused a payout that we do not know.", (_SEEN,)),
    "unowned_unrecognised": CaseKind(
        "An authentic message that the adapter cannot read.",
        ("mend the adapter, and book what it says by hand if it moved money", _SEEN),
    ),
    "event_set_aside": CaseKind(
        "An event failed again and again, and waits out of the way of the others.",
        ("mend the cause, then bursar events redrive EVENT", _SEEN, "two people: --to given-up"),
    ),
    "event_waits": CaseKind(
        "An event came a while ago, and is not booked: its run is gone or stuck, or none took it.",
        ("look at its run: it is offered again by itself, and a wedged one needs a fix", _SEEN),
    ),
    "wedged": CaseKind(
        "Every try of a run's code fails, so the payment stands still; its money is safe.",
        ("deploy a fix: the run goes on by itself within minutes", _SEEN),
    ),
    "unreadable": CaseKind(
        "A payment has lost its run, and this release cannot read its request to start another.",
        ("deploy a release that reads it: the next sweep starts the run", _SEEN),
    ),
    "books_break": CaseKind(
        "The books are not what they must be: a check has failed.",
        ("find out what has changed them, correct it with a new posting, then close it", _SEEN),
    ),
    "checks_late": CaseKind(
        "The books have not been checked for too long.",
        ("bursar books rounds; see that a worker serves the schedules, then close it", _SEEN),
    ),
    "stuck": CaseKind(
        "A payment is past the time of its next action, and nothing else calls anybody to it.",
        ("find out what its next action waits for: bursar payouts show PAYMENT", _SEEN),
    ),
    "not_approved": CaseKind(
        "An approval that the payment had counts no more, so it goes no further.",
        ("have somebody else approve it: bursar approve PAYMENT", "bursar cancel PAYMENT", _SEEN),
    ),
    "over_limit": CaseKind(
        "The payment is over a limit, so it is not handed over.",
        ("raise the limit, wait for the next day, or bursar cancel PAYMENT", _SEEN),
    ),
}
"""Every kind of case that the house opens."""


def kind_of(name: str) -> CaseKind:
    """Return what a kind means; one from another release says so."""
    return KINDS.get(name, CaseKind(f"This release does not know cases of kind {name}.", (_SEEN,)))
