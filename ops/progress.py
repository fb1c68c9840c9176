"""Live progress: bars by state, the rate, and the time left."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bursar.cli.output import STATE_STYLES, state_cell
from bursar.payments import FINAL, PaymentState

RATE_OVER_SECONDS = 5.0
PLAIN_EVERY_SECONDS = 2.0
REST = FINAL | {PaymentState.IN_REVIEW}
"""States in which a payment stays unless a person or the partner does something."""


class ProgressShown:
    """Bars in a terminal; now and then a line where there is none."""

    def __init__(self, console: Console, expected: int) -> None:
        self._console = console
        self._expected = expected
        self._done: deque[tuple[float, int]] = deque()
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._plain_at = 0.0
        self._plain_last = ""

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bars away."""
        self._live.stop()

    def update(self, states: Iterable[PaymentState]) -> None:
        """Show where the payments stand now."""
        counts = Counter(states)
        done = sum(counts[state] for state in REST)
        now = time.monotonic()
        self._done.append((now, done))
        while now - self._done[0][0] > RATE_OVER_SECONDS:
            self._done.popleft()
        line = self._line(counts, done)
        if self._console.is_terminal:
            self._live.update(Group(_bars(counts, self._expected), Text(line)), refresh=True)
        elif now - self._plain_at > PLAIN_EVERY_SECONDS and line != self._plain_last:
            self._plain_at, self._plain_last = now, line
            self._console.print(Text(f"  {line}"))

    def _line(self, counts: Counter[PaymentState], done: int) -> str:
        first_at, first = self._done[0]
        seconds = self._done[-1][0] - first_at
        rate = (done - first) / seconds if seconds > 0 else 0.0
        left = self._expected - done
        ahead = f"about {left / rate:.0f} s left" if left and rate > 0 else f"{left} to go"
        return f"{done} of {self._expected} at rest, {rate:.1f} per second, {ahead}"


def _bars(counts: Counter[PaymentState], expected: int) -> Table:
    bars = Table.grid(padding=(0, 1))
    for state in PaymentState:
        if counts[state]:
            style = STATE_STYLES.get(state, "cyan")
            bar = ProgressBar(
                expected, counts[state], width=40, complete_style=style, finished_style=style
            )
            bars.add_row(state_cell(state), str(counts[state]), bar)
    return bars
