"""The sheet: everything that is known of one payment, for a person to read."""

from __future__ import annotations

from urllib.parse import quote

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bursar import names
from bursar.cli.cases import case_table
from bursar.cli.connection import Connection
from bursar.cli.output import amount, cell, console, moment, short, state_cell, table
from bursar.payments import PaymentState
from bursar.views import PaymentView

_WHAT_NEXT = {
    PaymentState.AWAITING_APPROVAL: "bursar approve {id} --by NAME",
    PaymentState.SCHEDULED: "bursar cancel {id} --by NAME --reason TEXT",
    PaymentState.IN_REVIEW: "bursar resolve {id} --outcome paid --evidence TEXT --by NAME "
    "--confirmed-by NAME",
}


def print_sheet(view: PaymentView, connection: Connection) -> None:
    """Print everything that is known of one payment."""
    out = console()
    for part in _sheet(view):
        out.print(part)
        out.print()
    open_case = next((case for case in view.cases if case.closed_at is None), None)
    hint = _WHAT_NEXT.get(view.payment.state)
    if hint is None and open_case is not None:
        hint = f"bursar cases show {open_case.id}"
    if hint:
        out.print(f"Next:     {hint.format(id=view.payment.id)}", soft_wrap=True)
    if connection.ui_url:
        workflow = quote(names.workflow_id(view.payment.id), safe="")
        host = connection.ui_url.partition("/namespaces/")[0].rstrip("/")
        page = f"{host}/namespaces/{connection.temporal_namespace}/workflows/{workflow}"
        out.print(f"Temporal: {page}", style="dim", soft_wrap=True)


def _sheet(view: PaymentView) -> list[RenderableType]:
    parts: list[RenderableType] = [Group(_head(view), _facts(view)), _timeline(view)]
    if view.attempts:
        parts.append(_attempts(view))
    if view.words:
        parts.append(_words(view))
    if view.postings:
        parts.append(_postings(view))
    if view.cases:
        parts.append(case_table(view.cases, title="Cases"))
    return parts


def _head(view: PaymentView) -> Text:
    payment = view.payment
    head = Text.assemble((payment.id, "bold"), f"  {payment.kind}  ", state_cell(payment.state))
    if payment.code:
        head.append(f"  {payment.code}", style="dim")
    return head


def _facts(view: PaymentView) -> Table:
    payment = view.payment
    money = f"{amount(payment.amount_minor, payment.currency)} {payment.currency}"
    if payment.fee_minor:
        money += f"  and a fee of {amount(payment.fee_minor, payment.currency)}"
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    rows: list[tuple[str, str | None]] = [
        ("amount", money),
        ("came back", _came_back(view)),
        ("from", payment.account),
        ("to", _payee(view)),
        *(("caution", caution) for caution in view.cautions),
        ("partner", payment.partner),
        ("reference", payment.reference),
        ("created", f"{moment(payment.created_at)} UTC by {payment.created_by}"),
        ("execute", f"{moment(view.execute_at)} UTC" if view.execute_at else None),
        ("approvals", _approvals(view)),
        ("next", _next(view)),
        ("tenant", payment.tenant if payment.tenant != "main" else None),
    ]
    for name, value in rows:
        if value:
            facts.add_row(f"  {name}", cell(value, "bold red" if name == "caution" else ""))
    return facts


def _next(view: PaymentView) -> str | None:
    payment = view.payment
    if payment.next_action is None or payment.due_at is None:
        return None
    return f"{payment.next_action}, due by {moment(payment.due_at)} UTC"


def _came_back(view: PaymentView) -> str | None:
    """Say how much has come back; a payout of which a part did is still `settled`."""
    if not view.returned_minor:
        return None
    currency = view.payment.currency
    whole = " of it" if view.returned_minor < view.payment.amount_minor else ", all of it"
    return f"{amount(view.returned_minor, currency)} {currency}{whole}"


def _payee(view: PaymentView) -> str | None:
    if view.beneficiary is None:
        return view.destination
    named = [str(view.beneficiary.get("name", ""))]
    named += [
        f"{name} {value}"
        for name, value in view.beneficiary.items()
        if name not in {"name", "kind"} and value
    ]
    return ", ".join(named)


def _approvals(view: PaymentView) -> str | None:
    if not view.approvals_needed:
        return None
    return f"{view.approvals_given} of {view.approvals_needed}"


def _timeline(view: PaymentView) -> Table:
    shown = table("at (UTC)", "what", ("", "fold"), "by", ("reason", "fold"), title="Timeline")
    for entry in view.timeline:
        shown.add_row(
            moment(entry.at),
            cell(entry.what, "dim"),
            cell(entry.text),
            cell(entry.actor),
            cell(entry.reason),
        )
    return shown


def _attempts(view: PaymentView) -> Table:
    shown = table(
        "key",
        ("partner", "fold"),
        ("sent (UTC)", "fold"),
        "result",
        ("their id", "fold"),
        title="Attempts",
    )
    for attempt in view.attempts:
        result = " ".join(part for part in (attempt.result, attempt.code) if part)
        shown.add_row(
            cell(attempt.key),
            short(attempt.partner),
            short(moment(attempt.sent_at) or "not sent"),
            cell(result or "open", "" if result else "dim"),
            short(attempt.partner_ref),
        )
    return shown


def _words(view: PaymentView) -> Table:
    shown = table(
        "at (UTC)", "asked", "answer", ("in their words", "fold"), title="The partner's words"
    )
    for word in view.words:
        answer = " ".join(part for part in (word.kind, word.code) if part)
        shown.add_row(moment(word.at), cell(word.verb), cell(answer), cell(word.evidence))
    return shown


def _postings(view: PaymentView) -> Table:
    shown = table(
        "posting",
        ("account", "fold"),
        ("moved", "right"),
        ("held", "right"),
        ("value date", "fold"),
        title="Postings",
    )
    for posting in view.postings:
        key = cell(posting.key.removeprefix(f"{view.payment.id}/"))
        if posting.refusal:
            shown.add_row(key, short(f"refused: {posting.refusal}", "red"), "", "", "")
        elif posting.archived_in:
            where = short(f"archived in {posting.archived_in}", "dim")
            shown.add_row(key, where, "", "", short(posting.effective_on))
        for entry in posting.entries:
            shown.add_row(
                key,
                short(entry.account),
                _moved(entry.delta_minor, entry.currency),
                _moved(entry.held_minor, entry.currency),
                short(posting.effective_on),
            )
            key = cell("")
    return shown


def _moved(minor: int, currency: str) -> Text:
    return cell(f"{amount(minor, currency)} {currency}" if minor else "")
