"""`bursar cases …`: what a person has to look at, whose it is, and how it is closed."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.table import Table

from bursar.cli import options, session
from bursar.cli.codes import ExitCode
from bursar.cli.connection import Connection
from bursar.cli.options import examples
from bursar.cli.output import amount, cell, console, moment, print_json, short, table
from bursar.views import CaseAnswer, CasePage, CaseView

app = typer.Typer(no_args_is_help=True, help="What a person has to look at: list, show, resolve.")

CaseId = Annotated[
    int, typer.Argument(metavar="ID", min=1, help="The case's number.", show_default=False)
]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@app.command(
    "list",
    epilog=examples(
        "bursar cases list",
        "bursar cases list --kind paid_twice --json",
        "bursar cases list --payment po_invoice_0007 --all",
    ),
)
def list_(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="WORD", help="Only of this kind.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="Only this person's.")
    ] = None,
    payment: Annotated[
        str | None, typer.Option("--payment", metavar="ID", help="Only of this payment.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", metavar="", help="Closed ones too; else only open ones.")
    ] = False,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    as_json: options.Json = False,
) -> None:
    """List cases, the oldest first, a page at a time."""
    wanted = {"kind": kind, "owner": owner, "payment_id": payment, "cursor": cursor}
    state = "all" if every else "open"
    page = session.run(_page(session.connection_of(context), state, wanted, limit))
    if as_json:
        print_json(page)
        return
    out = console()
    if not page.cases:
        out.print("No case waits." if not every else "There are no cases.")
        return
    out.print(_list(page))
    if page.next_cursor:
        out.print()
        out.print(f"More: --cursor {page.next_cursor}", style="dim", soft_wrap=True)


@app.command(epilog=examples("bursar cases show 7", "bursar cases show 7 --json | jq .ways"))
def show(context: typer.Context, case_id: CaseId, as_json: options.Json = False) -> None:
    """Show one case: its money, what people said, and ways to resolve it."""
    case = session.run(_case(session.connection_of(context), case_id))
    if as_json:
        print_json(case)
    else:
        _print(case)


@app.command(epilog=examples("bursar cases assign 7 --to ana"))
def assign(
    context: typer.Context,
    case_id: CaseId,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Whose case it is from now on.")],
    as_json: options.Json = False,
) -> None:
    """Give an open case to somebody."""
    answer = session.run(_assign(session.connection_of(context), case_id, to))
    _answer(answer, as_json=as_json)


@app.command(
    epilog=examples(
        'bursar cases resolve 7 --evidence "bank ticket 4711: their display only"',
        "bursar cases resolve 8 --to wallet/acme/EUR \\",
        '  --evidence "remittance names order 12"',
        'bursar cases resolve 9 --to loss/partner/EUR --evidence "ticket 4712"',
        'bursar cases resolve 10 --to given-up --evidence "ticket 4713"',
    )
)
def resolve(
    context: typer.Context,
    case_id: CaseId,
    evidence: Annotated[
        str, typer.Option("--evidence", metavar="TEXT", help="Where it can be read again.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="PATH", help="Where its money goes from suspense; or given-up."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Close a case, with evidence, as the holder of your token.

    Where money leaves suspense, two people say the same, each with a token of
    their own; the second word moves it. So they do to give up an event that
    nothing will ever apply.
    """
    answer = session.run(_resolve(session.connection_of(context), case_id, evidence, to))
    _answer(answer, as_json=as_json)


def case_table(cases: tuple[CaseView, ...], title: str | None = None) -> Table:
    """Return cases as a table of one line each."""
    shown = table(
        ("id", "right"),
        "case",
        ("at stake", "right"),
        "age",
        ("owner", "fold"),
        ("state", "fold"),
        ("what", "fold"),
        title=title,
    )
    for case in cases:
        shown.add_row(
            str(case.id),
            cell(case.kind, "red" if case.partner_breach else ""),
            cell(_stake(case)),
            age(case.age_seconds),
            short(case.owner or "nobody"),
            short("open" if case.closed_at is None else f"closed by {case.closed_by}"),
            short(case.detail),
        )
    return shown


def age(seconds: int) -> str:
    """Return a length of time as people say it: 3 d, 5 h, 12 min, 40 s."""
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(seconds, 0)} s"


def _list(page: CasePage) -> Table:
    shown = table(
        ("id", "right"),
        "case",
        ("at stake", "right"),
        "age",
        ("payment", "fold"),
        ("owner", "fold"),
        ("what", "fold"),
    )
    for case in page.cases:
        shown.add_row(
            str(case.id),
            cell(case.kind, "red" if case.partner_breach else ""),
            cell(_stake(case)),
            age(case.age_seconds),
            short(case.payment_id or "none"),
            short(case.owner or "nobody"),
            short(case.detail),
        )
    return shown


def _stake(case: CaseView) -> str:
    if case.amount_minor is None or case.currency is None:
        return ""
    return f"{amount(case.amount_minor, case.currency)} {case.currency}"


def _print(case: CaseView) -> None:
    out = console()
    state = "open" if case.closed_at is None else f"closed by {case.closed_by}: {case.resolution}"
    out.print(cell(f"case {case.id}  {case.kind}  {state}", "bold"))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(case):
        if value:
            facts.add_row(f"  {name}", cell(value))
    out.print(facts)
    if case.words:
        out.print()
        said = table("at (UTC)", "who", "said", ("evidence", "fold"), title="What people said")
        for word in case.words:
            said.add_row(
                moment(word.at),
                cell(word.principal),
                cell(f"{word.verb}: {word.decision}"),
                cell(word.evidence),
            )
        out.print(said)
    if case.closed_at is None:
        out.print()
        out.print("Ways to resolve it", style="bold")
        for way in case.ways:
            out.print(cell(f"  {_of_this(way, case)}"), soft_wrap=True)


def _of_this(way: str, case: CaseView) -> str:
    """Return a way out with this case's own ids, so that it can be copied as it stands."""
    way = re.sub(r"\bID\b", str(case.id), way)
    return re.sub(r"\bPAYMENT\b", case.payment_id or "PAYMENT", way)


def _facts(case: CaseView) -> list[tuple[str, str | None]]:
    return [
        ("means", case.says),
        ("detail", case.detail),
        ("payment", case.payment_id),
        ("at stake", _stake(case)),
        ("waits on", case.suspense),
        ("owner", case.owner or "nobody"),
        ("opened", f"{moment(case.opened_at)} UTC by {case.opened_by}, {age(case.age_seconds)}"),
        ("posting", case.posting),
        ("original", case.original),
        ("counts", "as a breach by the partner" if case.partner_breach else None),
    ]


def _answer(answer: CaseAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        mark = cell("✓ ", "green")
        mark.append(f"case {answer.id} ", style="bold")
        mark.append(answer.verdict)
        console().print(mark)
        console().print(cell(f"  {answer.detail}", "dim"))
    raise typer.Exit(ExitCode.OK)


async def _page(
    connection: Connection, state: str, wanted: dict[str, str | None], limit: int
) -> CasePage:
    async with session.reader(connection) as reader:
        return await reader.cases(state=state, limit=limit, **wanted)


async def _case(connection: Connection, case_id: int) -> CaseView:
    async with session.reader(connection) as reader:
        return await reader.case(case_id)


async def _assign(connection: Connection, case_id: int, to: str) -> CaseAnswer:
    async with session.reader(connection) as reader:
        return await reader.assign_case(case_id, to)


async def _resolve(
    connection: Connection, case_id: int, evidence: str, to: str | None
) -> CaseAnswer:
    async with session.reader(connection) as reader:
        return await reader.resolve_case(case_id, evidence, to)
