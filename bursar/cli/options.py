"""Options that several commands share, and the examples in their help."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from bursar.cli.files import Form
from bursar.payments import PaymentState

Json: TypeAlias = Annotated[
    bool,
    typer.Option("--json", metavar="", help="Print JSON, and nothing else, on standard output."),
]
AnyId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The payment: po_… or tr_…", show_default=False)
]
By: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Act in this name, through Temporal. Without it: as the holder of your token, "
        "through the gateway, as production wants it.",
    ),
]
Reason: TypeAlias = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the payment for ever.")
]
MaybeReason: TypeAlias = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why; kept with the payment for ever."),
]

File: TypeAlias = Annotated[
    str, typer.Argument(metavar="FILE", help="A .csv or .jsonl file; - is standard input.")
]
Check: TypeAlias = Annotated[
    bool,
    typer.Option("--check", metavar="", help="Only check the file: sends nothing, needs nobody."),
]
FileForm: TypeAlias = Annotated[
    Form | None,
    typer.Option("--format", help="How the file is written, where its name does not say so."),
]

State: TypeAlias = Annotated[
    PaymentState | None,
    typer.Option("--state", metavar="STATE", help="Only in this state, such as in_review."),
]
Account: TypeAlias = Annotated[
    str | None, typer.Option("--account", metavar="PATH", help="Only of this account.")
]
Partner: TypeAlias = Annotated[
    str | None, typer.Option("--partner", metavar="NAME", help="Only through this partner.")
]
Tenant: TypeAlias = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="Only of this tenant.")
]
Batch: TypeAlias = Annotated[
    str | None, typer.Option("--batch", metavar="ID", help="Only of this batch.")
]
Stuck: TypeAlias = Annotated[
    bool, typer.Option("--stuck", metavar="", help="Only those past their time.")
]
Limit: TypeAlias = Annotated[
    int, typer.Option("--limit", min=1, max=200, metavar="N", help="How many on a page;")
]
Cursor: TypeAlias = Annotated[
    str | None,
    typer.Option("--cursor", metavar="TEXT", help="Go on here; the page before says where."),
]


def examples(*lines: str) -> str:
    """Return the end of a command's help: examples, one a line."""
    return "\n".join(["\b", "[bold]Examples[/bold]", *(f"  {line}" for line in lines)])
