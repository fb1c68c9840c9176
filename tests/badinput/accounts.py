"""B-iban: numbers of accounts, with examples of the SWIFT IBAN registry to make wrong ones from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.badinput.entry import GONE, Entry

IBAN = "beneficiary.iban"

EXAMPLES = (
    *("AD1200012030200359100100", "AE070331234567890123456", "AL47212110090000000235698741"),
    *("AT611904300234573201", "AZ21NABZ00000000137010001944", "BA391290079401028494"),
    *("BE68539007547034", "BG80BNBG96611020345678", "BH67BMAG00001299123456"),
    *("BR1800360305000010009795493C1", "CH9300762011623852957", "CR05015202001026284066"),
    *("CY17002001280000001200527600", "CZ6508000000192000145399", "DE89370400440532013000"),
    *("DK5000400440116243", "DO28BAGR00000001212453611324", "EE382200221020145685"),
    *("ES9121000418450200051332", "FI2112345600000785", "FO6264600001631634"),
    *("FR1420041010050500013M02606", "GB29NWBK60161331926819", "GE29NB0000000101904917"),
    *("GI75NWBK000000007099453", "GL8964710001000206", "GR1601101250000000012300695"),
    *("GT82TRAJ01020000001210029690", "HR1210010051863000160", "HU42117730161111101800000000"),
    *("IE29AIBK93115212345678", "IL620108000000099999999", "IS140159260076545510730339"),
    *(
        "IT60X0542811101000000123456",
        "JO94CBJO0010000000000131000302",
        "KW81CBKU0000000000001234560101",
    ),
    *("KZ86125KZT5004100100", "LB62099900000001001901229114", "LC55HEMM000100010012001200023015"),
    *("LI21088100002324013AA", "LT121000011101001000", "LU280019400644750000"),
    *("LV80BANK0000435195001", "MC5811222000010123456789030", "MD24AG000225100013104168"),
    *("ME25505000012345678951", "MK07250120000058984", "MR1300020001010000123456753"),
    *("MT84MALT011000012345MTLCAST001S", "MU17BOMM0101101030300200000MUR", "NL91ABNA0417164300"),
    *("NO9386011117947", "PK36SCBL0000001123456702", "PL61109010140000071219812874"),
    *(
        "PS92PALS000000000400123456702",
        "PT50000201231234567890154",
        "QA58DOHB00001234567890ABCDEFG",
    ),
    *("RO49AAAA1B31007593840000", "RS35260005601001611379", "SA0380000000608010167519"),
    *("SE4550000000058398257466", "SI56263300012039086", "SK3112000000198742637541"),
    *("SM86U0322509800000000270100", "TN5910006035183598478831", "TR330006100519786457841326"),
    *("UA213223130000026007233566001", "VG96VPVG0000012345678901", "XK051212012345678906"),
)
"""One well-formed IBAN for each country."""

NO_IBAN: tuple[Any, ...] = (
    *("", "DE", "DE89", "GB", "XX", "0", "not an iban", "370400440532013000", "IBAN DE89"),
    *("ZZ89370400440532013000", "US89370400440532013000", "AA11", "DE00370400440532013000"),
    *("DE01370400440532013000", "DE99370400440532013000", "DE8937040044053201300O", "D" * 34),
    *("DE89-3704-0044-0532-0130-00", "iban:DE89370400440532013000", "DE89370400440532013000\n"),
    *("9" * 34, "DE89" + "0" * 18, "DE89370400440532013000" * 40, "'; drop table payments;--"),
)
NO_TEXT: tuple[Any, ...] = (None, 89370400440532013000, True, [], {}, 1.5)
NO_BIC = (
    *("", "DEUT", "DEUTDEF", "DEUTDEFFX", "deutdeff", "DEUT DEFF", "DEUTDEFF ", "DEUTXXFF"),
    *("DEUTDEFF5000", "DEUT99FF", "ДEUTDEFF", "DEUTDE＃＃", "DEUTDEFF\u200b", "D" * 80),
)
BIC_OF_ELSEWHERE = ("CAIXESBB", "NWBKGB2L", "BNPAFRPP", "ABNANL2A", "CHASUS33")


def entries() -> Iterator[Entry]:
    """Give every entry."""
    for iban in EXAMPLES:
        country = iban[:2]
        yield Entry("B-iban", f"{country}: the registry's own", IBAN, iban, None)
        for what, wrong in _spoilt(iban):
            yield Entry("B-iban", f"{country}: {what}", IBAN, wrong, "iban_invalid")
    for value in NO_IBAN:
        yield Entry("B-iban", f"{value!r:.30}", IBAN, value, "iban_invalid")
    for value in NO_TEXT:
        yield Entry("B-iban", f"{value!r} as IBAN", IBAN, value, "type_invalid")
    yield Entry("B-iban", "no IBAN", IBAN, GONE, "missing")
    for bic in NO_BIC:
        yield Entry("B-iban", f"{bic!r:.30} as BIC", "beneficiary.bic", bic, "bic_invalid")
    for bic in BIC_OF_ELSEWHERE:
        what = f"{bic} for a German IBAN"
        yield Entry("B-iban", what, "beneficiary.bic", bic, "bic_mismatch", "beneficiary")
    for bic in ("DEUTDEFF", "DEUTDEFF500", "COBADEFFXXX"):
        yield Entry("B-iban", bic, "beneficiary.bic", bic, None)


def _spoilt(iban: str) -> Iterator[tuple[str, str]]:
    digit = "5" if iban[-1] != "5" else "6"
    yield "last character", iban[:-1] + digit
    yield "check digit", iban[:2] + f"{(int(iban[2:4]) + 1) % 100:02}" + iban[4:]
    yield "too short", iban[:-1]
    yield "too long", iban + "0"
    yield "lower case", iban.lower()
    yield "in groups", " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
    yield "a space before", " " + iban
    yield "zero width", iban[:6] + "\u200b" + iban[6:]
    yield "full width", iban[:-1] + chr(ord("０") + 1)
