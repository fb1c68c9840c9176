"""Errors, by what is true of the money.

BursarError
├── InvalidRequest        the request is wrong: nothing was started
├── PaymentConflict       the id belongs to a payment with other content: nothing was started
├── PaymentNotFound       no such payment: nothing was done
├── CaseNotFound          no such case: nothing was done
├── ActionRefused         approve, deny, cancel or resolve did not apply: nothing changed
├── NotAuthorised         the token is missing, unknown or too weak: nothing was done
├── ServiceUnavailable    Temporal or the gateway did not answer: the outcome of this call is
│                         unknown; repeat it with the same id
├── ContentConflict       the books know the key with other content: nothing was written
└── LedgerBusy            the books' queue is full: nothing was written; try again later
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an input."""

    code: str
    """A stable word for machines; docs/errors.md lists them all."""
    field: str | None
    """Where, by the name that the field has where it was written; None: the input as a whole."""
    reason: str
    what_to_do: str

    def __str__(self) -> str:
        """Return the fault as people read it: "amount: is missing"."""
        return f"{self.field}: {self.reason}" if self.field else self.reason

    def as_json(self) -> dict[str, str | None]:
        """Return the fault for machines."""
        return {
            "field": self.field,
            "code": self.code,
            "reason": self.reason,
            "what_to_do": self.what_to_do,
        }


class BursarError(Exception):
    """The root of all errors that Bursar raises on purpose."""

    code: str = "bursar_error"
    """A stable word for machines; the message is for people."""


class InvalidRequest(BursarError):
    """The request is wrong: nothing was started. The message names the field and the reason."""

    code = "invalid_request"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        super().__init__(message)
        self.field = field
        self.faults = faults
        """Everything that is wrong, where a whole content was read."""
        if code is not None:
            self.code = code


class PaymentConflict(BursarError):
    """The id belongs to a payment with other content: nothing was started by this call.

    Never retry under a new id before you have compared the two.
    """

    code = "payment_conflict"

    def __init__(self, payment_id: str) -> None:
        super().__init__(
            f"{payment_id} exists with other content; nothing was started. "
            "Compare the two before you send anything under a new id"
        )
        self.payment_id = payment_id


class PaymentNotFound(BursarError):
    """There is no such payment: nothing was done."""

    code = "payment_not_found"

    def __init__(self, payment_id: str) -> None:
        super().__init__(f"there is no payment {payment_id}")
        self.payment_id = payment_id


class CaseNotFound(BursarError):
    """There is no such case: nothing was done."""

    code = "case_not_found"

    def __init__(self, case_id: int | str) -> None:
        super().__init__(f"there is no case {case_id}")


class ActionRefused(BursarError):
    """An approval, denial, cancel or resolution did not apply: nothing changed."""

    code = "action_refused"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class NotAuthorised(BursarError):
    """The token is missing, unknown, or its holder may not do this: nothing was done."""

    code = "not_authorised"


class ServiceUnavailable(BursarError):
    """Temporal or the gateway did not answer: what this call did is unknown.

    Repeat it with the same id; a repeat never moves money twice.
    """

    code = "service_unavailable"


class ContentConflict(BursarError):
    """The books know this key with other content: nothing was written. A bug, or worse: page."""

    code = "content_conflict"

    def __init__(self, key: str) -> None:
        super().__init__(f"the books know {key!r} with other content; nothing was written")
        self.key = key


class LedgerBusy(BursarError):
    """The books' queue is full: nothing was written; try again later."""

    code = "ledger_busy"
