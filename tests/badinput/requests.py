"""B-idem and B-mass: ids, and fields that nobody may send."""

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
NAMELESS = "(a name without a letter)"
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


def _strangers() -> Iterator[Entry]:
    for name in STRANGERS:
        if "." not in name:
            yield Entry("B-mass", f"field {name!r}", name, "x", "unknown_field", name or NAMELESS)
    for name in INNER_STRANGERS:
        where = f"amount.{name}"
        field = f"amount.{name or NAMELESS}"
        yield Entry("B-mass", f"field {where!r}", where, 2, "unknown_field", field)
    for name in PAYEES_STRANGERS:
        where = f"beneficiary.{name}"
        yield Entry("B-mass", f"field {where!r}", where, "x", "unknown_field")
