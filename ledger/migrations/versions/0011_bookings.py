"""A transfer's approvals are counted in the commit that books it.

Runs before deploy. Workers of the releases before go on, and are judged so too.
"""

from ledger.migrations.scripts import create

revision = "0011"
down_revision = "0010"

FILES = ("0011_write_changes_v5.sql",)


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0011_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
