"""People are counted by person: spellings of one name that differ only in case are one.

Runs before deploy. Workers of the release before go on, and count so too.
"""

from ledger.migrations.scripts import create

revision = "0008"
down_revision = "0007"

FILES = ("0008_people.sql",)


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0008_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
