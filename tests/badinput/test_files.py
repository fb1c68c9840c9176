"""Files for the command line: each bad line with code, field and reason, and no other line harmed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest

from bursar.cli.files import Form, payouts_in
from bursar.errors import Fault, InvalidRequest
from tests.badinput import amounts
from tests.badinput.corpus import ENTRIES
from tests.badinput.entry import GONE, Entry
from tests.badinput.files import FILES, HEADER, ROW

COLUMNS = {
    "beneficiary.name": "beneficiary_name",
    "beneficiary.iban": "iban",
    "beneficiary.bic": "bic",
    "amount.currency": "currency",
    "beneficiary.kind": "beneficiary_kind",
}
PLACES = ("id", "account", "reference", "created_by", "tenant", "partner", "batch_id", *COLUMNS)
GUARD = ROW.replace("po_1", "po_guard")


def in_json(entries: tuple[Entry, ...]) -> str:
    """Return a file with a line for each entry, and a good line between them."""
    return "\n".join(
        line for each in entries for line in (each.text(), json.dumps(each.document()))
    )


def judged(raw: bytes, form: Form) -> tuple[set[int], dict[int, tuple[Fault, ...]]]:
    """Return the numbers of the lines that are right, and the faults of the others."""
    right, refused = payouts_in(raw, form, name="f")
    return {line.number for line in right}, {bad.number: bad.faults for bad in refused}


def test_every_entry_is_judged_in_json_lines_as_the_corpus_says() -> None:
    right, refused = judged("\n".join(each.text() for each in ENTRIES).encode(), Form.JSONL)
    wrong = {}
    for number, entry in enumerate(ENTRIES, start=1):
        codes = [fault.code for fault in refused.get(number, ())]
        as_it_must = (number in right) if entry.code is None else entry.code in codes
        if not as_it_must or told_back(entry, refused.get(number, ())):
            wrong[entry.key] = codes
    assert not wrong
    assert len(right) + len(refused) == len(ENTRIES)


def told_back(entry: Entry, faults: tuple[Fault, ...]) -> bool:
    return any(secret in str(fault) for secret in entry.hidden() for fault in faults)


def cells() -> Iterator[tuple[Entry, str]]:
    """Give each entry that a cell can hold, with its line; an empty cell is an absent value."""
    names = [*HEADER.split(","), "bic", "tenant", "partner", "batch_id", "execute_on", "execute_at"]
    good = dict(zip(names, [*ROW.split(","), *[""] * 6], strict=True))
    for entry in ENTRIES:
        column = COLUMNS.get(entry.place, entry.place)
        if column not in names or not isinstance(entry.value, str) or entry.value is GONE:
            continue
        if column == "amount" or not entry.value.strip("\r\n"):
            continue
        changed = {**good, column: entry.value}
        if entry.place == "amount.currency":
            changed["account"] = f"wallet/acme/{entry.value}"
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(changed.values())
        yield entry, line.getvalue()


def test_every_entry_that_a_cell_can_hold_is_judged_in_csv_as_the_corpus_says() -> None:
    header = HEADER + ",bic,tenant,partner,batch_id,execute_on,execute_at"
    wrong = {}
    entries = list(cells())
    for entry, line in entries:
        raw = f"{header}\n{line}\n{GUARD},,,,,,\n".encode("utf-8", errors="surrogatepass")
        right, refused = payouts_in(raw, Form.CSV, name="f")
        faults = tuple(fault for bad in refused for fault in bad.faults)
        ids = [each.request.id for each in right]
        # A control character can end a line or make a cell unreadable: another code, no less no.
        fine = bool(faults) if entry.code else not faults
        if not fine or "po_guard" not in ids or told_back(entry, faults):
            wrong[entry.key] = (ids, [str(fault) for fault in faults])
    assert not wrong
    assert len(entries) > 900


def test_decimal_amounts_are_read_exactly_or_refused_with_the_reason_why() -> None:
    wrong = {}
    for text, currency, code in amounts.decimals():
        row = ROW.replace("EUR", currency).replace(
            "12.50", f'"{text.replace(chr(34), chr(34) * 2)}"'
        )
        right, refused = payouts_in(f"{HEADER}\n{row}\n".encode(), Form.CSV, name="f")
        codes = [fault.code for bad in refused for fault in bad.faults if fault.field == "amount"]
        if codes != ([code] if code else []) or bool(right) == bool(code):
            wrong[f"{text} {currency}"] = codes
        if right:
            assert str(right[0].request.amount) == f"{text} {currency}"
    assert not wrong


@pytest.mark.parametrize("number", range(len(FILES)))
def test_a_file_is_judged_line_by_line_or_refused_as_a_whole(number: int) -> None:
    file = FILES[number]
    if file.right is None:
        with pytest.raises(InvalidRequest) as raised:
            payouts_in(file.raw, file.form, name="f")
        assert len(str(raised.value)) < 400
        assert "DE89370400440532013000" not in str(raised.value)
        return
    right, refused = payouts_in(file.raw, file.form, name="f")
    assert (len(right), len(refused)) == (file.right, file.refused)
    assert all(fault.code and fault.what_to_do for bad in refused for fault in bad.faults)
