"""`bursar payouts …`: money to somebody outside."""

from __future__ import annotations

import typer

from bursar.cli import files, look, options, send_file
from bursar.cli.options import examples
from bursar.payments import PaymentKind

app = typer.Typer(no_args_is_help=True, help="Money to somebody outside: send, show, list.")


@app.command(
    epilog=examples(
        "bursar payouts send examples/payouts.csv --check",
        "bursar payouts send examples/payouts.csv",
        "bursar payouts send - --format jsonl --json < payouts.jsonl",
    )
)
def send(
    context: typer.Context,
    file: options.File,
    check: options.Check = False,
    form: options.FileForm = None,
    as_json: options.Json = False,
) -> None:
    """Send a file of payouts.

    Bad lines are refused with line, field and reason; the others are sent.
    Sending a file again is safe: what was sent before is not sent twice.
    """
    name, raw, written = send_file.source(file, form)
    reading = files.payouts_in(raw, written, name=name)
    send_file.send_file(
        context,
        name,
        reading,
        lambda bursar, request: bursar.pay_out(request),
        check=check,
        as_json=as_json,
    )


@app.command(
    epilog=examples(
        "bursar payouts show po_invoice_0001",
        "bursar payouts show po_invoice_0001 --json | jq .payment.state",
    )
)
def show(context: typer.Context, payment_id: options.AnyId, as_json: options.Json = False) -> None:
    """Show one payout: state, timeline, attempts, the partner's words, postings."""
    look.show(context, payment_id, prefix="po_", as_json=as_json)


@app.command(
    "list",
    epilog=examples(
        "bursar payouts list --state in_review",
        "bursar payouts list --account wallet/acme/EUR --limit 50",
        "bursar payouts list --stuck",
        "bursar payouts list --state awaiting_approval --json",
    ),
)
def list_(
    context: typer.Context,
    state: options.State = None,
    account: options.Account = None,
    partner: options.Partner = None,
    tenant: options.Tenant = None,
    batch: options.Batch = None,
    stuck: options.Stuck = False,
    limit: options.Limit = 20,
    cursor: options.Cursor = None,
    as_json: options.Json = False,
) -> None:
    """List payouts, newest first, a page at a time."""
    wanted = look.Wanted(
        kind=PaymentKind.PAYOUT,
        state=state,
        account=account,
        partner=partner,
        tenant=tenant,
        batch_id=batch,
        stuck=stuck,
        limit=limit,
        cursor=cursor,
    )
    look.list_page(context, wanted, as_json=as_json)
