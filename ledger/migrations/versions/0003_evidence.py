"""Money evidence: what partners have moved, once each; cases with owners; events set aside.

Runs before deploy. It adds columns without a scan; two indexes are built, for which writes to
`attempts` and `partner_events` wait.
"""

from ledger.migrations.scripts import create

revision = "0003"
down_revision = "0002"

FILES = ("0003_evidence.sql", "0003_events.sql", "0003_cases.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0003_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
