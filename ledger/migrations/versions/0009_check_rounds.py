"""Rounds of checks are on record, and what is new since the last one is found by an index.

Runs before deploy. Workers of the release before go on and know nothing of it.
"""

from ledger.migrations.scripts import create

revision = "0009"
down_revision = "0008"

FILES = ("0009_check_rounds.sql",)


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0009_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
