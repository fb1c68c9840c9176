"""`make run`: the whole house on this machine, and a file of payouts that becomes money moved."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig

from bursar.cli.output import console as make_console
from bursar.cli.reports import print_report
from bursar.errors import BursarError
from bursar.exit import leave
from ops.bank import BankRefused
from ops.example import Example, ExampleFailed
from ops.home import Home, StackRunning
from ops.postgres import PostgresFailed
from ops.program import ROOT, ProgramFailed
from ops.show import show_summary, show_where_to_look
from ops.stack import Stack, StackFailed
from ops.temporal import TemporalFailed
from ops.temporal_binary import TemporalNotFound

GOOD, BAD, BUG, INTERRUPTED = 0, 1, 70, 130

FOR_PEOPLE = (
    BankRefused,
    BursarError,
    ConnectionError,
    ExampleFailed,
    PostgresFailed,
    ProgramFailed,
    StackFailed,
    StackRunning,
    TemporalFailed,
    TemporalNotFound,
)
"""Failures whose message says what to do; anything else is a bug."""


def main() -> int:
    """Run, and return the exit status: 0 only if books and bank agree and nothing is open."""
    begun = time.monotonic()
    console = make_console()
    home = Home(Path(os.environ.get("BURSAR_HOME", ROOT / ".bursar")))
    once = os.environ.get("ONCE", "0") not in {"", "0"} or not sys.stdout.isatty()
    Runtime.set_default(  # the SDK's own log would go to standard output
        Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="OFF")))
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _like_ctrl_c)
    try:
        with home.locked():
            return _with_the_stack(home, console, begun, once=once)
    except KeyboardInterrupt:
        console.print(Text("Stopped. `make run` goes on from here."))
        return INTERRUPTED
    except BrokenPipeError:  # whoever read along has had enough, and nothing more can be said
        return INTERRUPTED
    except FOR_PEOPLE as error:
        console.print(Text(f"✗ {error}", "red"))
        return BAD
    except Exception as error:
        file = home.logs / "run.log"
        file.write_text(traceback.format_exc())
        console.print(Text(f"✗ A bug in `make run` itself: {error!r}. Details: {file}", "red"))
        return BUG


def _with_the_stack(home: Home, console: Console, begun: float, *, once: bool) -> int:
    def say(text: str) -> None:
        console.print(Text(text))

    stack = Stack(home, say)
    try:
        addresses = stack.start()
        say(f"Everything is up after {time.monotonic() - begun:.1f} s")
        example = Example(home, addresses, console, lambda: stack.supervisor.failure, begun)
        good = _show(example)
        if not once:
            _stay(stack, console)
        return GOOD if good else BAD
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # stopping is short, and must not be cut off
        say("Stopping everything …")
        stack.stop()


def _show(example: Example) -> bool:
    """Run the example, print and write what it came to, and return whether all is well."""
    summary = asyncio.run(example.run())
    for report in example.reports:
        print_report(report)
    show_summary(example.console, summary, example.acts)
    show_where_to_look(example.console, example.addresses, str(example.home.logs))
    summary.write(example.home.summary)
    return summary.good


def _stay(stack: Stack, console: Console) -> None:
    """Keep everything up until Ctrl-C.

    Raises:
        StackFailed: The supervisor has given up on a process.
    """
    console.print(Text("Everything stays up until you press Ctrl-C.", "bold"))
    try:
        while stack.supervisor.failure is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    raise StackFailed(stack.supervisor.failure)


def _like_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    leave(main())
