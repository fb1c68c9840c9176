"""The corpus itself: large enough, each entry once, and the same in every run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bursar.inputs import WHAT_TO_DO
from tests.badinput import actions, amounts, files
from tests.badinput.corpus import ENTRIES

ROOT = Path(__file__).parents[2]
FAMILY_MIN = 30


def every_key() -> list[str]:
    """Return what each input of every family is known by."""
    return [
        *(entry.key for entry in ENTRIES),
        *(f"B-ccy decimal {text!r} {currency}" for text, currency, _ in amounts.decimals()),
        *(f"B-json {_digest(body.raw)} {body.headers}" for body in files.BODIES),
        *(f"B-batch {each.form} {_digest(each.raw)}" for each in files.FILES),
        *(f"B-approve {each.verb} {each.payload!r}" for each in actions.ACTIONS),
        *(f"B-temporal {name} {given!r}" for name, given in actions.SIGNALS),
    ]


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def test_there_are_more_than_1500_different_inputs_and_some_in_every_family() -> None:
    keys = every_key()
    families = Counter(key.partition(" ")[0] for key in keys)
    assert len(set(keys)) == len(keys) >= 1_500
    assert set(families) == {
        *("B-amount", "B-ccy", "B-idem", "B-json", "B-mass", "B-iban", "B-name", "B-ref"),
        *("B-approve", "B-temporal", "B-batch", "B-time"),
    }
    assert min(families.values()) >= FAMILY_MIN


def test_the_corpus_is_the_same_in_another_process() -> None:
    program = (
        "import hashlib; from tests.badinput.test_corpus import every_key; "
        "print(hashlib.sha256(ascii(every_key()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_every_code_of_the_corpus_and_of_the_program_is_documented() -> None:
    documented = (ROOT / "docs" / "errors.md").read_text()
    codes = {entry.code for entry in ENTRIES if entry.code} | set(WHAT_TO_DO)
    assert codes <= set(WHAT_TO_DO)
    assert not {code for code in codes if f"| `{code}` |" not in documented}
