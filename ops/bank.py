"""The simulated bank from outside: its control endpoints and its own book, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from bursar.ids import payment_of
from bursar.money import Money

PAGE = 1000


class BankRefused(Exception):
    """The bank refused a call of ours; the message says which and why."""


@dataclass(frozen=True)
class BankLine:
    """One line of the bank's book; credits to us positive."""

    line_id: str
    currency: str
    amount_minor: int
    subject: str
    """The payment that its reference belongs to, or the reference as it is."""


class Bank:
    """What the example needs of the bank beside paying through it."""

    def __init__(self, url: str, api_key: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=10,
            trust_env=False,  # a proxy cannot reach our own machine
        )

    async def __aenter__(self) -> Self:
        """Give the bank."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def credit(self, credit_id: str, money: Money, reference: str) -> None:
        """Have money come in at our account with the bank; the same id again changes nothing."""
        await self._call(
            "POST",
            "/control/credits",
            {
                "credit_id": credit_id,
                "amount_minor": money.amount_minor,
                "currency": money.currency,
                "reference": reference,
            },
        )

    async def book(self) -> list[BankLine]:
        """Return every line of the bank's book, in its order."""
        lines: list[BankLine] = []
        after: int | None = 0
        while after is not None:
            page = await self._call("GET", f"/v1/book?after={after}&limit={PAGE}")
            lines.extend(_line(line) for line in page["lines"])
            after = page["next_after"]
        return lines

    async def balances(self) -> dict[str, int]:
        """Return what the bank has booked for us, by currency."""
        found = await self._call("GET", "/v1/balances")
        return {each["currency"]: each["booked_minor"] for each in found["balances"]}

    async def at_rest(self) -> bool:
        """Tell whether the bank has nothing left to do or to tell."""
        state = await self._call("GET", "/control/state")
        return not state["steps_pending"] and not state["webhooks"]["queued"]

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the bank and return what it says.

        Raises:
            ConnectionError: It does not answer.
            BankRefused: It answers with something else than a 2xx.
        """
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ConnectionError(f"the bank does not answer: {error!r}") from error
        if not response.is_success:
            raise BankRefused(f"{method} {path}: {response.status_code} {response.text[:200]}")
        return response.json()


def _line(line: dict[str, Any]) -> BankLine:
    reference = line["reference"] or ""
    is_ours = reference.startswith(("po_", "tr_"))
    return BankLine(
        line_id=line["id"],
        currency=line["currency"],
        amount_minor=line["amount_minor"],
        subject=payment_of(reference) if is_ours else reference,
    )
