"""The journal and the register: every table, guard, function and grant.

Runs before deploy; creates new objects only, so it stops nobody.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

SQL = Path(__file__).parent.parent / "sql"
FILES = (
    "0001_journal.sql",
    "0001_register.sql",
    "0001_guards.sql",
    "0001_change_types.sql",
    "0001_judge.sql",
    "0001_book.sql",
    "0001_write_changes_v1.sql",
    "0001_register_writes.sql",
    "0001_rows.sql",
)


def upgrade() -> None:
    """Create everything as the role that owns it, then give out what others may do."""
    _run("0001_roles.sql")
    op.execute("set local role bursar_owner")
    for name in FILES:
        _run(name)
    op.execute("reset role")
    _run("0001_grants.sql")


def downgrade() -> None:
    """Refuse: books only go forward."""
    raise RuntimeError("the books only go forward; to go back, restore a backup")


def _run(name: str) -> None:
    """Run a file of several statements, which a prepared statement cannot hold."""
    script = (SQL / name).read_text(encoding="utf-8")
    connection = op.get_bind().connection.dbapi_connection
    if connection is None:
        raise RuntimeError("the migration has lost its connection")
    connection.run_async(lambda driver: driver.execute(script))
