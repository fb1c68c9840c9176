"""A release with a bug: its payouts' code raises, whatever comes."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

from bursar import names


@workflow.defn(name=names.PAYOUT_WORKFLOW)
class BrokenPayout:
    """Stands in for the payout of such a release: each of its tasks fails, and no run ends."""

    @workflow.run
    async def run(self, *_received: Any) -> None:
        """Fail as a bug does, which Temporal answers with another try."""
        raise RuntimeError("a bug of this release")
