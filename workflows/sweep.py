"""Sweep: register and runs compared, so that no payment is lost or stuck in silence."""

from temporalio import workflow

from activities.options import marking, sweeping
from activities.sweeping import SweepActivities
from bursar import names
from bursar.sweeps import Found, SweepReport

CALLS_BESIDE = "calls-beside"


@workflow.defn(name=names.SWEEP_WORKFLOW)
class Sweep:
    """Look once at every payment that has not ended, and deal with what is wrong.

    Workflow id: sweep-<time>, by the schedule `sweep`. What one sweep leaves to the next, the place
    it has come to and the books' newest change, is in its result; so it lives outside of the books,
    where a restored database cannot have lost it too. It may end and be repeated at any point.
    """

    @workflow.run
    async def run(self) -> SweepReport:
        """Compare, deal with each difference, and report."""
        before = _left_by_the_last_one()
        behind = None
        if before.watermark is not None:  # first: nothing is adopted for books from yesterday
            behind = await workflow.execute_activity_method(
                SweepActivities.look_back, before.watermark, **sweeping("Compare the books")
            )
        calling: workflow.ActivityHandle[Found] | None = None
        if workflow.patched(CALLS_BESIDE):  # so that what fails below silences nobody
            calling = workflow.start_activity_method(
                SweepActivities.call, **sweeping("Payments past their time")
            )
        runs = await workflow.execute_activity_method(
            SweepActivities.look_at_runs, before.runs.next, **sweeping("Payments and their runs")
        )
        unregistered = await workflow.execute_activity_method(
            SweepActivities.look_at_index,
            behind is not None or before.watermark is None,
            **sweeping("Runs and their payments"),
        )
        stuck = await (
            calling
            or workflow.start_activity_method(
                SweepActivities.call, **sweeping("Payments past their time")
            )
        )
        seen = before.watermark if behind is None else None  # it has stopped all
        watermark = await workflow.execute_activity_method(
            SweepActivities.mark,
            args=() if seen is None else (seen,),  # workers of before take none at all
            **marking("Mark the newest change"),
        )
        if seen is not None and watermark is None:
            behind = f"the books have lost change {seen.change_id} while this sweep was under way"
        return SweepReport(
            runs=runs, unregistered=unregistered, stuck=stuck, behind=behind, watermark=watermark
        )


def _left_by_the_last_one() -> SweepReport:
    """Return the report of the last sweep that finished."""
    if workflow.has_last_completion_result():
        return workflow.get_last_completion_result(SweepReport) or SweepReport()
    return SweepReport()
