"""Reading files: every bad line is named with field and reason, and never takes others along."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.cli.files import (
    Form,
    Refused,
    accounts_in,
    payouts_in,
    read_accounts,
    read_payouts,
    read_transfers,
    transfers_in,
)
from bursar.errors import InvalidRequest
from bursar.money import Money
from tests.cli.sample import GOOD, HEADER, good

EXAMPLES = Path(__file__).parents[2] / "examples"


def judged(*lines: str | bytes) -> tuple[list[str], list[Refused]]:
    """Read lines under a good header; return the ids that are right, and what is refused."""
    raw = b"\n".join(line.encode() if isinstance(line, str) else line for line in (HEADER, *lines))
    right, refused = payouts_in(raw + b"\n", Form.CSV, name="p.csv")
    return [line.request.id for line in right], refused


def only_fault(line: str | bytes) -> tuple[str | None, str]:
    """Return field and reason of the one fault that a line has, the line after it being good."""
    right, refused = judged(line, good("po_next"))
    assert right == ["po_next"]
    assert [(bad.number, len(bad.faults)) for bad in refused] == [(2, 1)]
    return refused[0].faults[0].field, refused[0].faults[0].reason


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ("DE89370400440532013000", "DE89370400440532013001", "iban", "checksum"),
        ("DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "iban", "no spaces"),
        ("DE89370400440532013000", "", "iban", "is missing"),
        (",12.50,", ",12.505,", "amount", "3 decimals, but EUR has 2"),
        (",12.50,", ",1e3,", "amount", "plain decimal"),
        (",12.50,", ",-1,", "amount", "plain decimal"),
        (",12.50,", ",0,", "amount", "more than 0"),
        (",12.50,", ", 12.50,", "amount", "plain decimal"),
        (",12.50,", ",,", "amount", "is missing"),
        (",12.50,", f",{'9' * 900},", "amount", "more than one payment may be"),
        (",12.50,", ",99999999999999.99,", "amount", "more than one payment may be"),
        (",12.50,", ",١٢,", "amount", "plain decimal"),
        (",EUR,iban", ",EURO,iban", "currency", "'EURO' is not an ISO 4217"),
        (",EUR,iban", ",XAU,iban", "currency", "no minor unit"),
        (",EUR,iban", ",,iban", "currency", "is missing"),
        (",EUR,iban", ",USD,iban", None, "does not hold USD"),
        ("iban,Ana", "ibann,Ana", "beneficiary_kind", "iban, us_account, mobile_wallet"),
        ("iban,Ana", ",Ana", "beneficiary_kind", "is missing"),
        ("Ana Lopez", "", "beneficiary_name", "is missing"),
        ("Ana Lopez", "Ana\u202eLopez", "beneficiary_name", "U+202E"),
        ("Ana Lopez", "A" * 71, "beneficiary_name", "at most 70"),
        ("po_a1", "pay-1", "id", "'pay-1' does not have the right form"),
        ("po_a1", "tr_1", "id", "does not have the right form"),
        ("po_a1", "", "id", "is missing"),
        ("wallet/acme/EUR", "acme", "account", "wallet/<owner>/<currency>"),
        ("INV-1", "", "reference", "is missing"),
        ("INV-1", "x" * 141, "reference", "at most 140"),
        ("INV-1", "x" * 1_000_000, None, "field larger than field limit"),
        ("INV-1", "x" * 100_000, "reference", "is 100000 characters long; at most 1000"),
        ("INV-1", "a\0b", "reference", "NUL"),
        ("INV-1", '"a\nb"', "reference", "is a quote left open?"),
        ("orders,,,,,", "orders,2026-13-01,,,,", "execute_on", "a day, such as 2026-12-01"),
        ("orders,,,,,", "orders,01.12.2026,,,,", "execute_on", "a day, such as 2026-12-01"),
        ("orders,,,,,", "orders,,2026-12-01T09:00:00,,,", "execute_at", "time zone"),
        ("orders,,,,,", "orders,,tomorrow,,,", "execute_at", "a moment, such as"),
        ("orders,,,,,", "orders,2026-12-01,2026-12-01T09:00:00Z,,,", None, "not both"),
        ("orders,,,,,", "orders,,,Bank!,,", "partner", "does not have the right form"),
        ("orders,,,,,", "orders,,,,,Main!", "tenant", "does not have the right form"),
        ("orders,,,,,", "orders", None, "has 13 cells, but the header names 18 columns"),
        ("orders,,,,,", "orders,,,,,,x", None, "has 19 cells, but the header names 18 columns"),
        (",,,,INV", ",021000021,,,INV", "routing_number", "does not belong to a beneficiary"),
        ("INV-1", '"INV"-1', None, "cannot be read as CSV"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_by_field_and_reason_and_the_next_one_goes_on(
    old: str, new: str, field: str | None, reason: str
) -> None:
    found_field, found_reason = only_fault(GOOD.replace(old, new, 1))
    assert found_field == field
    assert reason in found_reason
    assert len(found_reason) < 300


def test_a_line_in_another_encoding_is_named_with_its_field_and_byte() -> None:
    latin = GOOD.replace("Ana Lopez", "José López").encode("latin-1")
    assert only_fault(latin) == (
        "beneficiary_name",
        "is not UTF-8 (byte 0xE9); save the file as UTF-8",
    )


def test_every_fault_of_a_line_is_told_in_the_order_of_the_columns() -> None:
    line = GOOD.replace("po_a1", "x").replace("12.50", "1,5").replace("INV-1", "")
    _, refused = judged(
        GOOD.replace("po_a1", "x", 1).replace("INV-1", "").replace("12.50", "1.234")
    )
    assert [fault.field for fault in refused[0].faults] == ["id", "amount", "reference"]
    assert line.count(",") != GOOD.count(",")  # a decimal comma makes a cell too many
    assert only_fault(line)[1].startswith("has 19 cells")


def test_an_open_quote_tells_which_lines_were_left_out_with_it() -> None:
    right, refused = judged(good("po_1"), GOOD.replace("INV-1", '"INV-1'), good("po_2"))
    assert right == ["po_1"]
    assert refused[0].number == 3
    assert "lines 3 to 4" in refused[0].faults[0].reason


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_kind_of_line_end_and_a_byte_order_mark_are_fine(end: str, mark: bytes) -> None:
    text = end.join([HEADER, good("po_1"), "", ",,,,,,,,,,,,,,,,,", good("po_2")]) + end
    right, refused = payouts_in(mark + text.encode(), Form.CSV, name="p.csv")
    assert [(line.number, line.request.id) for line in right] == [(2, "po_1"), (5, "po_2")]
    assert not refused


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty; its first line must name the columns: id,account,"),
        (b"\n\n", "is empty"),
        (b"\xff\xfei\0d\0", "UTF-16; save it as UTF-8"),
        ("id,account".encode("utf-16-le"), "no plain text"),
        (GOOD.encode(), "has no header line: the first line is 'po_a1,wallet"),
        (HEADER.replace(",", ";").encode(), "semicolons"),
        (HEADER.replace(",", "\t").encode(), "tabs"),
        (HEADER.replace("iban,", "ibann,").encode(), "unknown column 'ibann'; did you mean 'iban'"),
        (b"id,account,colour\n", "unknown column 'colour'; the columns are: id,"),
        (HEADER.replace(",tenant", ",id").encode(), "the column 'id' stands there twice"),
        (HEADER.replace("amount,currency,", "").encode(), "the header lacks amount, currency"),
        (b'"id\n', "the header is no CSV"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused_before_any_line(
    raw: bytes, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"p\.csv") as refused:
        payouts_in(raw, Form.CSV, name="p.csv")
    assert message in str(refused.value)


def test_columns_may_stand_in_any_order_and_optional_ones_may_be_absent() -> None:
    raw = (
        b"created_by,reference,iban,beneficiary_name,beneficiary_kind,currency,amount,account,id\n"
        b"orders,INV-1,DE89370400440532013000,Ana,iban,EUR,7,wallet/acme/EUR,po_1\n"
    )
    right, refused = payouts_in(raw, Form.CSV, name="p.csv")
    assert not refused
    assert right[0].request.amount == Money(amount_minor=700, currency="EUR")
    assert right[0].request.tenant == "main"
    assert right[0].where == "p.csv:2"


@pytest.mark.parametrize(
    ("currency", "text", "minor"),
    [("JPY", "500", 500), ("EUR", "0.01", 1), ("EUR", "5", 500), ("KWD", "1.005", 1005)],
)
def test_amounts_are_read_with_the_digits_of_their_currency(
    currency: str, text: str, minor: int
) -> None:
    raw = (
        "id,source,destination,amount,currency,reference,created_by\n"
        f"tr_1,wallet/a/{currency},wallet/b/{currency},{text},{currency},r,me"
    )
    right, _ = transfers_in(raw.encode(), Form.CSV, name="t.csv")
    assert right[0].request.amount == Money(amount_minor=minor, currency=currency)


JSON_LINE = (
    '{"id":"po_1","account":"wallet/acme/EUR","amount":{"amount_minor":1250,"currency":"EUR"},'
    '"beneficiary":{"kind":"iban","name":"Ana","iban":"DE89370400440532013000"},'
    '"reference":"r","created_by":"orders"}'
)


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ("1250", "12.5", "amount.amount_minor", "whole number of minor units"),
        ("1250", "1250.0", "amount.amount_minor", "whole number of minor units"),
        ("1250", "1e3", "amount.amount_minor", "whole number of minor units"),
        ("1250", '"1250"', "amount.amount_minor", "whole number of minor units"),
        ("1250", "true", "amount.amount_minor", "whole number of minor units"),
        ("1250", "NaN", "amount.amount_minor", ""),
        ('"iban":"DE89370400440532013000"', '"iban":"DE1"', "beneficiary.iban", "not a valid IBAN"),
        ('"kind":"iban"', '"kind":"cash"', "beneficiary.kind", "must be one of"),
        ('"reference":"r",', "", "reference", "is missing"),
        ('"reference"', '"colour":1,"reference"', "colour", "is no field of this"),
        ('"reference"', '"id":"po_2","reference"', "id", "stands there twice"),
        ('"reference"', "reference", None, "is no JSON object"),
        (JSON_LINE, "[" * 100_000, None, "characters long"),
        (JSON_LINE, '{"a":' * 9_000, None, "is no JSON object"),
        (JSON_LINE, "17", None, "is no JSON object"),
        (JSON_LINE, '{"amount":' + "9" * 5_000 + "}", None, "is no JSON object"),
    ],
)
def test_a_bad_line_of_json_is_refused_by_field_and_reason_and_the_next_one_goes_on(
    old: str, new: str, field: str | None, reason: str
) -> None:
    following = JSON_LINE.replace("po_1", "po_2")
    raw = f"{following}\n{JSON_LINE.replace(old, new, 1)}\n\n{JSON_LINE}\r\n".encode()
    right, refused = payouts_in(raw, Form.JSONL, name="p.jsonl")
    assert [(line.number, line.request.id) for line in right] == [(1, "po_2"), (4, "po_1")]
    assert [bad.number for bad in refused] == [2]
    assert field is None or field in [fault.field for fault in refused[0].faults]
    assert any(reason in fault.reason for fault in refused[0].faults)


@pytest.mark.parametrize("raw", [b"", b" \n", b"[\n]", b'{\n "id": 1\n}'])
def test_json_that_is_no_json_lines_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="object"):
        payouts_in(raw, Form.JSONL, name="p.jsonl")


def test_csv_and_json_lines_of_the_same_payout_are_the_same_request() -> None:
    line = GOOD.replace("po_a1", "po_1").replace("Ana Lopez", "Ana").replace("INV-1", "r")
    from_csv, _ = payouts_in(f"{HEADER}\n{line}".encode(), Form.CSV, name="p.csv")
    from_json, _ = payouts_in(JSON_LINE.encode(), Form.JSONL, name="p.jsonl")
    assert from_csv[0].request == from_json[0].request


def test_accounts_have_a_tenant_and_may_have_funding_in_their_own_currency() -> None:
    raw = b"account,tenant,funding\nwallet/a/JPY,,500\nwallet/b/EUR,acme,\nwallet/c/EUR,,1.234\n"
    right, refused = accounts_in(raw, Form.CSV, name="a.csv")
    assert right[0].request.funding == Money(amount_minor=500, currency="JPY")
    assert (right[1].request.tenant, right[1].request.funding) == ("acme", None)
    assert str(refused[0]) == "a.csv:4: funding: '1.234' has 3 decimals, but EUR has 2"


@pytest.mark.parametrize("account", ["wallet/a/ZZZ", "nostro/simulator/EUR", ""])
def test_only_wallets_in_money_can_be_opened(account: str) -> None:
    raw = f"tenant,account\nmain,{account}\n".encode()
    right, refused = accounts_in(raw, Form.CSV, name="a.csv")
    assert not right
    assert refused[0].number == 2


def test_the_examples_are_right_but_for_the_one_line_that_shows_a_bad_iban() -> None:
    payouts, refused = read_payouts(EXAMPLES / "payouts.csv")
    assert len(payouts) >= 200
    assert [fault.field for bad in refused for fault in bad.faults] == ["iban"]
    for right, wrong in (
        read_transfers(EXAMPLES / "transfers.csv"),
        read_accounts(EXAMPLES / "accounts.csv"),
    ):
        assert right
        assert not wrong


def test_a_path_that_cannot_be_read_or_says_no_format_is_refused(tmp_path: Path) -> None:
    unknown = tmp_path / "payouts.xlsx"
    unknown.write_bytes(b"PK")
    for path, message in (
        (tmp_path / "none.csv", "No such file"),
        (tmp_path, "Is a directory"),
        (unknown, "JSON Lines"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            read_payouts(path)
