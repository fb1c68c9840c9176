"""The reader: what the gateway knows, typed, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from bursar.actions import Answer
from bursar.errors import (
    ActionRefused,
    BursarError,
    CaseNotFound,
    Fault,
    InvalidRequest,
    NotAuthorised,
    PaymentConflict,
    PaymentNotFound,
    ServiceUnavailable,
)
from bursar.gate import CapBody, DisableBody, GateAnswer, RailList, SwitchBody
from bursar.payments import PaymentKind, PaymentState
from bursar.views import (
    AccountList,
    BooksReport,
    CaseAnswer,
    CasePage,
    CaseView,
    CheckRounds,
    EventPage,
    NoSend,
    PaymentPage,
    PaymentView,
    Problem,
    Redriven,
)

PAGE_SIZE = 50

Verb = Literal["approve", "deny", "cancel", "resolve"]
ExportFormat = Literal["ledger", "hledger"]

_M = TypeVar("_M", bound=BaseModel)

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_SLOW = httpx.Timeout(10.0, read=300.0)
"""For what walks through all the books."""

_ACTING = httpx.Timeout(10.0, read=60.0)
"""For what waits until a worker has judged it."""


class Reader:
    """A connection to the gateway. Reading changes nothing and may be repeated at will.

    Every method raises `ServiceUnavailable` when the gateway does not answer as a gateway does,
    and `NotAuthorised` when the token is missing, unknown or too weak.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout_seconds: float = 10) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            url: Where the gateway is, such as http://127.0.0.1:8080.
            token: The bearer token of the person or service that reads.
            timeout_seconds: How long one quick answer may take; exports and checks may take more.

        Raises:
            InvalidRequest: The address is no http or https address.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise InvalidRequest(f"the gateway's address {url!r} is no address") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise InvalidRequest(f"the gateway's address {url!r} must begin with http(s)://host")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InvalidRequest("the token holds characters that a token never has")
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_seconds,
            trust_env=parsed.host not in _LOOPBACK,  # a proxy cannot reach our own machine
        )

    async def __aenter__(self) -> Self:
        """Give the reader."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def payment(self, payment_id: str) -> PaymentView:
        """Return everything that is known of one payment.

        Raises:
            PaymentNotFound: The register has no such payment (yet).
        """
        return await self._read(PaymentView, "GET", f"/v1/payments/{payment_id}", of=payment_id)

    async def payments(
        self,
        *,
        state: PaymentState | None = None,
        kind: PaymentKind | None = None,
        tenant: str | None = None,
        account: str | None = None,
        partner: str | None = None,
        batch_id: str | None = None,
        stuck: bool | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> PaymentPage:
        """Return a page of payments, newest first; give its `next_cursor` for the next one."""
        query = {
            "state": state,
            "kind": kind,
            "tenant": tenant,
            "account": account,
            "partner": partner,
            "batch_id": batch_id,
            "stuck": None if stuck is None else str(stuck).lower(),
            "cursor": cursor,
            "limit": str(limit),
        }
        return await self._read(PaymentPage, "GET", "/v1/payments", query=query)

    async def accounts(
        self, *, prefix: str | None = None, tenant: str | None = None
    ) -> AccountList:
        """Return the accounts whose path begins with `prefix`, with their balances."""
        query = {"prefix": prefix, "tenant": tenant}
        return await self._read(AccountList, "GET", "/v1/accounts", query=query)

    async def open_accounts(self, accounts: Sequence[tuple[str, str]]) -> AccountList:
        """Open wallets, given as (path, tenant); those that are open already stay as they are."""
        body = [{"path": path, "tenant": tenant} for path, tenant in accounts]
        return await self._read(AccountList, "POST", "/v1/accounts", body=body)

    async def act(self, payment_id: str, verb: Verb, body: Mapping[str, Any]) -> Answer:
        """Act on a payment as the holder of the token; the body is the action without `by`.

        Raises:
            PaymentNotFound: There is no such payment.
            ActionRefused: The action does not apply; nothing changed.
        """
        path = f"/v1/payments/{payment_id}/{verb}"
        return await self._read(Answer, "POST", path, body=body, of=payment_id, patience=_ACTING)

    async def no_send(self) -> NoSend:
        """Return whether all sending is stopped, and what has to be compared before it goes on."""
        return await self._read(NoSend, "GET", "/v1/no-send")

    async def rails(self) -> RailList:
        """Return each rail with what waits before it, and all pauses and caps in force."""
        return await self._read(RailList, "GET", "/v1/rails")

    async def pause(self, body: SwitchBody) -> GateAnswer:
        """Stop handing over; once this returns, no money leaves against it."""
        return await self._act_on_gate("/v1/rails/pause", body)

    async def resume(self, body: SwitchBody) -> GateAnswer:
        """Lift a pause: one's own, or with the role admin anybody's."""
        return await self._act_on_gate("/v1/rails/resume", body)

    async def set_limit(self, body: CapBody) -> GateAnswer:
        """Set, replace or end the cap of a currency."""
        return await self._act_on_gate("/v1/limits", body)

    async def disable_person(self, body: DisableBody) -> GateAnswer:
        """Make a person's words and tokens count no more, also words of before."""
        return await self._act_on_gate("/v1/people/disable", body)

    async def _act_on_gate(self, path: str, body: SwitchBody | CapBody | DisableBody) -> GateAnswer:
        plain = body.model_dump(mode="json", exclude_none=True)
        return await self._read(GateAnswer, "POST", path, body=plain)

    async def cases(
        self,
        *,
        state: str = "open",
        kind: str | None = None,
        owner: str | None = None,
        payment_id: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> CasePage:
        """Return a page of cases, oldest first; give its `next_cursor` for the next one."""
        query = {
            "state": state,
            "kind": kind,
            "owner": owner,
            "payment_id": payment_id,
            "cursor": cursor,
            "limit": str(limit),
        }
        return await self._read(CasePage, "GET", "/v1/cases", query=query)

    async def case(self, case_id: int) -> CaseView:
        """Return one case with what people said of it.

        Raises:
            CaseNotFound: There is no such case.
        """
        return await self._read(CaseView, "GET", f"/v1/cases/{case_id}", of=str(case_id))

    async def assign_case(self, case_id: int, owner: str) -> CaseAnswer:
        """Give an open case to somebody, as the holder of the token."""
        path = f"/v1/cases/{case_id}/assign"
        return await self._read(CaseAnswer, "POST", path, body={"owner": owner}, of=str(case_id))

    async def resolve_case(self, case_id: int, evidence: str, to: str | None = None) -> CaseAnswer:
        """Say how a case ends, as the holder of the token.

        Raises:
            CaseNotFound: There is no such case.
            ActionRefused: It is closed, or the books do not take it; nothing changed.
        """
        body = {"evidence": evidence} | ({"to": to} if to else {})
        path = f"/v1/cases/{case_id}/resolve"
        return await self._read(CaseAnswer, "POST", path, body=body, of=str(case_id))

    async def events(
        self,
        *,
        set_aside: bool = False,
        partner: str | None = None,
        payment_id: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> EventPage:
        """Return a page of partners' events, newest first."""
        query = {
            "set_aside": "true" if set_aside else None,
            "partner": partner,
            "payment_id": payment_id,
            "cursor": cursor,
            "limit": str(limit),
        }
        return await self._read(EventPage, "GET", "/v1/events", query=query)

    async def redrive_events(self, ids: Sequence[int] | None) -> Redriven:
        """Bring events back that were set aside, or all of them (None)."""
        body = {"all": True} if ids is None else {"ids": list(ids)}
        return await self._read(Redriven, "POST", "/v1/events/redrive", body=body)

    async def books_check(self, *, since_last: bool = False) -> BooksReport:
        """Run all checks over the books, in one snapshot, or over what is new since the last round.

        Where there is no round that it could go on from, all is looked at; the report says so.
        """
        query = {"since_last": "true" if since_last else None}
        return await self._read(BooksReport, "GET", "/v1/books/check", query=query, patience=_SLOW)

    async def check_rounds(self, *, limit: int = 10) -> CheckRounds:
        """Return the newest rounds of checks on record, and whether one is overdue."""
        query = {"limit": str(limit)}
        return await self._read(CheckRounds, "GET", "/v1/books/rounds", query=query)

    async def books_export(self, form: ExportFormat) -> AsyncIterator[bytes]:
        """Give the whole journal as plain-text accounting, piece by piece, as UTF-8."""
        query = {"format": form}
        try:
            async with self._http.stream(
                "GET", "/v1/books/export", params=query, timeout=_SLOW
            ) as response:
                if not response.is_success:
                    await response.aread()
                    raise problem_error(response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.HTTPError as error:
            raise self._unavailable(error) from error

    async def _read(
        self,
        model: type[_M],
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: Any = None,
        of: str = "",
        patience: httpx.Timeout | None = None,
    ) -> _M:
        request = self._http.build_request(
            method,
            path,
            params={name: value for name, value in (query or {}).items() if value is not None},
            json=body,
            timeout=patience or self._http.timeout,
        )
        try:
            response = await self._http.send(request)
        except httpx.HTTPError as error:
            raise self._unavailable(error) from error
        if not response.is_success:
            raise problem_error(response, of=of)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ServiceUnavailable(
                f"{self.url} answered {path} with something else than a {model.__name__}; "
                "is this the address of a Bursar gateway of this version?"
            ) from error

    def _unavailable(self, error: httpx.HTTPError) -> ServiceUnavailable:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ServiceUnavailable(f"the gateway does not answer at {self.url}")
        return ServiceUnavailable(
            f"the gateway at {self.url} did not answer in full ({type(error).__name__})"
        )


def problem_error(response: httpx.Response, *, of: str = "") -> BursarError:
    """Return the error that an answer stands for: by its code word first, then its status.

    Args:
        response: An answer that is no success, already read.
        of: The payment that was asked about, where there is one.
    """
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return _without_a_problem(response)
    if problem.code == "payment_not_found":
        return PaymentNotFound(of)
    if problem.code == "case_not_found":
        return CaseNotFound(of)
    if problem.code == "payment_conflict":
        return PaymentConflict(of)
    if problem.code == "not_found":
        return ServiceUnavailable(
            f"the gateway knows no {response.url.path}; is it of another version?"
        )
    return _by_status(problem)


def _by_status(problem: Problem) -> BursarError:
    match problem.status:
        case 401 | 403:
            return NotAuthorised(problem.detail)
        case 400 | 413 | 422:
            return InvalidRequest(
                problem.detail,
                field=problem.field,
                code=problem.code,
                faults=tuple(Fault(**each.model_dump()) for each in problem.faults),
            )
        case 408 | 429:
            return ServiceUnavailable(problem.detail)
        case status if 400 <= status < 500:
            return ActionRefused(problem.detail, code=problem.code)
    return ServiceUnavailable(f"the gateway cannot answer now: {problem.detail}")


def _without_a_problem(response: httpx.Response) -> BursarError:
    if response.status_code in {401, 403}:
        return NotAuthorised(f"{response.url.host} refused the token ({response.status_code})")
    return ServiceUnavailable(
        f"{response.url.host} answered {response.status_code} and not as a Bursar gateway does; "
        "is the address right?"
    )
