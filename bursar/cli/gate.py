"""`bursar pause`, `resume`, `rails`, `limits`, `people`: what is stopped and bounded, by whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from bursar.cli import options, session
from bursar.cli.connection import Connection
from bursar.cli.options import examples
from bursar.cli.output import amount, cell, console, moment, print_json, short, table
from bursar.errors import InvalidRequest
from bursar.gate import (
    CapBody,
    CapView,
    DisableBody,
    GateAnswer,
    GateOutcome,
    PauseView,
    RailList,
    Scope,
    SwitchBody,
)
from bursar.money import Money

if TYPE_CHECKING:  # it takes longer to import than a wrong option takes to refuse
    from bursar.reader import Reader

_WORDS = {
    GateOutcome.PAUSED: "paused: nothing is handed over any more, and nothing is lost",
    GateOutcome.PAUSED_ALREADY: "is paused already",
    GateOutcome.RESUMED: "resumed: what waited goes on",
    GateOutcome.PAUSED_STILL: "still paused: what somebody had paused before is in force again",
    GateOutcome.NOT_PAUSED: "is not paused",
    GateOutcome.SET: "set",
    GateOutcome.ENDED: "ended",
    GateOutcome.NOT_SET: "has no limit",
    GateOutcome.DISABLED: "disabled: no approval of theirs counts any more",
    GateOutcome.DISABLED_ALREADY: "is disabled already",
}

_Model = TypeVar("_Model", bound=BaseModel)

By: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="In whose name, for the record. Whoever holds the token answers for it.",
    ),
]
Reason: TypeAlias = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept on record for ever.")
]
Partner: TypeAlias = Annotated[
    str | None, typer.Option("--partner", metavar="NAME", help="One partner's rail.")
]
Currency: TypeAlias = Annotated[
    str | None, typer.Option("--currency", metavar="CODE", help="One currency, such as EUR.")
]
Tenant: TypeAlias = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="One tenant.")
]
Everything: TypeAlias = Annotated[bool, typer.Option("--all", metavar="", help="Everything.")]
OfCurrency: TypeAlias = Annotated[
    str, typer.Option("--currency", metavar="CODE", help="Of which currency, such as EUR.")
]

limits_app = typer.Typer(
    help="Limits on what is handed over, in one payment and in one UTC day.",
    no_args_is_help=True,
    epilog=examples("bursar limits list"),
)
people_app = typer.Typer(
    help="People whose words and tokens count no more.",
    no_args_is_help=True,
    epilog=examples('bursar people disable ana --by chief --reason "left the company"'),
)


def pause(
    context: typer.Context,
    reason: Reason,
    partner: Partner = None,
    currency: Currency = None,
    tenant: Tenant = None,
    everything: Everything = False,
    by: By = None,
    as_json: options.Json = False,
) -> None:
    """Stop handing money over: to one partner, in one currency, of one tenant, or all.

    Once it has answered, no payout is handed over and no transfer is booked
    that it is about; what was handed over before goes on to its end. Payments
    wait, may be cancelled, and go on after `bursar resume`.
    """
    body = _switch(partner, currency, tenant, everything, by, reason)
    _change(context, _called(body), lambda reader: reader.pause(body), as_json=as_json)


def resume(
    context: typer.Context,
    reason: Reason,
    partner: Partner = None,
    currency: Currency = None,
    tenant: Tenant = None,
    everything: Everything = False,
    by: By = None,
    as_json: options.Json = False,
) -> None:
    """Lift a pause; those by others only with a token that has the role admin."""
    body = _switch(partner, currency, tenant, everything, by, reason)
    _change(context, _called(body), lambda reader: reader.resume(body), as_json=as_json)


def rails(context: typer.Context, as_json: options.Json = False) -> None:
    """Show each rail with what waits before it, and all pauses and limits in force."""
    found = session.run(_rails(session.connection_of(context)))
    if as_json:
        print_json(found)
        return
    _print_rails(found)
    if found.pauses:
        _print_pauses(found.pauses)
    if found.caps:
        _print_caps(found.caps)


@limits_app.command(
    "set",
    epilog=examples(
        'bursar limits set --currency EUR --per-day 250000.00 --reason "new rail"',
        "bursar limits set --currency EUR --partner simulator --per-payment 9000.00 \\",
        '  --reason "as the bank asks"',
    ),
)
def set_limit(
    context: typer.Context,
    currency: OfCurrency,
    reason: Reason,
    per_payment: Annotated[
        str | None, typer.Option("--per-payment", metavar="AMOUNT", help="Such as 9000.00.")
    ] = None,
    per_day: Annotated[
        str | None,
        typer.Option("--per-day", metavar="AMOUNT", help="Of all payouts of a UTC day."),
    ] = None,
    partner: Partner = None,
    tenant: Tenant = None,
    by: By = None,
    as_json: options.Json = False,
) -> None:
    """Set or replace a limit; it needs a token with the role admin.

    A payout over it waits, a case calls a person, and nothing is lost.
    """
    if per_payment is None and per_day is None:
        raise InvalidRequest("give --per-payment, --per-day or both", field="per_day")
    bounds = {
        "per_payment_minor": _minor("per-payment", per_payment, currency),
        "per_day_minor": _minor("per-day", per_day, currency),
    }
    _cap(context, currency, partner, tenant, by, reason, bounds, as_json=as_json)


@limits_app.command(
    "end", epilog=examples('bursar limits end --currency EUR --by ana --reason "no more needed"')
)
def end_limit(
    context: typer.Context,
    currency: OfCurrency,
    reason: Reason,
    partner: Partner = None,
    tenant: Tenant = None,
    by: By = None,
    as_json: options.Json = False,
) -> None:
    """End a limit; it needs a token with the role admin."""
    _cap(context, currency, partner, tenant, by, reason, {}, as_json=as_json)


@limits_app.command("list", epilog=examples("bursar limits list", "bursar limits list --json"))
def list_limits(context: typer.Context, as_json: options.Json = False) -> None:
    """List the limits in force, with what has been claimed under them today."""
    found = session.run(_rails(session.connection_of(context)))
    if as_json:
        print_json({"limits": [cap.model_dump(mode="json") for cap in found.caps]})
    elif found.caps:
        _print_caps(found.caps)
    else:
        console().print("No limits are set.")


@people_app.command(
    "disable",
    epilog=examples('bursar people disable ana --by chief --reason "left the company"'),
)
def disable(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose.", show_default=False)],
    reason: Reason,
    by: By = None,
    as_json: options.Json = False,
) -> None:
    """Make a person's words count no more, for ever, and also those of before.

    The gateway refuses their tokens from then on. It needs a token with the role admin.
    """
    body = _checked(DisableBody, {"name": name, "on_behalf_of": by, "reason": reason})
    _change(context, name, lambda reader: reader.disable_person(body), as_json=as_json)


def _cap(
    context: typer.Context,
    currency: str,
    partner: str | None,
    tenant: str | None,
    by: str | None,
    reason: str,
    bounds: dict[str, int | None],
    *,
    as_json: bool,
) -> None:
    given = {"currency": currency, "partner": partner, "tenant": tenant, **bounds}
    body = _checked(CapBody, {**given, "on_behalf_of": by, "reason": reason})
    about = " ".join(name for name in ("limit", currency, partner, tenant) if name)
    _change(context, about, lambda reader: reader.set_limit(body), as_json=as_json)


def _switch(
    partner: str | None,
    currency: str | None,
    tenant: str | None,
    everything: bool,
    by: str | None,
    reason: str,
) -> SwitchBody:
    """Return what is to be switched; exactly one of the options says it.

    Raises:
        InvalidRequest: None or several were given, or one does not fit.
    """
    given = {Scope.PARTNER: partner, Scope.CURRENCY: currency, Scope.TENANT: tenant}
    named = [(scope, name) for scope, name in given.items() if name is not None]
    named += [(Scope.ALL, "")] if everything else []
    if len(named) != 1:
        raise InvalidRequest("give one of --partner, --currency, --tenant and --all")
    ((scope, name),) = named
    return _checked(
        SwitchBody, {"scope": scope, "name": name, "on_behalf_of": by, "reason": reason}
    )


def _checked(model: type[_Model], given: dict[str, Any]) -> _Model:
    """Return the act, or say what is wrong with it.

    Raises:
        InvalidRequest: An option does not fit.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "name"
        option = {"on_behalf_of": "--by", "name": "the name"}.get(field, f"--{field}")
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidRequest(f"{option}: {reason[:1].lower()}{reason[1:]}", field=field) from error


def _minor(option: str, text: str | None, currency: str) -> int | None:
    if text is None:
        return None
    try:
        return Money.parse(text, currency).amount_minor
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise InvalidRequest(f"--{option}: {reason}", field=option.replace("-", "_")) from error
    except ValueError as error:
        raise InvalidRequest(f"--{option}: {error}", field=option.replace("-", "_")) from error


def _called(body: SwitchBody) -> str:
    return "everything" if body.scope is Scope.ALL else f"{body.scope} {body.name}"


_Act: TypeAlias = Callable[["Reader"], Awaitable[GateAnswer]]


def _change(context: typer.Context, about: str, act: _Act, *, as_json: bool) -> None:
    """Act through the gateway, and say what came of it."""
    answer = session.run(_through_the_gateway(session.connection_of(context), act))
    if as_json:
        print_json(answer)
        return
    mark = cell("✓ ", "green")
    mark.append(f"{about} ", style="bold")
    mark.append(_WORDS[answer.outcome])
    console().print(mark)


async def _through_the_gateway(connection: Connection, act: _Act) -> GateAnswer:
    async with session.reader(connection) as reader:
        return await act(reader)


async def _rails(connection: Connection) -> RailList:
    async with session.reader(connection) as reader:
        return await reader.rails()


def _print_rails(found: RailList) -> None:
    shown = table("rail", "", ("waiting", "right"), ("held back", "right"), "since")
    for rail in found.rails:
        shown.add_row(
            cell(rail.partner),
            cell("paused", "red") if rail.paused else cell("open", "green"),
            str(rail.waiting),
            str(rail.held_back),
            moment(rail.waiting_since),
        )
    console().print(shown)
    if found.transfers_waiting:
        what = "Transfers that wait for their date or the end of a pause"
        console().print(f"{what}: {found.transfers_waiting}")


def _print_pauses(pauses: tuple[PauseView, ...]) -> None:
    shown = table("paused", "", "since", "by", ("reason", "fold"), title="Pauses")
    for each in pauses:
        by = f"{each.paused_by} for {each.paused_for}" if each.paused_for else each.paused_by
        shown.add_row(
            cell(each.scope), cell(each.name), moment(each.paused_at), cell(by), short(each.reason)
        )
    console().print(shown)


def _print_caps(caps: tuple[CapView, ...]) -> None:
    shown = table(
        "limit",
        "partner",
        "tenant",
        ("per payment", "right"),
        ("per day", "right"),
        ("today", "right"),
        "by",
        ("reason", "fold"),
        title="Limits",
    )
    for each in caps:
        bounds = (each.per_payment_minor, each.per_day_minor, each.claimed_today_minor)
        shown.add_row(
            cell(each.currency),
            cell(each.partner or "any"),
            cell(each.tenant or "any"),
            *("" if bound is None else amount(bound, each.currency) for bound in bounds),
            cell(each.set_by),
            short(each.reason),
        )
    console().print(shown)
