"""What is shown: texts that were accepted command no terminal, and look-alikes are pointed out."""

from __future__ import annotations

import io
import unicodedata

import pytest
from rich.console import Console

from bursar.cli.connection import Connection
from bursar.cli.sheet import print_sheet
from bursar.texts import mixed_scripts
from tests.badinput.corpus import accepted
from tests.badinput.texts import NAMES
from tests.cli.sample import payout

DECEPTIVE = {
    "Раураl": "U+006C LATIN SMALL LETTER L",
    "Аnna Schmidt": "U+0410 CYRILLIC CAPITAL LETTER A",
    "Gοοgle": "U+03BF GREEK SMALL LETTER OMICRON",
    "Ｍicrosoft": "U+FF2D FULLWIDTH LATIN CAPITAL LETTER M",
    "𝐀nna": "U+1D400 MATHEMATICAL BOLD CAPITAL A",
    "Аpple Ӏnc": "U+0410",
    "Jоhn Smith": "U+043E",
    "Deutsche Bаnk": "U+0430",
    "ΑCME Ltd": "U+0391",
    "Հnna": "U+0540",
}


@pytest.mark.parametrize("name", DECEPTIVE)
def test_letters_of_scripts_that_nobody_mixes_are_named_by_their_code_points(name: str) -> None:
    assert DECEPTIVE[name] in (mixed_scripts(name) or "")


@pytest.mark.parametrize("name", NAMES)
def test_no_name_that_people_have_is_suspected(name: str) -> None:
    assert mixed_scripts(name) is None


def shown(
    name: str, reference: str, cautions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> str:
    """Return a payment's sheet as a terminal gets it."""
    written = io.StringIO()
    terminal = Console(file=written, width=200, force_terminal=True, markup=False, emoji=False)
    monkeypatch.setattr("bursar.cli.sheet.console", lambda: terminal)
    view = payout("po_1")
    summary = view.payment.model_copy(update={"reference": reference})
    payee = {**(view.beneficiary or {}), "name": name}
    changes = {"payment": summary, "beneficiary": payee, "cautions": cautions}
    print_sheet(view.model_copy(update=changes), Connection())
    return written.getvalue()


def test_an_approver_sees_the_caution_beside_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    caution = f"the beneficiary's name {mixed_scripts('Раураl')}"
    sheet = shown("Раураl", "r", (caution,), monkeypatch)
    assert "caution" in sheet
    assert "U+006C LATIN SMALL LETTER L" in sheet


def test_no_text_that_was_accepted_commands_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        str(entry.value)
        for entry in accepted()
        if entry.place in {"reference", "beneficiary.name"} and len(str(entry.value)) < 80
    }
    plain = shown("A", "r", (), monkeypatch)
    styles = plain.count("\x1b")
    for text in texts:
        sheet = shown(unicodedata.normalize("NFC", text), "r", (), monkeypatch)
        assert sheet.count("\x1b") == styles, text
        assert not any(unicodedata.category(c) in {"Cf", "Cs", "Co"} for c in sheet), text
