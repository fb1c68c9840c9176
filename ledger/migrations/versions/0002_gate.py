"""The gate: claims, resends and transfers are judged in the commit that makes them.

Runs before deploy. Workers of the release before go on: what they call is judged as well.
"""

from ledger.migrations.scripts import create

revision = "0002"
down_revision = "0001"

FILES = ("0002_gate.sql", "0002_claims.sql", "0002_write_changes_v2.sql", "0002_acts.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0002_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
