"""What was booked before movements were noted is noted, while nothing waits for it.

Runs before deploy, once 0015 is in force: a revision of its own, so that it holds no other lock.
"""

from alembic import op

from ledger.migrations.scripts import run

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Look back once."""
    op.execute("set local role bursar_owner")
    run("0016_lines_of_before.sql")
    op.execute("reset role")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
