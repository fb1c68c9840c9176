"""B-time: days and moments that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.badinput.entry import Entry

NO_MOMENT = (
    *("", "now", "tomorrow", "2026-12-01", "2026-12-01T09:30", "2026-12-01T09:30:00", "01.12.2026"),
    *(
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-12-32T00:00:00Z",
    ),
    *(
        "2026-12-01T24:00:00Z",
        "2026-12-01T25:00:00Z",
        "2026-12-01T23:60:00Z",
        "2026-12-31T23:59:60Z",
    ),
    *(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
    ),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00Z"),
    *("2026-12-01T09:30:00+15:00", "2026-12-01T09:30:00-15:00", "2026-12-01T09:30:00+23:59"),
    *("2026-12-01T09:30:00+99:99", "2026-12-01T09:30:00 Europe/Berlin", "2026-12-01T09:30:00 CET"),
    *(
        "2026-03-29T02:30:00",
        "2026-10-25T02:30:00",
        "12026-12-01T00:00:00Z",
        "-2026-12-01T00:00:00Z",
    ),
    *(
        "2026-W49-2T00:00:00Z",
        "2026-335T00:00:00Z",
        "1764249400",
        "1e9",
        "２026-12-01T09:30:00Z",
        "null",
    ),
)
ANY_MOMENT: tuple[Any, ...] = (1764249400, 1764249400.5, 0, -1, True, [], {}, [2026, 12, 1])
MOMENTS = (
    *(
        "2026-12-01T09:30:00Z",
        "2026-12-01T09:30:00+01:00",
        "2028-02-29T00:00:00Z",
        "2000-01-01T00:00:00Z",
    ),
    *("2026-12-01T09:30:00.123456Z", "2026-12-01T09:30:00+14:00", "2026-12-01T09:30:00-12:00"),
)
NO_DAY = (
    *(
        "",
        "today",
        "2026-02-30",
        "2027-02-29",
        "2100-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-12-00",
    ),
    *(
        "2026-12-32",
        "0001-01-01",
        "9999-12-31",
        "1999-12-31",
        "2200-01-01",
        "01.12.2026",
        "12/01/2026",
    ),
    *(
        "2026-12-01T09:30:00Z",
        "2026-12-01T00:00:01",
        "20261201x",
        "2026-1-1",
        "26-12-01",
        "2026-W49-2",
    ),
    *(
        "２026-12-01",
        "2026‐12‐01",
        " 2026-12-01",
        "2026-12-01 ",
        "2026-12-01\n",
        "null",
        "-1",
        "1.5",
    ),
)
DAYS = ("2026-12-01", "2028-02-29", "2000-02-29", "2026-12-31", "2024-02-29", "2199-12-31")


def entries() -> Iterator[Entry]:
    """Give every entry."""
    for text in NO_MOMENT:
        yield Entry("B-time", f"moment {text!r}", "execute_at", text, "time_invalid")
    for value in ANY_MOMENT:
        yield Entry("B-time", f"moment {value!r}", "execute_at", value, "time_invalid")
        yield Entry("B-time", f"day {value!r}", "execute_on", value, "time_invalid")
    for text in MOMENTS:
        yield Entry("B-time", f"moment {text}", "execute_at", text, None)
    for text in NO_DAY:
        yield Entry("B-time", f"day {text!r}", "execute_on", text, "time_invalid")
    for text in DAYS:
        yield Entry("B-time", f"day {text}", "execute_on", text, None)
