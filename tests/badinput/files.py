"""B-json and B-batch: whole bodies and whole files that are wrong."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from dataclasses import dataclass, field

from bursar.cli.files import Form
from tests.badinput.entry import GOOD

JSON = {"content-type": "application/json"}
REASON = b'{"reason": "not ours"}'


@dataclass(frozen=True)
class Body:
    """An HTTP body for an action that takes a reason, and the problem that answers it."""

    raw: bytes
    status: int
    code: str
    headers: dict[str, str] = field(default_factory=lambda: JSON)


def _typed(content_type: str) -> Body:
    return Body(REASON, 415, "unsupported_media_type", {"content-type": content_type})


MALFORMED = (
    *(b"", b" ", b"\0", b"{", b"}", b"[", b'"', b"{]", b"{}{}", b"{} x", b"not json", b"reason=x"),
    *(
        b"{'reason': 'x'}",
        b'{reason: "x"}',
        b'{"reason": "x",}',
        b'{"reason": }',
        b'{"reason" "x"}',
    ),
    *(b'{"reason": "x"} {}', b'{"reason": "x"}\0', b'{"reason": "a\nb"}', b'{"reason": "\\x41"}'),
    *(
        b'{"reason": "\\u12"}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "\\udfff x"}',
        b'{"reason": undefined}',
    ),
    *(
        b'{"reason": 01}',
        b'{"reason": .5}',
        b'{"reason": 5.}',
        b'{"reason": +5}',
        b'{"reason": 0x10}',
    ),
    *(b'{"reason": 1e}', b"// x\n{}", b"/* x */{}", b'{"reason": tru}', b"<reason>x</reason>"),
    *(
        b'{"reason": "\xff"}',
        b'{"reason": "\xc0\xaf"}',
        b'{"reason": "\xed\xa0\x80"}',
        b"\xff\xfe{}",
    ),
    *(codecs.BOM_UTF8 + REASON, REASON.decode().encode("utf-16"), REASON.decode().encode("utf-32")),
    *(
        b"[" * 10_000,
        b"[" * 100_000,
        b'{"a":' * 10_000,
        b'{"reason":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ),
    *(b'{"reason": ' + b"9" * 5_000 + b"}", gzip.compress(REASON, mtime=0), zlib.compress(REASON)),
)
TWICE = (
    b'{"reason": "a", "reason": "b"}',
    b'{"reason": "a", "\\u0072eason": "b"}',
    b'{"reason": "a", "x": {"y": 1, "y": 2}}',
    b'{"reason": "a", "reason": "a"}',
)
BODIES: tuple[Body, ...] = (
    *(Body(raw, 400, "malformed_json") for raw in MALFORMED),
    *(Body(raw, 400, "duplicate_key") for raw in TWICE),
    *(
        Body(raw, 422, "type_invalid")
        for raw in (b"null", b"1", b"[]", b'"reason"', b"true", b"NaN")
    ),
    *(
        Body(b'{"reason": %s}' % v, 422, "type_invalid")
        for v in (b"1", b"NaN", b"1e999", b"[]", b"{}")
    ),
    Body(b"{}", 422, "missing"),
    Body(
        json.dumps({"reason": "x", **{str(n): n for n in range(9_000)}}).encode(),
        422,
        "unknown_field",
    ),
    Body(b'{"reason": "%s"}' % (b"x" * 250_000), 422, "too_long"),
    Body(b'{"reason": "%s"}' % (b"x" * 300_000), 413, "too_large"),
    Body(b" " * 2**20, 413, "too_large"),
    *map(
        _typed, ("text/plain", "text/json", "application/xml", "multipart/form-data", "none", "*/*")
    ),
    *map(_typed, ("application/x-www-form-urlencoded", "application/json; charset=utf-16", ";;;")),
    *map(_typed, ("application/json; charset=latin-1", "application/json; charset=", "image/png")),
    Body(REASON, 415, "unsupported_media_type", {}),
    *(
        Body(
            gzip.compress(b" " * 2**22, mtime=0),
            415,
            "unsupported_media_type",
            {**JSON, "content-encoding": how},
        )
        for how in ("gzip", "deflate", "br", "zstd", "identity, gzip", "x")
    ),
)

HEADER = "id,account,amount,currency,beneficiary_kind,beneficiary_name,iban,reference,created_by"
ROW = "po_1,wallet/acme/EUR,12.50,EUR,iban,Ana Lopez,DE89370400440532013000,Invoice 7,orders"
LINE = json.dumps(GOOD)


@dataclass(frozen=True)
class File:
    """A whole file: how many lines are right and refused, or None where it is refused as a whole."""

    form: Form
    raw: bytes
    right: int | None
    refused: int = 0


def _csv(text: str, right: int | None, refused: int = 0) -> File:
    return File(Form.CSV, text.encode("utf-8", errors="surrogatepass"), right, refused)


def _jsonl(text: str, right: int | None, refused: int = 0) -> File:
    return File(Form.JSONL, text.encode("utf-8", errors="surrogatepass"), right, refused)


FILES: tuple[File, ...] = (
    *(
        _csv(text, None)
        for text in ("", "\n", "\n\n\n", ",,,", "\0", "x", ROW, f"{ROW}\n{ROW}", '"', "{}")
    ),
    *(_csv(f"{HEADER.replace(',', sep)}\n{ROW}", None) for sep in (";", "\t", "|", ", ,", "\x1f")),
    *(
        _csv(f"{HEADER},{extra}\n{ROW},x", None)
        for extra in ("id", "fee", "approved_by", "", "ID", "=a")
    ),
    *(_csv(f"{HEADER.replace(name, 'x')}\n{ROW}", None) for name in HEADER.split(",")),
    File(Form.CSV, f"{HEADER}\n{ROW}".encode("utf-16"), None),
    File(Form.CSV, b"PK\x03\x04" + b"\0" * 50, None),
    File(Form.CSV, gzip.compress(f"{HEADER}\n{ROW}".encode(), mtime=0), None),
    _csv(f"{HEADER}\n", 0),
    _csv(f"{HEADER}\n{ROW}", 1),
    _csv(f"\ufeff{HEADER}\r\n{ROW}\r\n", 1),
    _csv(f"{HEADER}\n{ROW}\n{ROW}", 2),
    *(
        _csv(f"{HEADER}\n{ROW}\n{bad}\n", 1, 1)
        for bad in ("x", ROW + ",", ROW[:-7], '"', "\0", ROW + '"x')
    ),
    *(
        _csv(f"{HEADER}\n{ROW.replace('po_1', bad)}\n{ROW}\n", 1, 1)
        for bad in ("", "1", "\0", "po_\u202e")
    ),
    File(
        Form.CSV, f"{HEADER}\n{ROW}\n".encode() + ROW.replace("Ana", "José").encode("cp1252"), 1, 1
    ),
    File(Form.CSV, f"{HEADER}\n{ROW}\n".encode() + b"\xff\xfe\xfd", 1, 1),
    _csv(f"{HEADER}\n{ROW}\n" + "x" * 200_000, 1, 1),
    *(_jsonl(text, None) for text in ("", "\n \n", "[", "[]", f"[{LINE}]", "{\n", '{\n"id": 1\n}')),
    _jsonl(LINE, 1),
    _jsonl(f"\ufeff{LINE}\r\n\r\n{LINE}", 2),
    *(
        _jsonl(f"{LINE}\n{bad}\n{LINE}", 2, 1)
        for bad in (
            "x",
            "1",
            "null",
            "[]",
            "{}",
            '"x"',
            "{",
            LINE[:-1],
            LINE + LINE,
            LINE + ",",
            "NaN",
            "\0",
        )
    ),
    *(_jsonl(f"{LINE}\n{raw.decode()}", 1, 1) for raw in TWICE),
    *(_jsonl(f"{LINE}\n{deep}", 1, 1) for deep in ("[" * 9_999, '{"a":' * 9_999, "9" * 5_000)),
    _jsonl(f"{LINE}\n" + json.dumps({**GOOD, "reference": "x" * 70_000}), 1, 1),
    File(Form.JSONL, LINE.encode() + b'\n{"id": "\xff"}', 1, 1),
    File(Form.JSONL, LINE.encode("utf-16"), None),
)
