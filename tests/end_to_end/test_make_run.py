"""`make run` as a user runs it: its summary is true, nothing goes twice, no kill loses money."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from ops import pids
from tests.end_to_end.checkout import BIN, FINAL, Bank, Books, Checkout

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]

PATIENCE_SECONDS = 240.0

VICTIMS = ("worker", "temporal", "bank", "postgres", "gateway")

ENDS = {
    "po_one_approval": {"settled"},
    "po_two_approvals": {"settled"},
    "po_denied": {"denied"},
    "po_cancelled_in_time": {"cancelled"},
    "po_cancelled_too_late": {"settled"},
    "po_scheduled": {"settled"},
    "po_over_balance": {"refused"},
    "po_twice": {"settled"},
    "po_conflict": {"settled"},
    "po_reject_closed": {"failed"},
    "po_accepted_then_failed": {"failed"},
    "po_reset_and_lost": {"settled"},
    "po_paid_then_returned": {"returned"},
    "tr_one_approval": {"settled"},
    "tr_cancelled_in_time": {"cancelled"},
    "tr_scheduled": {"settled"},
    "tr_over_balance": {"refused"},
}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    yield from _copy()


@pytest.fixture
def another_checkout() -> Iterator[Checkout]:
    yield from _copy()


def _copy() -> Iterator[Checkout]:
    folder = Path(tempfile.mkdtemp(prefix="bursar-checkout-"))
    folder.chmod(0o755)  # under root, PostgreSQL's own user has to pass through
    checkout = Checkout(folder)
    yield checkout
    for name in checkout.processes():  # what a failed test may have left
        pids.end_leftover(checkout.home / "pids" / f"{name}.json")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def first_run(checkout: Checkout) -> subprocess.CompletedProcess[str]:
    return checkout.run_once()


def eventually(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def ids_in(file: Path) -> set[str]:
    with file.open(encoding="utf-8", newline="") as handle:
        return {row["id"] for row in csv.DictReader(handle)}


def assert_true_to_the_cent(checkout: Checkout, books: Books, bank: Bank) -> None:
    """Assert that bank and books agree line by line, and that we have lost or doubled nothing."""
    assert books.nostro == bank.lines
    assert bank.doubled == ["po_paid_twice-1"]  # the bank's own mistake, in suspense with a case
    assert set(books.trial_balance.values()) == {0}
    sent = ids_in(checkout.folder / "examples" / "payouts.csv") - {"po_invalid_iban"}
    sent |= ids_in(checkout.folder / "examples" / "transfers.csv")
    assert set(books.payments) == sent
    assert set(books.payments.values()) <= FINAL
    for payment, states in ENDS.items():
        assert books.payments[payment] in states, payment


def test_one_command_moves_the_money_and_tells_the_truth(
    checkout: Checkout, first_run: subprocess.CompletedProcess[str]
) -> None:
    assert first_run.returncode == 0, first_run.stdout + first_run.stderr
    assert "Traceback" not in first_run.stdout + first_run.stderr
    books, bank, told = checkout.books(), checkout.bank(), checkout.summary()
    assert_true_to_the_cent(checkout, books, bank)
    counted: dict[str, int] = {}
    for state in books.payments.values():
        counted[state] = counted.get(state, 0) + 1
    assert told["payments_by_state"] == counted
    assert set(told["trial_balance"].values()) == {0}
    assert (told["bank_mismatches"], told["non_final"]) == (0, 0)
    assert told["latency_ms"]["p50"] > 0
    assert told["payouts_per_second"] > 0
    assert told["events_max"]["payout"] > 0
    assert "payouts.csv:29" in first_run.stdout  # the line with the wrong IBAN


def test_again_it_starts_on_its_data_and_sends_nothing_twice(
    checkout: Checkout, first_run: subprocess.CompletedProcess[str]
) -> None:
    books, bank = checkout.books(), checkout.bank()
    again = checkout.run_once()
    assert again.returncode == 0, again.stdout + again.stderr
    assert re.search(r"Everything is up after [0-9.]+ s", again.stdout)
    assert checkout.books() == books
    assert checkout.bank() == bank


def test_in_a_terminal_it_stays_up_until_ctrl_c_and_serves_other_commands(
    checkout: Checkout, first_run: subprocess.CompletedProcess[str]
) -> None:
    assert first_run.returncode == 0
    with _up_in_a_terminal(checkout) as running:
        listed = subprocess.run(
            [str(BIN / "bursar"), "payouts", "show", "po_denied", "--json"],
            cwd=checkout.folder,
            env=checkout.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert listed.returncode == 0, listed.stderr
        assert json.loads(listed.stdout)["payment"]["state"] == "denied"
        second = checkout.run_once()
        assert second.returncode != 0
        assert "already runs here" in second.stdout
        processes = checkout.processes()
        assert set(processes) == set(VICTIMS)
        os.killpg(running.pid, signal.SIGINT)
        running.wait(timeout=60)
    assert [name for name, pid in processes.items() if pids.beginning_of(pid)] == []
    assert not (checkout.home / "connection.json").exists()


@contextmanager
def _up_in_a_terminal(checkout: Checkout) -> Iterator[subprocess.Popen[bytes]]:
    """Give `make run` in a terminal of its own, when it has shown its summary and stays up."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        checkout.make_run(),
        cwd=checkout.folder,
        env={**checkout.environment, "TERM": "xterm", "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = bytearray()

    def stays_up() -> bool:
        shown.extend(os.read(ours, 65_536))
        return b"until you press Ctrl-C" in shown

    try:
        eventually(stays_up, "the summary")
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        os.close(ours)


@pytest.mark.faults
def test_killing_every_process_and_at_last_the_run_itself_loses_and_doubles_nothing(
    another_checkout: Checkout,
) -> None:
    checkout = another_checkout
    with _nobody_approves(checkout), (checkout.folder / "first.log").open("w+") as log:
        running = subprocess.Popen(
            checkout.make_run("ONCE=1"),
            cwd=checkout.folder,
            env=checkout.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _kill_one_after_the_other(checkout, running, log.name)
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    left = checkout.processes()
    assert any(pids.running(checkout.home / "pids" / f"{name}.json") for name in left)
    again = checkout.run_once()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "of a run that was killed" in again.stdout
    assert_true_to_the_cent(checkout, checkout.books(), checkout.bank())


@contextmanager
def _nobody_approves(checkout: Checkout) -> Iterator[None]:
    """Let one payment wait for its approval: so the run cannot end before it is killed."""
    file = checkout.folder / "examples" / "scenario.toml"
    whole = file.read_text()
    approves = '[[act]]\npayment = "po_one_approval"\nstates = ["awaiting_approval"]'
    never = '[[act]]\npayment = "po_one_approval"\nstates = ["expired"]'
    assert approves in whole
    file.write_text(whole.replace(approves, never))
    yield
    file.write_text(whole)


def _kill_one_after_the_other(
    checkout: Checkout, running: subprocess.Popen[bytes], log: str
) -> None:
    """Kill each process when some more payments have come to rest."""
    for goal, name in zip(range(5, 80, 15), VICTIMS, strict=True):
        _wait_for_rest(running, log, goal)
        victim = checkout.processes()[name]
        os.kill(victim, signal.SIGKILL)
        eventually(partial(_is_another, checkout, name, victim), f"another {name}")
    _wait_for_rest(running, log, 80)


def _wait_for_rest(running: subprocess.Popen[bytes], log: str, goal: int) -> None:
    """Wait until so many payments have come to rest, while the run goes on."""

    def are_at_rest() -> bool:
        said = Path(log).read_text()
        assert running.poll() is None, said
        found = re.findall(r"(\d+) of \d+ at rest", said)
        return bool(found) and int(found[-1]) >= goal

    eventually(are_at_rest, f"{goal} payments at rest")


def _is_another(checkout: Checkout, name: str, victim: int) -> bool:
    return checkout.processes().get(name, victim) != victim
