"""Effect: whether the books took what had to be booked; if not, the payment waits for a fix."""

from __future__ import annotations

from ledger.books import Payment
from ledger.changes import Written


class BooksDisagree(RuntimeError):
    """The books refused what the payment's state allows: a bug, so the payment waits for a fix."""


def check_not_refused(written: Written) -> None:
    """Refuse to go on when the books did not take what has to be booked.

    Raises:
        BooksDisagree: The books refused; the step runs again until somebody has mended it.
    """
    if written.refusal:
        raise BooksDisagree(f"{written.key}: {written.refusal}")


def check_in_effect(written: Written, before: Payment) -> None:
    """Refuse to go on when a move was neither made nor overtaken: it would be tried for ever.

    Raises:
        BooksDisagree: The payment still stands where the move begins.
    """
    check_not_refused(written)
    if written.repeated and written.state is before.state:
        raise BooksDisagree(f"{written.key}: known, but not in effect")
