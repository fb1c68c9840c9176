"""The Python client: each entry is refused with its code and field, or accepted."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from pydantic import ValidationError

from bursar import InvalidRequest, PayoutRequest
from bursar.inputs import WHAT_TO_DO, faults_of, json_field
from tests.badinput.corpus import ENTRIES, accepted, refused
from tests.badinput.entry import Entry


def problem(entry: Entry, content: Any) -> str | None:
    """Return in what way an entry was not judged as it must be, or None."""
    try:
        PayoutRequest.read(content)
    except InvalidRequest as error:
        said = " ".join(f"{each} {each.what_to_do}" for each in error.faults)
        if any(secret in said for secret in entry.hidden()):
            return "the value is told back"
        found = [(each.code, each.field or "") for each in error.faults]
        field = entry.place if entry.field is None else entry.field
        named = any(
            code == entry.code and (where == field or where.startswith(f"{field}."))
            for code, where in found
        )
        if not named or any(not (each.reason and each.what_to_do) for each in error.faults):
            return f"refused with {found}"
        return None
    return None if entry.code is None else "accepted"


def test_every_entry_is_judged_by_the_model_as_the_corpus_says() -> None:
    wrong = {entry.key: why for entry in ENTRIES if (why := problem(entry, entry.document()))}
    assert not wrong


def test_every_entry_is_judged_the_same_as_json_text_and_as_bytes() -> None:
    wrong = {entry.key: why for entry in ENTRIES if (why := problem(entry, entry.text()))}
    as_bytes = {e.key: why for e in ENTRIES if (why := problem(e, e.text().encode()))}
    assert (wrong, as_bytes) == ({}, {})


def test_the_plain_constructor_never_tells_a_value_back() -> None:
    for entry in refused():
        with pytest.raises(ValidationError) as raised:
            PayoutRequest(**entry.document())
        assert not any(secret in str(raised.value) for secret in entry.hidden()), entry.key
        assert all(each.code in WHAT_TO_DO for each in faults_of(raised.value, json_field))


def test_what_is_accepted_is_kept_as_it_was_sent_but_for_the_normal_form() -> None:
    for entry in accepted():
        kept = json.loads(PayoutRequest.read(entry.document()).model_dump_json())
        for part in entry.place.split("."):
            kept = kept[part]
        if isinstance(entry.value, str) and not entry.place.startswith("execute"):
            assert kept == unicodedata.normalize("NFC", entry.value), entry.key


@pytest.mark.parametrize(
    "content",
    [None, 1, "", "x", b"", b"\xff", "[]", [], (), {1: 2}, {"a": {1, 2}}, object(), "[" * 9999],
)
def test_what_is_no_document_at_all_is_refused(content: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        PayoutRequest.read(content)
    assert raised.value.code in {"malformed_json", "type_invalid", "missing"}
