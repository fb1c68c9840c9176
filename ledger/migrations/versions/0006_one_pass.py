"""The way into the books in half as many steps: legs are locked, judged and numbered in one.

Runs before deploy. Workers of the release before go on: what they call stays as it is.
"""

from ledger.migrations.scripts import create

revision = "0006"
down_revision = "0005"

FILES = ("0006_place.sql", "0006_write_changes_v4.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0006_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
