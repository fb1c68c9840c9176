"""Processes under the supervisor: ready when they say so, started again when they die."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import pids
from ops.program import Program, ProgramFailed
from ops.supervisor import RESTARTS_IN_A_ROW_MAX, Supervisor

SECONDS = 30.0


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def make_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Program]:
    """Make a program out of Python text; its environment tells it which file means ready."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(text: str) -> Program:
        (tmp_path / "program_under_test.py").write_text(text)
        return Program(
            "program",
            ["program_under_test"],
            settings={"READY": str(tmp_path / "ready")},
            ready=tmp_path / "ready",
            log=tmp_path / "program.log",
            pid_file=tmp_path / "program.json",
        )

    return make


STEADY = """
import os, pathlib, time
pathlib.Path(os.environ["READY"]).touch()
time.sleep(600)
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor(lambda _: None)
    yield supervisor
    supervisor.stop()


def test_a_program_is_ready_when_it_says_so_and_stops_when_asked(
    make_program: Callable[[str], Program], tmp_path: Path
) -> None:
    program = make_program(STEADY)
    program.start()
    assert program.process is not None
    pid = program.process.pid
    assert pids.running(tmp_path / "program.json") == pid
    program.stop()
    assert pids.beginning_of(pid) is None
    assert not (tmp_path / "program.json").exists()


def test_a_program_that_ends_at_once_is_told_of_with_its_last_words(
    make_program: Callable[[str], Program],
) -> None:
    with pytest.raises(ProgramFailed, match=r"status 3.*the port is taken"):
        make_program("import sys; print('the port is taken'); sys.exit(3)").start()


def test_stray_settings_of_the_user_s_shell_do_not_reach_a_program(
    make_program: Callable[[str], Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURSAR_TEMPORAL_ADDRESS", "production:7233")
    program = make_program("import os; print(sorted(os.environ))\n" + STEADY)
    program.start()
    program.stop()
    log = (tmp_path / "program.log").read_text()
    assert "PATH" in log
    assert "BURSAR_TEMPORAL_ADDRESS" not in log


def test_a_killed_program_is_started_again(
    make_program: Callable[[str], Program], supervisor: Supervisor
) -> None:
    program = make_program(STEADY)
    supervisor.start({"program": program})
    supervisor.watch()
    assert program.process is not None
    first = program.process.pid
    os.kill(first, signal.SIGKILL)

    def another_runs() -> bool:
        process = program.process
        return process is not None and process.pid != first and process.poll() is None

    eventually(another_runs)
    assert supervisor.failure is None


class Crashing:
    """A service whose process has ended whenever one looks."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        self.starts += 1

    def stop(self) -> None:
        self.process = None


def test_a_service_that_keeps_dying_is_given_up_on_with_a_word(supervisor: Supervisor) -> None:
    service = Crashing()
    supervisor.start({"bank": service})
    supervisor.watch()
    eventually(lambda: supervisor.failure is not None)
    assert "bank" in (supervisor.failure or "")
    assert service.starts == 1 + RESTARTS_IN_A_ROW_MAX


def test_everything_is_stopped_the_last_started_first() -> None:
    order: list[str] = []

    class Noted(Crashing):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def stop(self) -> None:
            order.append(self.name)

    supervisor = Supervisor(lambda _: None)
    supervisor.start({"first": Noted("first")})
    supervisor.start({"second": Noted("second")})
    supervisor.stop()
    assert order == ["second", "first"]
