"""B-approve and B-temporal: actions that cannot be read, and what else may come as a signal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

GOOD: dict[str, dict[str, Any]] = {
    "approve": {"by": "ana"},
    "deny": {"by": "ana", "reason": "not ours"},
    "cancel": {"by": "ana", "reason": "paid by card"},
    "resolve": {"by": "ana", "outcome": "paid", "evidence": "statement line 7"},
}
NO_ACTOR: tuple[Any, ...] = (
    *(
        None,
        1,
        True,
        [],
        {},
        "",
        " ana",
        "@ana",
        "a" * 81,
        "anä",
        "a\0b",
        "ana\n",
        "<b>",
        "ana\u202e",
    ),
)
NO_REASON: tuple[Any, ...] = (
    *(None, 1, True, [], {}, "", "   ", " why", "why ", "x" * 301, "a\0b", "a\nb", "a\u202eb"),
    *(
        "a\u200bb",
        "a\x1b[31mb",
        "card 4111111111111111",
        "x\u00a0y",
        "\u3164x",
        "A" + "\u0301" * 30,
    ),
)
NO_HASH: tuple[Any, ...] = ("", "0", "0" * 63, "0" * 65, "G" * 64, "A" * 64, 0, [], "0" * 64 + "\n")
NO_OUTCOME: tuple[Any, ...] = (None, "", "PAID", "maybe", "settled", 1, True, [], {})
STRANGERS = ("verb2", "role", "amount_minor", "approvals", "status", "content", "__class__", "")


@dataclass(frozen=True)
class Action:
    """A payload that no action can be read from, and the code with which HTTP refuses it."""

    verb: str
    payload: Any
    field: str

    @property
    def over_http(self) -> bool:
        """Whether the gateway takes the field at all: who acts is the token's holder there."""
        return self.field not in {"by", "confirmed_by"}

    def body(self) -> dict[str, Any]:
        """Return the payload as a caller of the gateway sends it."""
        return {name: value for name, value in self.payload.items() if name != "by"}


def _actions() -> Iterator[Action]:
    yield from _of_anybody()
    yield from _words()
    yield from _resolutions()


def _of_anybody() -> Iterator[Action]:
    for verb, good in GOOD.items():
        for value in NO_ACTOR:
            yield Action(verb, {**good, "by": value}, "by")
        yield Action(verb, {name: value for name, value in good.items() if name != "by"}, "by")
        for name in STRANGERS:
            yield Action(verb, {**good, name: "x"}, name)


def _words() -> Iterator[Action]:
    for verb in ("deny", "cancel"):
        for value in NO_REASON:
            yield Action(verb, {**GOOD[verb], "reason": value}, "reason")
        yield Action(verb, {"by": "ana"}, "reason")
    for value in NO_HASH:
        yield Action("approve", {"by": "ana", "content_hash": value}, "content_hash")


def _resolutions() -> Iterator[Action]:
    for value in NO_OUTCOME:
        yield Action("resolve", {**GOOD["resolve"], "outcome": value}, "outcome")
    for value in (*NO_REASON, "xy"):
        yield Action("resolve", {**GOOD["resolve"], "evidence": value}, "evidence")
    for value in ("", " ", "x" * 81, "a\0b", 1, [], {}, "a\u202eb"):
        yield Action("resolve", {**GOOD["resolve"], "partner_ref": value}, "partner_ref")
    for value in ("", "@", 1, [], {}, True, "a\0b"):
        yield Action("resolve", {**GOOD["resolve"], "confirmed_by": value}, "confirmed_by")


ACTIONS: tuple[Action, ...] = tuple(_actions())

VERBS = tuple(GOOD)
SCALARS: tuple[Any, ...] = (
    None,
    0,
    -1,
    1.5,
    True,
    "",
    "ana",
    "x" * 10_000,
    "\0",
    "\u202e",
    [],
    [[]],
)
MANY: tuple[list[Any], ...] = (
    [],
    [None, None],
    [{"by": "ana"}, {"by": "ben"}],
    [{"by": "ana"}] * 50,
    list(range(100)),
    [{}],
    [{"by": "ana", "nested": {"a": {"b": {"c": [1, 2, {"d": None}]}}}}],
    [{str(n): n for n in range(1000)}],
    [{"verb": "cancel"}],
)


def _signals() -> Iterator[tuple[str, list[Any]]]:
    for verb in VERBS:
        for value in SCALARS:
            yield verb, [value]
        for given in MANY:
            yield verb, given
    for given in MANY:
        yield "partner_event", given
    for value in SCALARS:
        yield "partner_event", [value]
    for name in (
        "no_such_signal",
        "Approve",
        "APPROVE",
        "a\nb",
        "__stack_trace",
        "ünïcode",
        "x" * 900,
    ):
        yield name, []
        yield name, [{"by": "ana"}]


SIGNALS: tuple[tuple[str, list[Any]], ...] = tuple(_signals())
