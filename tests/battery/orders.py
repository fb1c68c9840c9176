"""Orders to die: files that the battery puts down and a process takes up at its crash point."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Literal

How = Literal["hard", "soft"]

POINTS = {
    "K1": "client: before the intent is written down",
    "K2": "client: intent written down, before the workflow is started",
    "K3": "client: workflow started, before the answer is written down",
    "K4": "worker: before the hold is committed",
    "K5": "worker: hold committed, activity not completed",
    "K6": "gateway: approval committed, before the workflow is told",
    "K7": "worker: claim committed, before it connects",
    "K8": "worker: half of the request sent",
    "K9": "worker: request sent, no answer read",
    "K10": "worker: answer read, outcome not committed",
    "K11": "worker: outcome committed, activity not completed",
    "K12": "gateway: event stored, before its 200",
    "K13": "gateway: 200 given, workflow not told, or told and not noted",
    "K14": "worker: last word booked, workflow not told",
    "K16": "worker: return booked, workflow not told",
}
"""Crash points that this release has."""

MISSING_POINTS = {
    "K15": "events to customers are not built yet",
    "K17": "reconciliation is not built yet",
    "K18": "the batch lane is not built yet",
}
"""Crash points whose feature does not exist yet."""


class Swallowed(Exception):
    """A soft death: the work is done, and nobody hears of it, so that it is tried again."""


class Orders:
    """Orders in a folder: `open/K7.000012.hard` until a process renames it to `done/`.

    A rename is atomic, so each order is carried out once, whoever gets to its point first.
    """

    def __init__(self, folder: Path) -> None:
        self._open = folder / "open"
        self._done = folder / "done"
        for each in (self._open, self._done):
            each.mkdir(parents=True, exist_ok=True)

    def give(self, point: str, how: How, number: int) -> None:
        """Let the next process that comes to a point die there."""
        (self._open / f"{point}.{number:06}.{how}").touch()

    def take(self, point: str) -> How | None:
        """Return how to die here, if there is an order."""
        for name in sorted(os.listdir(self._open)):
            if not name.startswith(f"{point}."):
                continue
            try:
                (self._open / name).rename(self._done / f"{name}.{os.getpid()}")
            except FileNotFoundError:  # somebody else was faster
                continue
            return "hard" if name.endswith("hard") else "soft"
        return None

    def withdraw(self) -> list[str]:
        """Take back the orders that nobody has come by for."""
        left = sorted(self._open.iterdir())
        for order in left:
            order.unlink(missing_ok=True)
        return [order.name for order in left]

    def done(self) -> Counter[tuple[str, How]]:
        """Count the orders that were carried out, by point and way."""
        words = [name.split(".") for name in os.listdir(self._done)]
        return Counter((point, "hard" if how == "hard" else "soft") for point, _, how, _ in words)

    def waiting(self, how: str = "") -> int:
        """Count the orders that nobody has taken yet: all, or those of one way to die."""
        return sum(name.endswith(how) for name in os.listdir(self._open))


def die(how: How, point: str) -> None:
    """End this process at once, or let what it has done go unheard.

    Raises:
        Swallowed: It is a soft death.
    """
    if how == "hard":
        os.kill(os.getpid(), signal.SIGKILL)
    raise Swallowed(point)


class Fate:
    """What a process asks at each of its crash points."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def meet(self, *points: str, chance: float = 1.0) -> None:
        """Die here if there is an order for one of the points.

        Args:
            points: The crash points that this place is.
            chance: How likely an order is looked at, where one point has several places.
        """
        if chance < 1.0 and random.random() > chance:  # noqa: S311  no secret
            return
        for point in points:
            how = self._orders.take(point)
            if how is not None:
                die(how, point)

    def order(self, point: str) -> How | None:
        """Return how to die here, for a place that has to do something first."""
        return self._orders.take(point)
