"""The gate: claims, resends and transfers are judged in the commit that makes them.

Runs before deploy. Workers of the release before go on: what they call is judged as well.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

SQL = Path(__file__).parent.parent / "sql"
FILES = ("0002_gate.sql", "0002_claims.sql", "0002_write_changes_v2.sql", "0002_acts.sql")


def upgrade() -> None:
    """Create everything as the role that owns it, then give out what others may do."""
    op.execute("set local role bursar_owner")
    for name in FILES:
        _run(name)
    op.execute("reset role")
    _run("0002_grants.sql")


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
