"""Lines: what a file holds, line by line, before anything is known of payments."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bursar.errors import Fault, InvalidRequest
from bursar.inputs import fault, strict_json

CELL_LENGTH_MAX = 1000
"""Characters in one cell; no field of a payment is longer than a few hundred."""

JSON_LINE_LENGTH_MAX = 65_536

_UTF16_OR_32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class CsvRow:
    """One row with its cells by column, empty ones left out; or what is wrong with it."""

    line: int
    cells: dict[str, str]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class JsonRow:
    """One JSON object, and its text as it stood in the file; or what is wrong with it."""

    line: int
    text: str
    content: dict[str, Any]
    faults: tuple[Fault, ...] = ()


def decoded(name: str, raw: bytes) -> str:
    """Return the text of a file; bytes that are not UTF-8 stay, so that their line can be named.

    Raises:
        InvalidRequest: The file as a whole is no UTF-8 text.
    """
    if raw.startswith(_UTF16_OR_32):
        raise InvalidRequest(f"{name} is written as UTF-16; save it as UTF-8")
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape")


def csv_rows(
    name: str, raw: bytes, *, columns: Sequence[str], required: Sequence[str]
) -> Iterator[CsvRow]:
    """Read CSV with a header line; every later line comes out once, good or bad.

    Raises:
        InvalidRequest: The header is missing or not as it should be; no line was read.
    """
    reader = csv.reader(io.StringIO(decoded(name, raw), newline=""), strict=True)
    try:
        header = next((row for row in reader if any(row)), None)
    except csv.Error as error:
        raise InvalidRequest(f"{name}:{reader.line_num}: the header is no CSV: {error}") from error
    names = _checked_header(name, header, columns, required)
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield CsvRow(start, {}, (_broken_row(start, reader.line_num, error),))
            continue
        if any(row):
            yield _checked_row(start, row, names)


def _checked_header(
    name: str, header: list[str] | None, columns: Sequence[str], required: Sequence[str]
) -> list[str]:
    wanted = ",".join(columns)
    if header is None:
        raise InvalidRequest(f"{name} is empty; its first line must name the columns: {wanted}")
    names = [column.strip() for column in header]
    if not set(names) & set(required):
        raise InvalidRequest(f"{name} {_what_it_has_instead(names)}; it must name: {wanted}")
    for column in names:
        if column not in columns:
            close = difflib.get_close_matches(column, columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the columns are: {wanted}"
            raise InvalidRequest(f"{name}: unknown column {_cut(column)!r}; {hint}", field=column)
        if names.count(column) > 1:
            raise InvalidRequest(f"{name}: the column {column!r} stands there twice", field=column)
    missing = [column for column in required if column not in names]
    if missing:
        raise InvalidRequest(
            f"{name}: the header lacks {', '.join(missing)}; the columns are: {wanted}",
            field=missing[0],
        )
    return names


def _what_it_has_instead(names: Sequence[str]) -> str:
    """Return the likeliest reason why a first line names none of our columns."""
    first = "".join(names)
    if "\0" in first:
        return "is no plain text in its first line (UTF-16, or a spreadsheet?); save it as UTF-8"
    for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if first.count(separator) >= 2:
            return f"separates its columns by {word} in the first line; separate them by commas"
    return f"has no header line: the first line is {_cut(','.join(names))!r}"


def _broken_row(first: int, last: int, error: csv.Error) -> Fault:
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    reason = f"cannot be read as CSV ({error}); is a quote left open? Left out: {lines}"
    return fault("malformed_line", None, reason)


def _checked_row(line: int, row: list[str], names: Sequence[str]) -> CsvRow:
    if len(row) != len(names):
        reason = f"has {_cells(len(row))}, but the header names {len(names)} columns"
        return CsvRow(line, {}, (fault("malformed_line", None, reason),))
    cells = {column: cell for column, cell in zip(names, row, strict=True) if cell}
    judged = (_unreadable(column, cell) for column, cell in cells.items())
    return CsvRow(line, cells, tuple(found for found in judged if found))


def _unreadable(column: str, cell: str) -> Fault | None:
    """Return why a cell cannot even be judged, or None."""
    if len(cell) > CELL_LENGTH_MAX:
        reason = f"is {len(cell)} characters long; at most {CELL_LENGTH_MAX}"
        return fault("too_long", column, reason)
    if "\n" in cell or "\r" in cell:
        reason = "goes on over the end of the line; is a quote left open?"
        return fault("charset", column, reason)
    if "\0" in cell:
        return fault("charset", column, "holds a NUL character; remove it")
    not_utf8 = _not_utf8(cell)
    return fault("charset", column, not_utf8) if not_utf8 else None


def _not_utf8(text: str) -> str | None:
    for char in text:
        if 0xDC80 <= ord(char) <= 0xDCFF:
            return f"is not UTF-8 (byte 0x{ord(char) - 0xDC00:02X}); save the file as UTF-8"
    return None


def json_rows(name: str, raw: bytes) -> Iterator[JsonRow]:
    """Read JSON Lines: every line that is not blank comes out once, good or bad.

    Raises:
        InvalidRequest: The file is empty, or is JSON over several lines; no line was read.
    """
    text = decoded(name, raw)
    stripped = text.lstrip()
    if not stripped:
        raise InvalidRequest(f"{name} is empty; write one JSON object per line")
    if stripped.startswith("[") or stripped.partition("\n")[0].strip() == "{":
        raise InvalidRequest(
            f"{name} is a list or goes over several lines; write one object a line"
        )
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            yield _json_row(line, content.strip())


def _json_row(line: int, text: str) -> JsonRow:
    if len(text) > JSON_LINE_LENGTH_MAX:
        reason = f"is {len(text)} characters long; at most {JSON_LINE_LENGTH_MAX}"
        return JsonRow(line, text, {}, (fault("too_long", None, reason),))
    not_utf8 = _not_utf8(text)
    if not_utf8 is not None:
        return JsonRow(line, text, {}, (fault("charset", None, not_utf8),))
    try:
        content = strict_json(text)
    except InvalidRequest as error:
        found = error.faults[0]
        if found.code == "malformed_json":
            found = replace(found, reason=f"is no JSON object: the line {found.reason}")
        return JsonRow(line, text, {}, (found,))
    if not isinstance(content, dict):
        return JsonRow(line, text, {}, (fault("type_invalid", None, "is no JSON object: {…}"),))
    return JsonRow(line, text, content)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
