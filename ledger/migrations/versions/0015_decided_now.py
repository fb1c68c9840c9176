"""People are counted in the commit that does what they decided; what old workers book is noted.

Runs before deploy. Workers and gateways of the releases before go on, and are judged so too.
"""

from ledger.migrations.scripts import create

revision = "0015"
down_revision = "0014"

FILES = ("0015_write_changes_v6.sql", "0015_lines_of_old_workers.sql", "0015_given_up.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0015_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
