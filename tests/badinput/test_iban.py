"""IBANs: every slip of the pen that check digits, length or structure can catch is refused."""

from __future__ import annotations

import random
import string

import schwifty

from bursar.beneficiaries import IbanAccount
from tests.badinput.accounts import EXAMPLES

TRIALS = 10_000


def remainder(iban: str) -> int:
    """Return the number that ISO 7064 (mod 97-10) makes of an IBAN; 1 for a right one."""
    turned = iban[4:] + iban[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97


def structures() -> dict[str, str]:
    """Return each country's structure as one class a character: n digits, a capitals, c both."""
    kinds: dict[str, str] = {}
    for example in EXAMPLES:
        spec = schwifty.IBAN(example).spec.bban_spec
        kinds[example[:2]] = "".join(
            kind * int(count) for count, kind in zip(*_pieces(spec), strict=True)
        )
    return kinds


def _pieces(spec: str) -> tuple[list[str], list[str]]:
    parts = [part.partition("!") for part in _split(spec)]
    return [count for count, _, _ in parts], [kind for _, _, kind in parts]


def _split(spec: str) -> list[str]:
    found, piece = [], ""
    for char in spec:
        piece += char
        if char in "nace" and "!" in piece:
            found.append(piece)
            piece = ""
    return found


CLASSES = {
    "n": string.digits,
    "a": string.ascii_uppercase,
    "c": string.digits + string.ascii_uppercase,
}
STRUCTURES = structures()


def well_formed(iban: str) -> bool:
    """Tell by a rule of our own whether check digits, length and structure fit."""
    structure = STRUCTURES.get(iban[:2])
    if structure is None:
        return False  # a slip into another country's letters; none of the examples' lengths fits
    body = iban[4:]
    return (
        iban[2:4].isdigit()
        and len(body) == len(structure)
        and all(char in CLASSES[kind] for char, kind in zip(body, structure, strict=True))
        and remainder(iban) == 1
    )


def accepted(iban: str) -> bool:
    try:
        IbanAccount(name="Ana", iban=iban)
    except ValueError:
        return False
    return True


def slips(rng: random.Random) -> str:
    """Return an example with one character replaced, or two neighbours swapped."""
    iban = rng.choice(EXAMPLES)
    while True:
        if rng.random() < 0.5:
            at = rng.randrange(len(iban))
            pool = string.digits if iban[at].isdigit() and rng.random() < 0.8 else CLASSES["c"]
            made = iban[:at] + rng.choice(pool) + iban[at + 1 :]
        else:
            at = rng.randrange(len(iban) - 1)
            made = iban[:at] + iban[at + 1] + iban[at] + iban[at + 2 :]
        if made != iban:
            return made


def test_each_substitution_and_swap_that_can_be_caught_is_refused() -> None:
    rng = random.Random(7_097)  # noqa: S311 - the same slips in every run
    made = [slips(rng) for _ in range(TRIALS)]
    cannot_be_caught = {iban for iban in made if well_formed(iban)}
    let_through = {iban for iban in made if accepted(iban)}
    assert not let_through - cannot_be_caught
    assert len(cannot_be_caught) < TRIALS / 200


def test_no_swap_and_no_substitution_of_digits_escapes_the_check_digits() -> None:
    escaped = []
    for iban in EXAMPLES:
        for at in range(4, len(iban)):
            changed = [iban[:at] + d + iban[at + 1 :] for d in string.digits if iban[at].isdigit()]
            if at + 1 < len(iban) and iban[at : at + 2].isdigit():
                changed.append(iban[:at] + iban[at + 1] + iban[at] + iban[at + 2 :])
            escaped += [one for one in changed if one != iban and accepted(one)]
    assert not escaped


def test_every_example_of_the_registry_is_accepted_and_our_rule_agrees() -> None:
    assert len({iban[:2] for iban in EXAMPLES}) == len(EXAMPLES) > 60
    assert all(well_formed(iban) and accepted(iban) for iban in EXAMPLES)
