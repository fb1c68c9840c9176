"""Cases and set-aside events on the command line: what is printed, asked, and ended with."""

from __future__ import annotations

from datetime import timedelta

from bursar.cases import kind_of
from bursar.cli.cases import age
from bursar.cli.codes import ExitCode
from bursar.views import (
    CaseAnswer,
    CasePage,
    CaseView,
    CaseWordView,
    EventPage,
    EventView,
    Problem,
    Redriven,
)
from tests.cli import sample
from tests.cli.conftest import Cli
from tests.cli.small_gateway import SmallGateway

JSON = "application/json"


def a_case(case_id: int = 7, **more: object) -> CaseView:
    kind = kind_of("paid_twice")
    fields: dict[str, object] = {
        "id": case_id,
        "kind": "paid_twice",
        "payment_id": "po_1",
        "tenant": "main",
        "amount_minor": 125000,
        "currency": "EUR",
        "suspense": "suspense/out/simulator/EUR",
        "owner": None,
        "opened_at": sample.NOON,
        "age_seconds": 3 * 86_400 + 5,
        "opened_by": "partner:simulator",
        "detail": "debited it once more, as bl_2",
        "posting": "po_1/paid_twice/bl_2",
        "original": "po_1/settle/1",
        "partner_breach": True,
        "closed_at": None,
        "closed_by": None,
        "resolution": None,
        "says": kind.says,
        "ways": kind.ways,
    }
    return CaseView.model_validate(fields | more)


def an_event() -> EventView:
    return EventView(
        id=4711,
        partner="simulator",
        event_id="evt_1",
        kind="paid",
        payment_id="po_1",
        reference="po_1-1",
        amount_minor=125000,
        currency="EUR",
        received_at=sample.NOON,
        applied_at=None,
        verdict=None,
        failures=5,
        last_error="ValueError",
        set_aside_at=sample.NOON + timedelta(minutes=1),
        redrives=0,
    )


def answers(gateway: SmallGateway, content: object, status: int = 200) -> None:
    body = content.model_dump_json()  # type: ignore[attr-defined]  # views and problems only
    gateway.canned = (status, JSON, body.encode())


def test_a_list_of_cases_says_what_is_at_stake_how_old_it_is_and_whose(
    connected: Cli, gateway: SmallGateway
) -> None:
    answers(gateway, CasePage(cases=(a_case(), a_case(8, owner="ana")), next_cursor="abc"))
    ended = connected("cases", "list", "--kind", "paid_twice", "--limit", "2")
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    for expected in ("paid_twice", "1,250.00 EUR", "3 d", "po_1", "nobody", "ana", "--cursor abc"):
        assert expected in ended.out
    assert gateway.asked[-1][1] == "/v1/cases?state=open&kind=paid_twice&limit=2"


def test_no_case_is_good_news(connected: Cli, gateway: SmallGateway) -> None:
    answers(gateway, CasePage(cases=(), next_cursor=None))
    assert "No case waits." in connected("cases", "list").out


def test_a_case_is_shown_with_its_money_what_people_said_and_the_ways_out(
    connected: Cli, gateway: SmallGateway
) -> None:
    word = CaseWordView(
        at=sample.NOON,
        principal="ana",
        verb="resolve",
        decision="loss/partner/EUR",
        evidence="ticket 4711",
    )
    answers(gateway, a_case(words=(word,)))
    ended = connected("cases", "show", "7")
    assert ended.code == ExitCode.OK
    for expected in (
        "suspense/out/simulator/EUR",
        "po_1/settle/1",
        "breach by the partner",
        "ticket 4711",
        "Ways to resolve it",
        "bursar cases resolve 7 --to loss/",
    ):
        assert expected in ended.out
    assert "resolve ID" not in ended.out
    assert CaseView.model_validate(connected("cases", "show", "7", "--json").json).words == (word,)


def test_the_ways_out_of_a_case_name_its_payment(connected: Cli, gateway: SmallGateway) -> None:
    kind = kind_of("outcome_unknown")
    answers(gateway, a_case(kind="outcome_unknown", ways=kind.ways))
    assert "bursar resolve po_1 --outcome" in connected("cases", "show", "7").out


def test_a_word_on_a_case_goes_to_the_gateway_without_a_name(
    connected: Cli, gateway: SmallGateway
) -> None:
    answers(gateway, CaseAnswer(id=7, verdict="recorded", detail="a second person has to"))
    told = connected(
        "cases", "resolve", "7", "--to", "loss/partner/EUR", "--evidence", "ticket 4711"
    )
    assert told.code == ExitCode.OK
    assert "recorded" in told.out
    body = {"evidence": "ticket 4711", "to": "loss/partner/EUR"}
    assert gateway.asked[-1] == ("POST", "/v1/cases/7/resolve", body)
    connected("cases", "assign", "7", "--to", "ana")
    assert gateway.asked[-1] == ("POST", "/v1/cases/7/assign", {"owner": "ana"})


def test_what_the_gateway_refuses_ends_with_a_code_of_its_own(
    connected: Cli, gateway: SmallGateway
) -> None:
    def problem(status: int, code: str) -> Problem:
        return Problem(type="urn:x", title="No", status=status, detail="not so", code=code)

    for status, word, code in (
        (404, "case_not_found", ExitCode.NOT_FOUND),
        (409, "case_closed", ExitCode.REFUSED),
        (422, "invalid_request", ExitCode.INVALID),
        (403, "not_allowed", ExitCode.NOT_AUTHORISED),
    ):
        answers(gateway, problem(status, word), status)
        assert connected("cases", "resolve", "7", "--evidence", "seen").code == code


def test_a_case_has_a_number(connected: Cli) -> None:
    assert connected("cases", "show", "po_1").code == ExitCode.INVALID


def test_events_that_were_set_aside_are_listed_and_brought_back(
    connected: Cli, gateway: SmallGateway
) -> None:
    answers(gateway, EventPage(events=(an_event(),), next_cursor=None))
    listed = connected("events", "list", "--set-aside")
    assert "set aside: ValueError" in listed.out
    assert gateway.asked[-1][1] == "/v1/events?set_aside=true&limit=50"
    answers(gateway, Redriven(ids=(4711,)))
    assert "4711" in connected("events", "redrive", "4711").out
    assert gateway.asked[-1][2] == {"ids": [4711]}
    connected("events", "redrive", "--all")
    assert gateway.asked[-1][2] == {"all": True}
    answers(gateway, Redriven(ids=()))
    assert connected("events", "redrive", "4711").code == ExitCode.REFUSED


def test_a_redrive_names_events_or_says_all(connected: Cli) -> None:
    for wrong in ((), ("4711", "--all"), ("0",), ("x",)):
        assert connected("events", "redrive", *wrong).code == ExitCode.INVALID


def test_a_payouts_sheet_shows_its_cases_and_what_came_back(
    connected: Cli, gateway: SmallGateway
) -> None:
    view = sample.payout("po_1")
    gateway.payments["po_1"] = view.model_copy(
        update={"cases": (a_case(),), "returned_minor": 50000}
    )
    told = connected("payouts", "show", "po_1").out
    assert "500.00 EUR of it" in told
    assert "paid_twice" in told
    assert "bursar cases show 7" in told


def test_an_age_is_told_in_its_largest_unit() -> None:
    assert [age(n) for n in (-1, 59, 60, 3_599, 7_200, 172_800)] == [
        "0 s",
        "59 s",
        "1 min",
        "59 min",
        "2 h",
        "2 d",
    ]
