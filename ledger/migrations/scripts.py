"""Scripts: how a revision runs the SQL files that are kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alembic import op

SQL = Path(__file__).parent / "sql"


def create(files: Sequence[str], *, grants: str) -> None:
    """Create everything as the role that owns it, then give out what others may do."""
    op.execute("set local role bursar_owner")
    for name in files:
        run(name)
    op.execute("reset role")
    run(grants)


def run(name: str) -> None:
    """Run a file of several statements, which a prepared statement cannot hold."""
    script = (SQL / name).read_text(encoding="utf-8")
    connection = op.get_bind().connection.dbapi_connection
    if connection is None:
        raise RuntimeError("the migration has lost its connection")
    connection.run_async(lambda driver: driver.execute(script))
