"""Entries are kept by period, so that old ones can be archived.

Runs before deploy. Workers of the release before go on: what they call writes into the same table.
"""

from ledger.migrations.scripts import create

revision = "0010"
down_revision = "0009"

FILES = ("0010_periods.sql", "0010_entries.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0010_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
