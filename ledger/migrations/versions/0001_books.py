"""The journal and the register: every table, guard, function and grant.

Runs before deploy; creates new objects only, so it stops nobody.
"""

from ledger.migrations.scripts import create, run

revision = "0001"
down_revision = None

FILES = (
    "0001_journal.sql",
    "0001_register.sql",
    "0001_guards.sql",
    "0001_change_types.sql",
    "0001_judge.sql",
    "0001_book.sql",
    "0001_write_changes_v1.sql",
    "0001_register_writes.sql",
    "0001_rows.sql",
)


def upgrade() -> None:
    """Make the roles and all that the owner owns, then give out what others may do."""
    run("0001_roles.sql")
    create(FILES, grants="0001_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
