"""A change's digest is for ever: keys that were written years ago are compared with it."""

from __future__ import annotations

import hashlib
import json
from datetime import date

from hypothesis import given
from hypothesis import strategies as some

from ledger.changes import AttemptReopened, Change, Leg

LEGS = some.lists(
    some.builds(
        Leg,
        account=some.text(),
        currency=some.text(),
        delta=some.integers(-(2**63), 2**63 - 1),
        held=some.integers(-(2**63), 2**63 - 1),
        hold=some.none() | some.text(),
        releases=some.booleans(),
    ),
    max_size=4,
)
CHANGES = some.builds(
    Change,
    key=some.just("k"),
    kind=some.text(),
    actor=some.just("ana"),
    payment_id=some.none() | some.text(),
    opens=some.none(),
    legs=LEGS.map(tuple),
    effective_on=some.just(date(2026, 3, 2)),
    reverses=some.none(),
    attempt=some.none() | some.builds(AttemptReopened, key=some.text()),
    case=some.none(),
)


def as_format_1_says(change: Change) -> bytes:
    """Return the digest as the format was first written down: JSON in ASCII with sorted names."""
    content = {
        "format": 1,
        "kind": change.kind,
        "payment": change.payment_id,
        "opens": None,
        "attempt": change.attempt.key if change.attempt else None,
        "legs": sorted(
            (leg.account, leg.currency, leg.delta, leg.held, leg.hold or "", leg.releases)
            for leg in change.legs
        ),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


@given(CHANGES)
def test_the_digest_of_any_change_is_what_the_format_says(change: Change) -> None:
    assert change.digest() == as_format_1_says(change)


def test_a_digest_that_was_stored_once_is_found_again() -> None:
    change = Change(
        key="tr_1/transfer",
        kind="transfer",
        actor="ana",
        legs=(
            Leg(account="wallet/ana/EUR", currency="EUR", delta=-5),
            Leg(account="wallet/béa\x7f/EUR", currency="EUR", delta=5),
        ),
        effective_on=date(2026, 3, 2),
    )
    assert change.digest().hex() == (
        "99ab596e5e57db6e009bfd3a60c7d891ffaf0ecc685f5bfe62bef3c89c566e47"
    )
