"""A send that was forgotten stops all sending in the commit that notes it, and outlives a cancel.

Runs before deploy. Workers of the releases before go on; they cancel as they did.
"""

from ledger.migrations.scripts import create

revision = "0014"
down_revision = "0013"

FILES = ("0014_forgotten_sends.sql", "0014_permits.sql", "0014_pauses.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0014_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
