"""`bursar approve`, `deny`, `cancel` and `resolve`: what a person does to one payment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bursar.actions import Answer, Approve, Cancel, Deny, Outcome, Resolve, Verdict
from bursar.cli import options, session
from bursar.cli.codes import ExitCode, code_of_answer
from bursar.cli.connection import Connection
from bursar.cli.faults import spelled_out
from bursar.cli.output import cell, console, print_json
from bursar.errors import InvalidRequest, ServiceUnavailable
from bursar.inputs import read

if TYPE_CHECKING:  # it takes longer to import than a wrong option takes to refuse
    from bursar.reader import Verb

ANSWER_SECONDS_MAX = 30
"""How long a worker may take to answer; nobody waits longer at a prompt."""

_WORDS = {
    Verdict.RECORDED: "recorded",
    Verdict.APPROVED: "approved",
    Verdict.DENIED: "denied",
    Verdict.CANCELLED: "cancelled: nothing has moved, and nothing will",
    Verdict.TOO_LATE: "too late: it is past the point of no return; your wish is recorded",
    Verdict.ALREADY_FINAL: "has ended already",
    Verdict.RESOLVED: "resolved",
    Verdict.NOT_WAITING: "does not wait for this",
    Verdict.NOT_ALLOWED: "you may not do this",
}

_Action = Approve | Deny | Cancel | Resolve


def approve(
    context: typer.Context,
    payment_id: options.AnyId,
    by: options.By = None,
    reason: options.MaybeReason = None,
    as_json: options.Json = False,
) -> None:
    """Approve a payment that waits for it; never one of your own."""
    _act(context, "approve", payment_id, {"by": by, "reason": reason}, as_json=as_json)


def deny(
    context: typer.Context,
    payment_id: options.AnyId,
    reason: options.Reason,
    by: options.By = None,
    as_json: options.Json = False,
) -> None:
    """Deny a payment that waits for approval: it ends, and nothing moves."""
    _act(context, "deny", payment_id, {"by": by, "reason": reason}, as_json=as_json)


def cancel(
    context: typer.Context,
    payment_id: options.AnyId,
    reason: options.Reason,
    by: options.By = None,
    as_json: options.Json = False,
) -> None:
    """Cancel a payment, if it is not too late.

    Until the payment is handed to the partner, a cancel wins. Afterwards it is
    recorded as a wish, and the command ends with code 1.
    """
    _act(context, "cancel", payment_id, {"by": by, "reason": reason}, as_json=as_json)


def resolve(
    context: typer.Context,
    payment_id: options.AnyId,
    outcome: Annotated[
        Outcome, typer.Option("--outcome", help="What the partner's own records say.")
    ],
    evidence: Annotated[
        str,
        typer.Option("--evidence", metavar="TEXT", help="Where: a statement line, a ticket."),
    ],
    by: options.By = None,
    confirmed_by: Annotated[
        str | None,
        typer.Option("--confirmed-by", metavar="NAME", help="With --by: the second person."),
    ] = None,
    partner_ref: Annotated[
        str | None,
        typer.Option("--partner-ref", metavar="TEXT", help="The partner's reference for it."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Decide a payment in review, with evidence and two people.

    Each of the two runs this with a token of their own; the second word decides.
    With --by, where names in messages are believed, name both at once.
    """
    if (by is None) != (confirmed_by is None):
        raise InvalidRequest("--by and --confirmed-by go together", field="confirmed_by")
    fields = {
        "by": by,
        "outcome": outcome,
        "evidence": evidence,
        "partner_ref": partner_ref,
        "confirmed_by": confirmed_by,
    }
    _act(context, "resolve", payment_id, fields, as_json=as_json)


_MODELS: dict[Verb, type[_Action]] = {
    "approve": Approve,
    "deny": Deny,
    "cancel": Cancel,
    "resolve": Resolve,
}


def _act(
    context: typer.Context, verb: Verb, payment_id: str, fields: dict[str, Any], *, as_json: bool
) -> None:
    session.checked_id(payment_id)
    action = _checked(verb, fields)
    connection = session.connection_of(context)
    if fields["by"] is None:
        answer = session.run(_through_the_gateway(connection, verb, payment_id, action))
    else:
        answer = session.run(_through_temporal(connection, verb, payment_id, action))
    code = code_of_answer(answer)
    if as_json:
        print_json({"id": payment_id, **answer.model_dump(mode="json")})
    else:
        _print(payment_id, answer, good=code is ExitCode.OK)
    raise typer.Exit(code)


def _checked(verb: Verb, fields: dict[str, Any]) -> _Action:
    """Return the action, or say which option is wrong; without `by`, the gateway names the actor.

    Raises:
        InvalidRequest: An option does not fit.
    """
    given = {**fields, "by": "token" if fields["by"] is None else fields["by"]}
    try:
        return read(_MODELS[verb], given)
    except InvalidRequest as error:
        first = spelled_out(error.faults[0])
        option = (first.field or "").replace("_", "-")
        raise InvalidRequest(
            f"--{option}: {first.reason}", field=first.field, code=first.code, faults=error.faults
        ) from error


async def _through_the_gateway(
    connection: Connection, verb: Verb, payment_id: str, action: _Action
) -> Answer:
    body = action.model_dump(mode="json", exclude={"by", "verb"}, exclude_none=True)
    async with session.reader(connection) as reader:
        return await reader.act(payment_id, verb, body)


async def _through_temporal(
    connection: Connection, verb: Verb, payment_id: str, action: _Action
) -> Answer:
    bursar = await session.bursar(connection)
    payout = payment_id.startswith("po_")
    handle = bursar.payout(payment_id) if payout else bursar.transfer_handle(payment_id)
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            match action:
                case Approve():
                    return await handle.approve(action.by, action.reason)
                case Deny():
                    return await handle.deny(action.by, action.reason)
                case Cancel():
                    return await handle.cancel(action.by, action.reason)
                case Resolve():
                    return await handle.resolve(action)
    except TimeoutError as error:
        raise ServiceUnavailable(
            f"no worker has answered within {ANSWER_SECONDS_MAX} s whether it could {verb} "
            f"{payment_id}; it may still happen"
        ) from error


def _print(payment_id: str, answer: Answer, *, good: bool) -> None:
    mark = cell("✓ ", "green") if good else cell("✗ ", "red")
    mark.append(f"{payment_id} ", style="bold")
    mark.append(_WORDS[answer.verdict])
    console().print(mark)
    if answer.detail:
        console().print(cell(f"  {answer.detail}", "dim"))
