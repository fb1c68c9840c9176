"""Alembic's entry: runs the revisions on the connection that `ledger.migrate` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    # One transaction for all: a server that stops in the middle leaves the old schema whole.
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
