"""What restored books may have forgotten is asked about, and only what people say now counts.

Runs before deploy. Workers and gateways of the releases before go on, and are judged so too.
"""

from ledger.migrations.scripts import create

revision = "0013"
down_revision = "0012"

FILES = ("0013_doubted_sends.sql", "0013_people.sql", "0013_event_cases.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0013_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
