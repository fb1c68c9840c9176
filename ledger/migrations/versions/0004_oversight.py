"""Oversight: each payment's next action and when it is due, and sends that a restore forgot.

Runs before deploy; creates new objects only, so it stops nobody.
"""

from ledger.migrations.scripts import create

revision = "0004"
down_revision = "0003"

FILES = ("0004_forgotten_sends.sql", "0004_next_action.sql")


def upgrade() -> None:
    """Create what is new, then give out what others may do."""
    create(FILES, grants="0004_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
