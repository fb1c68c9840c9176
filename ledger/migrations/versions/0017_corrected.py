"""What was told counts as old as its payment; stale words take nothing back; applied is applied.

Runs before deploy. Workers and gateways of the releases before go on, and are judged so too.
"""

from ledger.migrations.scripts import create

revision = "0017"
down_revision = "0016"

FILES = (
    "0017_permits.sql",
    "0017_deciders.sql",
    "0017_given_up.sql",
    "0017_keys_of_before.sql",
)


def upgrade() -> None:
    """Replace what was wrong, mend what it has left, then see to it who may do what."""
    create(FILES, grants="0017_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")
