"""Output: what people read, and what machines read; never both on standard output."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from bursar.money import decimal_text
from bursar.payments import PaymentState

PIPE_WIDTH = 200
"""Columns where no terminal says how wide it is, so that a file or a pipe gets whole lines."""

STATE_STYLES: Mapping[PaymentState, str] = {
    PaymentState.RECEIVED: "cyan",
    PaymentState.AWAITING_APPROVAL: "bold yellow",
    PaymentState.SCHEDULED: "cyan",
    PaymentState.RESERVED: "cyan",
    PaymentState.SUBMITTING: "cyan",
    PaymentState.SUBMITTED: "cyan",
    PaymentState.OUTCOME_UNKNOWN: "bold yellow",
    PaymentState.IN_REVIEW: "bold magenta",
    PaymentState.SETTLED: "green",
    PaymentState.RETURNED: "yellow",
    PaymentState.REFUSED: "red",
    PaymentState.DENIED: "red",
    PaymentState.EXPIRED: "red",
    PaymentState.CANCELLED: "dim",
    PaymentState.FAILED: "red",
}

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Forgiving:
    """A text stream whose reader, such as `head`, may have what it wanted and go away.

    What is written then goes nowhere, so that a command still ends with its own exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or forget, a text."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._go_on_without_a_reader()
            return len(text)

    def flush(self) -> None:
        """Flush what was written, or forget it."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._go_on_without_a_reader()

    def _go_on_without_a_reader(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def console(stream: TextIO | None = None) -> Console:
    """Return a console on a stream; standard output if none is given."""
    stream = stream or sys.stdout
    fixed = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, width=fixed, highlight=False, markup=False, emoji=False)


def print_json(content: BaseModel | Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON document on one line of standard output."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    sys.stdout.write(json.dumps(plain, ensure_ascii=True) + "\n")


def plain(text: object) -> str:
    """Return text from outside without anything that could command a terminal or hide itself."""
    return "".join(
        char if unicodedata.category(char) not in _UNPRINTABLE else "\N{REPLACEMENT CHARACTER}"
        for char in str(text)
    )


def cell(text: object, style: StyleType = "") -> Text:
    """Return text from outside as a cell of a table; None gives an empty one."""
    return Text("" if text is None else plain(text), style=style)


def short(text: object, style: StyleType = "") -> Text:
    """Return text from outside as a cell that may lose its end where the terminal is narrow."""
    made = cell(text, style)
    made.no_wrap, made.overflow = True, "ellipsis"
    return made


def state_cell(state: PaymentState) -> Text:
    """Return a state in its colour."""
    return Text(state.value, style=STATE_STYLES.get(state, ""))


def moment(at: datetime | None) -> str:
    """Return a moment as people read it, in UTC: 2026-11-21 09:31:07."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def amount(amount_minor: int, currency: str) -> str:
    """Return minor units with thousands apart: 125000, EUR → "1,250.00"."""
    try:
        text = decimal_text(amount_minor, currency)
    except ValueError:  # a currency that left the table since: show what the books hold
        return f"{amount_minor} (minor units)"
    whole, point, fraction = text.lstrip("-").partition(".")
    return f"{'-' if amount_minor < 0 else ''}{int(whole):,}{point}{fraction}"


def table(*columns: str | tuple[str, str], title: str | None = None) -> Table:
    """Return an empty table with light lines.

    Args:
        columns: Headers. A column is as wide as its cells; one given as (header, "right") is set
            flush right, and one given as (header, "fold") gives way where the terminal is
            narrow: it runs over several lines, or its cells are `short`.
        title: What stands above the table.
    """
    made = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        title=title,
        min_width=len(title) if title else None,  # else a title folds over a narrow table
        title_justify="left",
        title_style="bold",
        header_style="dim",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        header, how = column if isinstance(column, tuple) else (column, "")
        made.add_column(
            header,
            justify="right" if how == "right" else "left",
            no_wrap=how != "fold",
            overflow="fold" if how == "fold" else "ellipsis",
        )
    return made
