"""The client: what a backend calls. It needs Temporal, and no database."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure, WorkflowNotReadyFailure
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from bursar import names, temporal
from bursar.actions import Answer, Approve, Cancel, Deny, Resolve
from bursar.errors import (
    ActionRefused,
    InvalidRequest,
    PaymentConflict,
    PaymentNotFound,
    ServiceUnavailable,
)
from bursar.ids import PayoutId, TransferId
from bursar.inputs import fault, read, refusal
from bursar.payments import (
    PaymentResult,
    PaymentState,
    PayoutRequest,
    TransferRequest,
    content_hash,
)
from bursar.starts import start_run
from bursar.sweeps import SweepReport

_T = TypeVar("_T")

SWEEP_TIMEOUT = timedelta(minutes=2)
"""How long somebody waits for a sweep that they have asked for."""

PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Between tries of an act that reached a run at the very moment of another step."""


class PaymentHandle:
    """One payment, wherever it stands."""

    def __init__(
        self, handle: WorkflowHandle[Any, Any], payment_id: str, *, existed: bool = False
    ) -> None:
        self._handle = handle
        self.id = payment_id
        self.existed = existed
        """True: the same request had been sent before, and this call started nothing."""

    async def status(self) -> PaymentState:
        """Return where the payment stands, as far as Temporal's index knows.

        The index follows within about a second and shows the states in which somebody waits;
        between them a payment shows the last one. The books have the exact state.

        Raises:
            PaymentNotFound: Temporal knows no such payment (any more).
            ServiceUnavailable: Temporal does not answer.
        """
        found = await _answered(self._handle.describe(), self.id)
        state = found.typed_search_attributes.get(names.PAYMENT_STATE)
        return PaymentState(state) if state else PaymentState.RECEIVED

    async def result(self) -> PaymentResult:
        """Wait for the end of the payment and return it, however long that takes.

        Raises:
            PaymentConflict: The register knows the id with other content; nothing was done.
            InvalidRequest: The payment was started with a malformed request; nothing was done.
            PaymentNotFound: Temporal knows no such payment (any more).
            ServiceUnavailable: Temporal does not answer.
        """
        try:
            answer = await _answered(self._handle.result(), self.id)
        except WorkflowFailureError as error:
            if isinstance(error.cause, ApplicationError):
                if error.cause.type == "PaymentConflict":
                    raise PaymentConflict(self.id) from error
                if error.cause.type == "InvalidRequest":
                    raise InvalidRequest(error.cause.message) from error
            raise ServiceUnavailable(
                f"the run of {self.id} was ended from outside ({error.cause}); "
                "what became of the money is in the books: ask the gateway"
            ) from error
        return PaymentResult.model_validate(answer)

    async def approve(
        self, by: str, reason: str | None = None, *, content_hash: str | None = None
    ) -> Answer:
        """Approve the payment in the name of `by`; see `Answer.verdict` for what came of it.

        Raises, as the other actions do:
            InvalidRequest: The name, reason or hash cannot be one; nothing was done.
            PaymentNotFound: Temporal knows no such payment (any more).
            ActionRefused: The payment has ended, or its run did not accept this.
            ServiceUnavailable: Temporal did not answer; repeat the call.
        """
        given = {"by": by, "reason": reason, "content_hash": content_hash}
        return await self._act(names.APPROVE, read(Approve, given))

    async def deny(self, by: str, reason: str) -> Answer:
        """Deny the payment in the name of `by`."""
        return await self._act(names.DENY, read(Deny, {"by": by, "reason": reason}))

    async def cancel(self, by: str, reason: str) -> Answer:
        """Cancel the payment: `cancelled`, or `too_late` once it has been handed over."""
        return await self._act(names.CANCEL, read(Cancel, {"by": by, "reason": reason}))

    async def resolve(self, decision: Resolve) -> Answer:
        """Decide a payment in review, with evidence and two people."""
        return await self._act(names.RESOLVE, decision)

    async def _act(self, verb: str, action: Approve | Deny | Cancel | Resolve) -> Answer:
        update_id = uuid.uuid4().hex  # the same for every try, so that all of them are one act
        for pause in (*PAUSES_SECONDS, None):
            update = self._handle.execute_update(verb, action, id=update_id, result_type=Answer)
            try:
                return Answer.model_validate(await _answered(update, self.id))
            except WorkflowUpdateFailedError as error:
                raise ActionRefused(f"{verb} of {self.id} was refused: {error.cause}") from error
            except ServiceUnavailable as error:
                if pause is None or not _came_too_close(error.__cause__):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")


class PayoutHandle(PaymentHandle):
    """One payout."""


class TransferHandle(PaymentHandle):
    """One transfer."""


class Bursar:
    """The way in: starts payments and reaches those that run."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, address: str = "127.0.0.1:7233", *, namespace: str = "bursar") -> Bursar:
        """Connect to the Temporal server that runs the payments.

        Raises:
            ServiceUnavailable: Nobody answers at the address.
        """
        return cls(await temporal.connect(address, namespace))

    async def pay_out(self, request: PayoutRequest) -> PayoutHandle:
        """Start a payout; the same request again gives the same payout.

        Raises:
            InvalidRequest: This is no `PayoutRequest`; make one with `PayoutRequest.read`.
            PaymentConflict: The id belongs to a payout with other content.
            ServiceUnavailable: Temporal did not answer; repeat with the same request.
        """
        _require(request, PayoutRequest)
        handle, existed = await self._start(request)
        return PayoutHandle(handle, request.id, existed=existed)

    async def transfer(self, request: TransferRequest) -> TransferHandle:
        """Start a transfer; the same request again gives the same transfer.

        Raises:
            InvalidRequest: This is no `TransferRequest`; make one with `TransferRequest.read`.
            PaymentConflict: The id belongs to a transfer with other content.
            ServiceUnavailable: Temporal did not answer; repeat with the same request.
        """
        _require(request, TransferRequest)
        handle, existed = await self._start(request)
        return TransferHandle(handle, request.id, existed=existed)

    def payout(self, payment_id: str) -> PayoutHandle:
        """Return the handle of a payout that was started before; asks nobody.

        Raises:
            InvalidRequest: No payout has such an id.
        """
        _checked(PayoutId, payment_id)
        return PayoutHandle(self._handle(payment_id), payment_id, existed=True)

    def transfer_handle(self, payment_id: str) -> TransferHandle:
        """Return the handle of a transfer that was started before; asks nobody.

        Raises:
            InvalidRequest: No transfer has such an id.
        """
        _checked(TransferId, payment_id)
        return TransferHandle(self._handle(payment_id), payment_id, existed=True)

    async def sweep(self) -> SweepReport:
        """Compare register and runs now, as Temporal does by itself each minute.

        Raises:
            ServiceUnavailable: Temporal, or a worker, did not answer in time; repeat it.
        """
        run = self._client.execute_workflow(
            names.SWEEP_WORKFLOW,
            id=f"{names.SWEEP_SCHEDULE}-now",
            task_queue=names.PAYMENTS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=SWEEP_TIMEOUT,
            result_type=SweepReport,
        )
        try:
            return await _answered(run, "the sweep")
        except WorkflowFailureError as error:
            raise ServiceUnavailable(f"the sweep did not end: {error.cause}; repeat it") from error

    def _handle(self, payment_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(names.workflow_id(payment_id))

    async def _start(
        self, request: PayoutRequest | TransferRequest
    ) -> tuple[WorkflowHandle[Any, Any], bool]:
        # By the id alone: the handle that a start gives knows only that run, and a payment may be
        # given another one.
        handle = self._handle(request.id)
        try:
            await _answered(start_run(self._client, request), request.id)
        except WorkflowAlreadyStartedError:
            if await _answered(self._content_of(handle), request.id) != content_hash(request):
                raise PaymentConflict(request.id) from None
            return handle, True
        return handle, False

    async def _content_of(self, handle: WorkflowHandle[Any, Any]) -> str | None:
        """Return the content hash of the payment that runs under an id; None: it is none of ours.

        Where it was started by hand, with no hash beside it, what it was started with is read.

        Raises:
            ServiceUnavailable: The hash is encrypted with a key that is not known here.
        """
        run = await handle.describe()
        try:
            told = await run.memo_value(names.CONTENT_HASH_MEMO, None)
        except KeyError as error:  # what the converter says to a payload that was not decrypted
            raise ServiceUnavailable(
                f"{handle.id} exists, and what it was started with is encrypted with a key that is"
                " not known here; nothing was started. Add the key to"
                f" {temporal.CODEC_KEYS_VARIABLE}, and repeat it"
            ) from error
        if told is not None:
            return str(told)
        begun = await anext(handle.fetch_history_events(page_size=1))
        payloads = begun.workflow_execution_started_event_attributes.input.payloads
        model = PayoutRequest if run.workflow_type == names.PAYOUT_WORKFLOW else TransferRequest
        try:
            (content,) = await self._client.data_converter.decode(payloads)
            return content_hash(model.read(content))
        except (InvalidRequest, ValueError, KeyError, RuntimeError):
            return None


def _require(request: object, model: type[PayoutRequest | TransferRequest]) -> None:
    if not isinstance(request, model):
        reason = f"must be a {model.__name__}; make one with {model.__name__}.read"
        raise refusal((fault("type_invalid", None, reason),))


def _checked(form: Any, payment_id: str) -> None:
    try:
        TypeAdapter(form).validate_python(payment_id)
    except ValidationError:
        raise refusal((fault("id_invalid", "id", "is no id of such a payment"),)) from None


async def _answered(call: Awaitable[_T], payment_id: str) -> _T:
    """Await a call to Temporal and say in our words what went wrong."""
    try:
        return await call
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise ServiceUnavailable(
            f"no answer about {payment_id} in time; repeat the call, it is safe"
        ) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and not _of_the_namespace(error):
            if "already completed" in str(error):
                raise ActionRefused(
                    f"{payment_id} has ended already; nothing was changed", code="already_final"
                ) from error
            raise PaymentNotFound(payment_id) from error
        raise ServiceUnavailable(
            f"Temporal did not answer about {payment_id} ({error}); repeat the call, it is safe"
        ) from error


def _of_the_namespace(error: RPCError) -> bool:
    """Tell whether what was not found is the namespace itself, and not the payment in it."""
    details = error.grpc_status.details
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in details)


def _came_too_close(error: BaseException | None) -> bool:
    """Tell whether the server put an update down because the run was just taking a step."""
    return isinstance(error, RPCError) and any(
        detail.Is(WorkflowNotReadyFailure.DESCRIPTOR) for detail in error.grpc_status.details
    )
