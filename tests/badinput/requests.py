"""B-idem, B-mass and B-time: ids, fields that nobody may send, and times that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.badinput.entry import GONE, Entry

NO_ID = (
    *(
        "",
        "po_",
        "po",
        "po-1",
        "PO_1",
        "Po_1",
        "tr_1",
        "xx_1",
        "1",
        "po_" + "a" * 30,
        "po_" + "a" * 253,
    ),
    *(
        "po_é",
        "po_1 ",
        " po_1",
        "po_1\n",
        "po_1\r\nx",
        "po_a/b",
        "po_../1",
        "po_a-1",
        "po_a.b",
        "po_a:b",
    ),
    *(
        "po_\u200b",
        "po_１",
        "po_a\0",
        "po_'",
        'po_"',
        "po_;",
        "po_%00",
        "po_<x>",
        "po_{a}",
        "ро_1",
        "po_🙂",
    ),
)
GOOD_IDS = ("po_1", "po_a", "po_A_b_9", "po_" + "a" * 29, "po_0", "po___")
NO_TEXT: tuple[Any, ...] = (None, 1, 1.5, True, [], {}, ["po_1"])

FORMS = {
    "account": (
        "account_invalid",
        (
            *("", "acme", "wallet/acme", "wallet/acme/eur", "wallet/acme/EURO", "wallet//EUR"),
            *(
                "wallet/ACME/EUR",
                "wallet/a_b/EUR",
                "wallet/acme/EUR/",
                "/wallet/acme/EUR",
                "nostro/x/EUR",
            ),
            *("wallet/-a/EUR", "wallet/acme/EUR\n", "wallet/../EUR", "wallet/" + "a" * 42 + "/EUR"),
            *("wallet/аcme/EUR", "DE89370400440532013000", "suspense/in/EUR", "wallet/acme/EUR "),
        ),
    ),
    "tenant": (
        "tenant_invalid",
        ("", "Main", "1a", "a_b", "a b", "-a", "a" * 32, "a\n", "ä", "main;", "main/", "*", "%"),
    ),
    "partner": (
        "partner_invalid",
        (
            "",
            "Bank",
            "1bank",
            "a-b",
            "a.b",
            "a" * 32,
            "../x",
            "a b",
            "a\n",
            "bänk",
            "os.system",
            "*",
        ),
    ),
    "created_by": (
        "actor_invalid",
        (
            "",
            " ana",
            "@ana",
            "a" * 81,
            "ana\n",
            "anä",
            "a<b>",
            "a;b",
            "a\0b",
            "=ana",
            "ana\u202e",
            "(a)",
        ),
    ),
    "batch_id": (
        "batch_id_invalid",
        ("", "a b", "a/b", "a" * 61, "a\n", "ä", "a:b", "a\0", "*", "=a", "a,b", "a'b"),
    ),
}

STRANGERS = (
    *("status", "state", "approved_by", "approvals", "tenant_id", "fee", "fee_minor", "created_at"),
    *(
        "updated_at",
        "partner_ref",
        "content_hash",
        "rule_version",
        "is_admin",
        "role",
        "roles",
        "actor",
    ),
    *(
        "by",
        "verb",
        "workflow_id",
        "run_id",
        "attempt",
        "ordinal",
        "key",
        "idempotency_key",
        "force",
    ),
    *(
        "skip_approval",
        "dry_run",
        "test",
        "__class__",
        "__proto__",
        "constructor",
        "$ref",
        "ID",
        "Id",
    ),
    *(
        "amount_minor",
        "currency",
        "iban",
        "name",
        "kind",
        "",
        " ",
        "id ",
        "référence",
        "a.b",
        "a[0]",
    ),
)
INNER_STRANGERS = ("scale", "exponent", "minor", "fee_minor", "value", "rate", "__proto__", "")
PAYEES_STRANGERS = (
    "address",
    "routing_number",
    "account_number",
    "msisdn",
    "email",
    "id",
    "account",
)

METADATA: tuple[tuple[Any, str | None], ...] = (
    ({"": "x"}, "metadata_invalid"),
    ({"a b": "x"}, "metadata_invalid"),
    ({"a" * 41: "x"}, "metadata_invalid"),
    ({"a\n": "x"}, "metadata_invalid"),
    ({"ä": "x"}, "metadata_invalid"),
    ({"a": "\0"}, "charset"),
    ({"a": "x\u202ey"}, "charset"),
    ({"a": "x\ny"}, "charset"),
    ({"a": "4111111111111111"}, "card_number"),
    ({"a": "x" * 201}, "too_long"),
    ({"a": 1}, "type_invalid"),
    ({"a": None}, "type_invalid"),
    ({"a": {"b": "c"}}, "type_invalid"),
    ({"a": ["b"]}, "type_invalid"),
    ({"a": True}, "type_invalid"),
    ({f"k{n}": "v" for n in range(21)}, "too_long"),
    ([], "type_invalid"),
    ("x", "type_invalid"),
    (None, "type_invalid"),
    ({}, None),
    ({"a": ""}, None),
    ({"order.id": "7", "a-b": " x "}, None),
    ({f"k{n}": "v" for n in range(20)}, None),
)
PAYEES: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"kind": "cash", "name": "A"}, "beneficiary_kind_invalid", "beneficiary.kind"),
    ({"kind": "IBAN", "name": "A"}, "beneficiary_kind_invalid", "beneficiary.kind"),
    ({"kind": "", "name": "A"}, "beneficiary_kind_invalid", "beneficiary.kind"),
    ({"kind": None, "name": "A"}, "beneficiary_kind_invalid", "beneficiary.kind"),
    ({"kind": 1, "name": "A"}, "beneficiary_kind_invalid", "beneficiary.kind"),
    ({"name": "A"}, "missing", "beneficiary.kind"),
    ({}, "missing", "beneficiary.kind"),
    *(
        (
            {
                "kind": "us_account",
                "name": "A",
                "routing_number": number,
                "account_number": "12345",
            },
            "routing_number_invalid",
            "beneficiary.routing_number",
        )
        for number in (
            "",
            "1",
            "021000022",
            "02100002",
            "0210000211",
            "O21000021",
            "021 000 021",
            "０21000021",
        )
    ),
    *(
        (
            {
                "kind": "us_account",
                "name": "A",
                "routing_number": "021000021",
                "account_number": number,
            },
            "account_number_invalid",
            "beneficiary.account_number",
        )
        for number in (
            "",
            "123",
            "1" * 18,
            "12 345",
            "12-345",
            "12345\n",
            "１２３４５",
            "abcd",
            "-1234",
        )
    ),
    *(
        (
            {"kind": "mobile_wallet", "name": "A", "msisdn": number},
            "msisdn_invalid",
            "beneficiary.msisdn",
        )
        for number in (
            "",
            "0712345678",
            "254712345678",
            "+254 712 345 678",
            "+999123456789",
            "+",
            "+1",
            "+254１",
        )
    ),
)

NO_MOMENT = (
    *("", "now", "tomorrow", "2026-12-01", "2026-12-01T09:30", "2026-12-01T09:30:00", "01.12.2026"),
    *(
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-12-32T00:00:00Z",
    ),
    *(
        "2026-12-01T24:00:00Z",
        "2026-12-01T25:00:00Z",
        "2026-12-01T23:60:00Z",
        "2026-12-31T23:59:60Z",
    ),
    *(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
    ),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00Z"),
    *("2026-12-01T09:30:00+15:00", "2026-12-01T09:30:00-15:00", "2026-12-01T09:30:00+23:59"),
    *("2026-12-01T09:30:00+99:99", "2026-12-01T09:30:00 Europe/Berlin", "2026-12-01T09:30:00 CET"),
    *(
        "2026-03-29T02:30:00",
        "2026-10-25T02:30:00",
        "12026-12-01T00:00:00Z",
        "-2026-12-01T00:00:00Z",
    ),
    *(
        "2026-W49-2T00:00:00Z",
        "2026-335T00:00:00Z",
        "1764249400",
        "1e9",
        "２026-12-01T09:30:00Z",
        "null",
    ),
)
ANY_MOMENT: tuple[Any, ...] = (1764249400, 1764249400.5, 0, -1, True, [], {}, [2026, 12, 1])
MOMENTS = (
    *(
        "2026-12-01T09:30:00Z",
        "2026-12-01T09:30:00+01:00",
        "2028-02-29T00:00:00Z",
        "2000-01-01T00:00:00Z",
    ),
    *("2026-12-01T09:30:00.123456Z", "2026-12-01T09:30:00+14:00", "2026-12-01T09:30:00-12:00"),
)
NO_DAY = (
    *(
        "",
        "today",
        "2026-02-30",
        "2027-02-29",
        "2100-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-12-00",
    ),
    *(
        "2026-12-32",
        "0001-01-01",
        "9999-12-31",
        "1999-12-31",
        "2200-01-01",
        "01.12.2026",
        "12/01/2026",
    ),
    *(
        "2026-12-01T09:30:00Z",
        "2026-12-01T00:00:01",
        "20261201x",
        "2026-1-1",
        "26-12-01",
        "2026-W49-2",
    ),
    *(
        "２026-12-01",
        "2026‐12‐01",
        " 2026-12-01",
        "2026-12-01 ",
        "2026-12-01\n",
        "null",
        "-1",
        "1.5",
    ),
)
DAYS = ("2026-12-01", "2028-02-29", "2000-02-29", "2026-12-31", "2024-02-29", "2199-12-31")


def entries() -> Iterator[Entry]:
    """Give every entry."""
    for text in NO_ID:
        yield Entry("B-idem", f"{text!r:.40}", "id", text, "id_invalid")
    for text in GOOD_IDS:
        yield Entry("B-idem", text, "id", text, None)
    for value in NO_TEXT:
        yield Entry("B-idem", f"{value!r} as id", "id", value, "type_invalid")
    yield Entry("B-idem", "no id", "id", GONE, "missing")
    for field, (form, texts) in FORMS.items():
        for text in texts:
            yield Entry("B-mass", f"{field} {text!r:.40}", field, text, form)
    yield from _strangers()
    for value, code in METADATA:
        yield Entry("B-mass", f"metadata {value!r:.40}", "metadata", value, code)
    for payee, fault, field in PAYEES:
        yield Entry("B-mass", f"payee {payee!r:.60}", "beneficiary", payee, fault, field)
    yield from _times()


def _strangers() -> Iterator[Entry]:
    for name in STRANGERS:
        if "." not in name:
            yield Entry("B-mass", f"field {name!r}", name, "x", "unknown_field", name)
    for name in INNER_STRANGERS:
        where = f"amount.{name}"
        yield Entry("B-mass", f"field {where!r}", where, 2, "unknown_field")
    for name in PAYEES_STRANGERS:
        where = f"beneficiary.{name}"
        yield Entry("B-mass", f"field {where!r}", where, "x", "unknown_field")


def _times() -> Iterator[Entry]:
    for text in NO_MOMENT:
        yield Entry("B-time", f"moment {text!r}", "execute_at", text, "time_invalid")
    for value in ANY_MOMENT:
        yield Entry("B-time", f"moment {value!r}", "execute_at", value, "time_invalid")
        yield Entry("B-time", f"day {value!r}", "execute_on", value, "time_invalid")
    for text in MOMENTS:
        yield Entry("B-time", f"moment {text}", "execute_at", text, None)
    for text in NO_DAY:
        yield Entry("B-time", f"day {text!r}", "execute_on", text, "time_invalid")
    for text in DAYS:
        yield Entry("B-time", f"day {text}", "execute_on", text, None)
