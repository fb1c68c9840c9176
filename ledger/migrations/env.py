"""Alembic's entry: runs the revisions on the connection that `ledger.migrate` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    # A commit for each: what one revision has locked is free before the next one waits for more,
    # and a server that stops in between leaves the schema of a whole revision.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
