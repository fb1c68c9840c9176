"""The bank as a customer meets it: a process on loopback, reached by HTTP only."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.bank.receiver import SECRET

API_KEY = "a-key-for-tests"
WAIT_SECONDS_MAX = 90.0  # much more than any of it takes, for a machine that is busy
CALL_SECONDS_MAX = 60.0
FUNDS_MINOR = 10**10

QUICK = {
    "PAY_SECONDS": "0.05",
    "WEBHOOK_SECONDS": "0.01",
    "WEBHOOK_RETRY_SECONDS": "0.05",
    "WEBHOOK_RETRY_SECONDS_MAX": "0.2",
    "SLOW_SECONDS": "0.3",
    "SLOW_PAID_SECONDS": "1.0",
    "HOLD_SECONDS": "30",
    "WEBHOOK_LATE_SECONDS": "0.5",
    "NOT_FOUND_SECONDS": "1.0",
    "DAY_SECONDS": "0.1",
    "ROLLBACK_SECONDS": "0.2",
    "CORRECTION_SECONDS": "0.2",
}

_numbers = itertools.count(1)


def until(condition: Callable[[], Any]) -> Any:
    """Ask again and again until there is a true answer, and return it."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)  # between two questions
    return answer


def new_reference(word: str = "x") -> str:
    """Return a reference that no other test uses."""
    return f"po_{word.replace('-', '_')}_{next(_numbers)}-1"


def order(reference: str, remittance: str = "", **facts: Any) -> dict[str, Any]:
    """Return the body of a payout."""
    return {
        "reference": reference,
        "amount_minor": 1250,
        "currency": "EUR",
        "beneficiary": {"kind": "iban", "name": "Ana Díaz", "iban": "ES9121000418450200051332"},
        "remittance": remittance,
        **facts,
    }


class BankProcess:
    """A bank on its own file; killed and started again it is the same bank."""

    def __init__(self, directory: Path, webhook_url: str | None, **settings: str) -> None:
        self.directory = directory
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BANK_")},
            **{f"BANK_{name}": value for name, value in {**QUICK, **settings}.items()},
            "BANK_API_KEY": API_KEY,
            "BANK_DATABASE": str(directory / "bank.sqlite"),
            "BANK_PORT": "0",
        }
        if webhook_url is not None:
            self._environment |= {"BANK_WEBHOOK_URL": webhook_url, "BANK_WEBHOOK_SECRET": SECRET}
        self.log = directory / "bank.log"
        self.start()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "partners.simulator.bank"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        port = until(self._port)
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=CALL_SECONDS_MAX,
            trust_env=False,
        )

    def _port(self) -> int | None:
        assert self._process.poll() is None, self.log.read_text()
        mine = self._process.pid
        whole = self.log.read_text().rpartition("\n")[0]
        said = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        for line in reversed(said):
            if line["event"] == "listening" and line["pid"] == mine:
                return int(line["port"])
        return None

    def set(self, **settings: str) -> None:
        """Set environment settings for the next start."""
        self._environment |= {f"BANK_{name}": value for name, value in settings.items()}

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the process to end and return its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        self.http.close()
        self._process.send_signal(how)
        return self._process.wait(WAIT_SECONDS_MAX)

    def fund(self, *currencies: str) -> None:
        """Let enough money for all tests come in."""
        for currency in currencies:
            self.credit(f"funds-{currency}", f"wallet/funds/{currency}", FUNDS_MINOR, currency)

    def credit(
        self, credit_id: str, reference: str, amount_minor: int, currency: str = "EUR"
    ) -> httpx.Response:
        """Let money come in."""
        body = {
            "credit_id": credit_id,
            "reference": reference,
            "amount_minor": amount_minor,
            "currency": currency,
        }
        return self.http.post("/control/credits", json=body)

    def pay(
        self, body: dict[str, Any], key: str | None = None, timeout: float = CALL_SECONDS_MAX
    ) -> httpx.Response:
        """Ask for a payout."""
        headers = {"Idempotency-Key": key or body["reference"]}
        return self.http.post("/v1/payouts", json=body, headers=headers, timeout=timeout)

    def tune(self, **settings: Any) -> dict[str, Any]:
        """Change control settings."""
        reply = self.http.post("/control/settings", json=settings)
        assert reply.status_code == 200, reply.text
        told: dict[str, Any] = reply.json()
        return told

    def find(self, reference: str) -> dict[str, Any] | None:
        """Return the only payout of a reference; None where there is none."""
        reply = self.http.get("/v1/payouts", params={"reference": reference})
        if reply.status_code == 404:
            return None
        (payout,) = reply.json()["payouts"]
        told: dict[str, Any] = payout
        return told

    def judged(self, reference: str) -> dict[str, Any]:
        """Return what the bank's own file says about a reference."""
        reply = self.http.get("/control/state", params={"reference": reference})
        told: dict[str, Any] = reply.json()["references"][reference]
        return told

    def state(self) -> dict[str, Any]:
        """Return the judge's view of everything."""
        told: dict[str, Any] = self.http.get("/control/state").json()
        return told

    def wait_for_status(self, reference: str, status: str) -> dict[str, Any]:
        """Wait until the bank tells a status, and return the payout."""

        def told() -> dict[str, Any] | None:
            payout = self.find(reference)
            return payout if payout is not None and payout["status"] == status else None

        payout: dict[str, Any] = until(told)
        return payout

    def wait_until_idle(self) -> dict[str, Any]:
        """Wait until no step and no webhook is left, and return the state."""

        def idle() -> dict[str, Any] | None:
            state = self.state()
            busy = state["steps_pending"] or state["webhooks"]["queued"]
            return None if busy else state

        state: dict[str, Any] = until(idle)
        return state

    def wait_until_steps_are_done(self) -> dict[str, Any]:
        """Wait until no step is left, whatever waits to be told, and return the state."""
        until(lambda: not self.state()["steps_pending"])
        return self.state()

    def lines(self, reference: str | None = None) -> list[dict[str, Any]]:
        """Return the book, all of it or of one reference."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self.http.get("/v1/book", params={"after": after}).json()
            found += page["lines"]
            after = page["next_after"]
        return [line for line in found if reference in (None, line["reference"])]
