"""Money evidence: what partners have moved, once each; cases with owners; events set aside.

Runs before deploy. It adds columns without a scan; two indexes are built, for which writes to
`attempts` and `partner_events` wait.
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"

SQL = Path(__file__).parent.parent / "sql"
FILES = ("0003_evidence.sql", "0003_events.sql", "0003_cases.sql")


def upgrade() -> None:
    """Create everything as the role that owns it, then give out what others may do."""
    op.execute("set local role bursar_owner")
    for name in FILES:
        _run(name)
    op.execute("reset role")
    _run("0003_grants.sql")


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
