"""`bursar transfers …`: money between two accounts of ours."""

from __future__ import annotations

import typer

from bursar.cli import files, look, options, send_file
from bursar.cli.options import examples
from bursar.payments import PaymentKind

app = typer.Typer(no_args_is_help=True, help="Money between two of our accounts: send, show, list.")


@app.command(
    epilog=examples(
        "bursar transfers send examples/transfers.csv --check",
        "bursar transfers send examples/transfers.csv",
    )
)
def send(
    context: typer.Context,
    file: options.File,
    check: options.Check = False,
    form: options.FileForm = None,
    as_json: options.Json = False,
) -> None:
    """Send a file of transfers.

    Bad lines are refused with line, field and reason; the others are sent.
    Sending a file again is safe: what was sent before is not sent twice.
    """
    name, raw, written = send_file.source(file, form)
    reading = files.transfers_in(raw, written, name=name)
    send_file.send_file(
        context,
        name,
        reading,
        lambda bursar, request: bursar.transfer(request),
        check=check,
        as_json=as_json,
    )


@app.command(epilog=examples("bursar transfers show tr_settlement_001"))
def show(context: typer.Context, payment_id: options.AnyId, as_json: options.Json = False) -> None:
    """Show one transfer: state, timeline, postings."""
    look.show(context, payment_id, prefix="tr_", as_json=as_json)


@app.command(
    "list",
    epilog=examples(
        "bursar transfers list --state refused",
        "bursar transfers list --account wallet/acme/EUR --json",
    ),
)
def list_(
    context: typer.Context,
    state: options.State = None,
    account: options.Account = None,
    tenant: options.Tenant = None,
    batch: options.Batch = None,
    stuck: options.Stuck = False,
    limit: options.Limit = 20,
    cursor: options.Cursor = None,
    as_json: options.Json = False,
) -> None:
    """List transfers, newest first, a page at a time."""
    wanted = look.Wanted(
        kind=PaymentKind.TRANSFER,
        state=state,
        account=account,
        tenant=tenant,
        batch_id=batch,
        stuck=stuck,
        limit=limit,
        cursor=cursor,
    )
    look.list_page(context, wanted, as_json=as_json)
