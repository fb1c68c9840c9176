"""Misbehaviour: its catalogue, the markers that choose it, and the seeded mix that draws it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

CODES = (
    "account_invalid",
    "account_closed",
    "name_mismatch",
    "amount_limit",
    "insufficient_funds",
    "currency_not_supported",
    "beneficiary_not_supported",
    "compliance",
    "other",
)
"""Why the bank refuses or fails a payout."""

GROUPS: dict[str, tuple[str, ...]] = {
    "answer": (
        "reject",
        "slow-accept",
        "reset-before-booking",
        "reset-after-booking",
        "timeout-before-booking",
        "timeout-after-booking",
        "500-after-booking",
        "500-without-booking",
        "409-on-the-key",
        "409-without-booking",
        "429-seconds",
        "429-date",
        "429-absent",
        "throttle-then-ok",
        "200-empty",
        "200-html",
        "200-truncated",
        "odd-2xx",
        "202-empty",
        "other-amount-echo",
        "other-payee-echo",
        "other-reference-echo",
        "rejected-but-paid",
    ),
    "lifecycle": (
        "accepted-then-failed",
        "slow-paid",
        "status-rolled-back",
        "status-rolled-back-for-good",
        "paid-then-returned",
        "paid-then-returned-less-fee",
        "partial-return",
        "returned-in-two-parts",
        "returned-twice",
        "return-before-paid",
        "paid-twice",
        "phantom-debit",
        "failed-but-paid",
        "paid-but-told-failed",
    ),
    "webhook": (
        "webhook-lost",
        "webhook-late",
        "webhook-doubled",
        "webhook-doubled-new-ids",
        "webhook-out-of-order",
        "webhook-before-reply",
        "webhook-wrongly-signed",
        "webhook-forged",
        "webhook-credit-first",
    ),
    "lookup": ("not-found-for-a-while",),
}
"""Every misbehaviour, by what it touches; of each group a payout has at most one."""

GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}

BEFORE_BOOKING = frozenset(
    {
        "reset-before-booking",
        "timeout-before-booking",
        "500-without-booking",
        "409-without-booking",
    }
)
"""Answers of a first call that leave nothing behind."""

THROTTLED_CALLS = {"429-seconds": 1, "429-date": 1, "429-absent": 1, "throttle-then-ok": 2}
"""How many calls of one reference each kind of throttling turns away."""

_BOOKED_AT_ONCE = frozenset(
    {
        "reset-after-booking",
        "timeout-after-booking",
        "500-after-booking",
        "409-on-the-key",
        "200-empty",
        "200-html",
        "200-truncated",
        "odd-2xx",
        "202-empty",
        "rejected-but-paid",
    }
)

_MARKER = re.compile(r"\[sim:([a-z0-9-]+)(?:=([a-z_]+))?\]")


class Quirks(BaseModel):
    """What one payout does wrong: at most one misbehaviour of each group."""

    model_config = ConfigDict(frozen=True)

    answer: str | None = None
    lifecycle: str | None = None
    webhook: str | None = None
    lookup: str | None = None
    code: str | None = None
    """Why it is rejected or fails, where it does."""

    def names(self) -> list[str]:
        """Return the names of its misbehaviours."""
        chosen = (self.answer, self.lifecycle, self.webhook, self.lookup)
        return [name for name in chosen if name is not None]

    def spoils_answer(self) -> str | None:
        """Return how the first answer goes wrong: a hidden payout loses its answer too."""
        if self.answer is None and self.lookup is not None:
            return "reset-after-booking"
        return self.answer

    def books_at_once(self) -> bool:
        """Tell whether the debit is in the book before the answer leaves."""
        spoiled = self.spoils_answer() in _BOOKED_AT_ONCE
        return spoiled or self.webhook == "webhook-before-reply"


def marked(*texts: str) -> Quirks | None:
    """Return what the markers in the texts choose; None where there is no marker.

    Raises:
        ValueError: A marker or its code is unknown.
    """
    markers = [found for text in texts for found in _MARKER.findall(text)]
    if not markers:
        return None
    chosen: dict[str, str] = {}
    for name, code in markers:
        if name not in GROUP_OF and name != "none":
            raise ValueError(f"unknown marker [sim:{name}]")
        if code and code not in CODES:
            raise ValueError(f"unknown code in [sim:{name}={code}]")
        if name != "none":
            chosen.setdefault(GROUP_OF[name], name)
        if code:
            chosen.setdefault("code", code)
    return Quirks(**chosen)


def drawn(mix: Mapping[str, float], seed: int, reference: str) -> Quirks:
    """Return what the mix draws for a reference: the same seed and reference, the same draw."""
    chosen: dict[str, str] = {}
    for group, names in GROUPS.items():
        left = _fraction(f"{seed}/{group}/{reference}")
        for name in names:
            left -= mix.get(name, 0.0)
            if left < 0:
                chosen[group] = name
                break
    chosen["code"] = CODES[int(_fraction(f"{seed}/code/{reference}") * len(CODES))]
    return Quirks(**chosen)


def checked_mix(mix: dict[str, float]) -> dict[str, float]:
    """Return the mix, refusing unknown names and probabilities that cannot be.

    Raises:
        ValueError: A name is unknown, or a probability or a group's sum is not from 0 to 1.
    """
    for name, probability in mix.items():
        if name not in GROUP_OF:
            raise ValueError(f"unknown misbehaviour {name!r}")
        if not 0 <= probability <= 1:
            raise ValueError(f"the probability of {name} is not from 0 to 1")
    for group, names in GROUPS.items():
        if sum(mix.get(name, 0.0) for name in names) > 1 + 1e-9:
            raise ValueError(f"the probabilities of the group {group} sum to more than 1")
    return mix


def _fraction(text: str) -> float:
    """Return a number from 0 to below 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
