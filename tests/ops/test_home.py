"""The folder of the local stack: one holder, remembered ports, secrets for their owner only."""

from __future__ import annotations

import hashlib
import socket
import stat
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

from ops import pids
from ops.home import PEOPLE, Home, StackRunning
from ops.ports import is_free


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".bursar")


def test_a_second_holder_is_refused_and_told_which_process_is_the_first(home: Home) -> None:
    with home.locked():
        asking = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, os; from pathlib import Path; from ops.home import Home\n"
                f"with Home(Path({str(home.directory)!r})).locked(): print('got it')",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "got it" not in asking.stdout
    assert "already runs here, as process" in asking.stderr


def test_the_same_process_cannot_hold_it_twice_but_can_again_after_letting_go(home: Home) -> None:
    with home.locked(), pytest.raises(StackRunning), home.locked():
        pytest.fail("the lock was given twice")
    with home.locked():
        assert home.secrets.is_dir()


def assert_kept_where_free(before: dict[str, int], after: dict[str, int]) -> None:
    """Assert that only those ports have changed that somebody else has taken meanwhile."""
    for name, port in before.items():
        assert after[name] == port or not is_free(port), name


def test_ports_are_remembered_and_a_busy_one_is_avoided(home: Home) -> None:
    with home.locked():
        first = home.choose_ports()
        assert_kept_where_free(first, home.choose_ports())
        first = home.choose_ports()
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # somebody else was faster: it is busy all the same
                stranger.bind(("127.0.0.1", first["gateway"]))
                stranger.listen()
            second = home.choose_ports()
            assert second["gateway"] != first["gateway"]
            assert_kept_where_free(first, second)
        assert len(set(second.values())) == len(second)


def test_secrets_stay_the_same_and_only_their_owner_can_read_them(home: Home) -> None:
    with home.locked():
        secret = home.secret("one")
        assert home.secret("one") == secret
        home.write_tokens_file()
        home.secrets_for("gateway", {"bursar_database_url": "postgresql://…"})
        home.write_connection({"token": home.token("ops")})
        files = [each for each in home.secrets.rglob("*") if each.is_file()]
        for each in (*files, home.connection):
            assert stat.S_IMODE(each.stat().st_mode) == 0o600
        assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o700


def test_the_gateway_s_file_holds_hashes_of_the_tokens_and_no_token(home: Home) -> None:
    with home.locked():
        home.write_tokens_file()
        text = home.tokens_file.read_text()
        known = {each["principal"]: each for each in tomllib.loads(text)["tokens"]}
        assert set(known) == set(PEOPLE)
        for person, entry in known.items():
            token = home.token(person)
            assert entry["sha256"] == hashlib.sha256(token.encode()).hexdigest()
            assert token not in text


def test_a_leftover_process_is_ended_by_its_id(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "600"])
    file = tmp_path / "sleeper.json"
    pids.remember(file, sleeper.pid)
    assert pids.end_leftover(file) == sleeper.pid
    assert sleeper.wait(timeout=10) != 0
    assert not file.exists()


def test_a_process_that_got_a_leftover_s_number_later_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        file = tmp_path / "worker.json"
        pids.remember(file, stranger.pid)
        content = file.read_text()
        began = pids.beginning_of(stranger.pid)
        assert began is not None
        file.write_text(content.replace(began, "an earlier beginning"))
        assert pids.end_leftover(file) is None
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_torn_pid_file_means_that_there_is_nothing_to_end(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    file.write_text('{"pid": 1')
    assert pids.end_leftover(file) is None
