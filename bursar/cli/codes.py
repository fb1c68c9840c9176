"""Exit codes: what a script learns from `bursar` without reading a word."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from bursar import errors
from bursar.actions import Answer, Verdict


class ExitCode(IntEnum):
    """The status that a command ends with; where several apply, the highest one counts."""

    OK = 0
    REFUSED = 1
    INVALID = 2
    CONFLICT = 3
    NOT_FOUND = 4
    NOT_AUTHORISED = 5
    UNAVAILABLE = 6
    BUG = 70
    INTERRUPTED = 130


MEANING = {
    ExitCode.OK: "Done; or there was nothing left to do.",
    ExitCode.REFUSED: "A no of the business: an action came too late or does not apply, a watched "
    "payment ended without being paid, or the books have a break.",
    ExitCode.INVALID: "Wrong usage or wrong input: an option, the settings, a file, or lines "
    "of it. The good lines of a file were sent all the same.",
    ExitCode.CONFLICT: "An id belongs to a payment with other content. Compare the two first.",
    ExitCode.NOT_FOUND: "There is no such payment or case.",
    ExitCode.NOT_AUTHORISED: "The token is missing, unknown or too weak, or this person may not "
    "do this.",
    ExitCode.UNAVAILABLE: "A service did not answer, so the outcome is unknown. Repeat the same "
    "command: money never moves twice.",
    ExitCode.BUG: "A bug in bursar itself. Nothing is known of the outcome; repeating is safe.",
    ExitCode.INTERRUPTED: "Stopped by Ctrl-C. What was sent goes on; repeating is safe.",
}
"""What each exit code means, for the help and for `bursar exit-codes`."""

_OF_ERROR: tuple[tuple[type[errors.BursarError], ExitCode], ...] = (
    (errors.InvalidRequest, ExitCode.INVALID),
    (errors.PaymentConflict, ExitCode.CONFLICT),
    (errors.ContentConflict, ExitCode.CONFLICT),
    (errors.PaymentNotFound, ExitCode.NOT_FOUND),
    (errors.CaseNotFound, ExitCode.NOT_FOUND),
    (errors.NotAuthorised, ExitCode.NOT_AUTHORISED),
    (errors.ServiceUnavailable, ExitCode.UNAVAILABLE),
    (errors.LedgerBusy, ExitCode.UNAVAILABLE),
)

_DONE = frozenset(
    {
        Verdict.RECORDED,
        Verdict.APPROVED,
        Verdict.DENIED,
        Verdict.CANCELLED,
        Verdict.RESOLVED,
    }
)


def code_of(error: errors.BursarError) -> ExitCode:
    """Return the exit code for an error; one that is not in the table is a refusal."""
    if error.code == Verdict.NOT_ALLOWED:
        return ExitCode.NOT_AUTHORISED
    for kind, code in _OF_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.REFUSED


def code_of_answer(answer: Answer) -> ExitCode:
    """Return the exit code for the answer to an action."""
    if answer.verdict in _DONE:
        return ExitCode.OK
    if answer.verdict is Verdict.NOT_ALLOWED:
        return ExitCode.NOT_AUTHORISED
    return ExitCode.REFUSED


def highest(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code that counts where several things happened in one command."""
    return max(codes, default=ExitCode.OK)
