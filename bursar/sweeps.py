"""Sweeps: what the sweeper saw when it compared the register with the runs, and what it did."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

NAMED_MAX = 100
"""How many payments a report names of each sort; the counts count all."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True)


class Position(_Plain):
    """Where a walk over the payments that have not ended has come to."""

    state: str
    created_at: AwareDatetime
    id: str


class Watermark(_Plain):
    """The newest change of the books at some moment, kept outside of them.

    Books that do not have it any more were restored from before it, or are other books.
    """

    change_id: int
    key: str


class Found(_Plain):
    """Payments or runs of one sort: how many, and the first of them by name."""

    number: int = 0
    names: tuple[str, ...] = ()

    def plus(self, name: str) -> Found:
        """Return this with one more."""
        names = (*self.names, name) if self.number < NAMED_MAX else self.names
        return Found(number=self.number + 1, names=names)


class RunsReport(_Plain):
    """From the register to the runs: payments that have not ended, and how their runs are."""

    looked_at: int = 0
    adopted: Found = Found()
    """Payments whose run was gone or had ended, and was started again."""
    renewed: Found = Found()
    """Payments whose run was replaced by a new one.

    It had come near the limits of a history, or had seen what restored books know nothing of.
    """
    wedged: Found = Found()
    """Payments whose run fails again and again; each has a case."""
    unreadable: Found = Found()
    """Payments whose stored request no run can be started with; each has a case."""
    next: Position | None = None
    """Where the next sweep goes on; None: all were looked at, and it begins anew."""


class SweepReport(_Plain):
    """What one sweep found and did."""

    runs: RunsReport = RunsReport()
    unregistered: Found = Found()
    """Runs that go on and that the register has no payment of, by workflow id."""
    stuck: Found = Found()
    """Payments past their time, for which this sweep has opened a case."""
    behind: str | None = None
    """Why the books are not those that Temporal has worked with; None: they are."""
    watermark: Watermark | None = None
