"""Every movement is noted once, whosever it is; what a partner has told of is asked about first.

Runs before deploy. Workers of the releases before go on: what they call follows the new rules, but
they note no movement that is nobody's, for which 0015 and 0016 see to it.
"""

from ledger.migrations.scripts import create

revision = "0012"
down_revision = "0011"

FILES = ("0012_lines.sql", "0012_sends.sql", "0012_bookings.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0012_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
