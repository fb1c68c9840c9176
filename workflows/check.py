"""Check: a round of checks over the books, each minute over what is new, each night in full."""

from temporalio import workflow

from activities.checking import CheckActivities
from activities.options import checking
from bursar import names
from bursar.views import CheckRound


@workflow.defn(name=names.CHECK_WORKFLOW)
class CheckBooks:
    """Run one round; what it has come to is on record in the books.

    Workflow id: check-books-<time> or check-books-full-<time>, by the schedules of these names. It
    may end and be repeated at any point.
    """

    @workflow.run
    async def run(self, full: bool) -> CheckRound:
        """Check, and return the round as it is on record."""
        summary = "Check all of the books" if full else "Check what is new in the books"
        return await workflow.execute_activity_method(
            CheckActivities.check, full, **checking(summary, full=full)
        )
