"""The example: opens and funds accounts, sends the files, acts the people's part, and compares."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from bursar import temporal
from bursar.cli import files, sending
from bursar.cli.files import Line
from bursar.cli.sending import Outcome, Report, Sent
from bursar.client import Bursar
from bursar.payments import PaymentState, PayoutRequest, TransferRequest
from bursar.reader import Reader
from ops.auditor import Auditor
from ops.bank import Bank
from ops.comparison import Comparison, compare
from ops.histories import costs
from ops.home import PEOPLE, Home
from ops.program import ROOT
from ops.progress import REST, ProgressShown
from ops.scenario import People, read_scenario, working_copy
from ops.stack import PARTNER, Addresses, ui_filter
from ops.summary import Summary
from ops.temporal import NAMESPACE

EXAMPLES = ROOT / "examples"
LOOK_EVERY_SECONDS = 0.5
FUND_SECONDS_MAX = 90.0
SEND_TRIES_MAX = 30
STANDSTILL_SECONDS_MAX = 120.0
QUIET_SECONDS_MAX = 60.0

_T = TypeVar("_T", PayoutRequest, TransferRequest)


class ExampleFailed(Exception):
    """The example cannot go on; the message says what to look at."""


@dataclass
class Example:
    """One run over the example's files, on a stack that is up."""

    home: Home
    addresses: Addresses
    console: Console
    failure: Callable[[], str | None]
    """Tells why the stack has given up, or None."""
    begun: float
    """When the whole run began, by the monotonic clock."""
    acts: Mapping[str, str] = field(default_factory=dict)
    """What people have done, and the answers."""
    reports: tuple[Report, ...] = ()
    """What became of the files' lines."""

    async def run(self) -> Summary:
        """Go on from wherever the data stand to the end of every payment, and sum up.

        Raises:
            ExampleFailed: It cannot go on.
        """
        async with AsyncExitStack() as stack:
            key = self.home.secret("bank_api_key")
            self._bank = await stack.enter_async_context(Bank(self.addresses.bank_url, key))
            self._auditor = await stack.enter_async_context(Auditor(self.addresses.auditor_url))
            readers: dict[str, Reader] = {}
            for person in PEOPLE:
                reader = Reader(self.addresses.gateway_url, self.home.token(person))
                readers[person] = await stack.enter_async_context(reader)
            scenario = read_scenario(EXAMPLES / "scenario.toml")
            people = People(scenario, readers, self.home.directory / "acts.json")
            self.acts = people.done
            await self._fund(readers["ops"])
            payouts, transfers = (
                working_copy(EXAMPLES / name, self.home.directory, scenario)
                for name in ("payouts.csv", "transfers.csv")
            )
            planned = await self._live(payouts, transfers, people)
            comparison = await self._until_quiet()
            return await self._summary(readers["ops"], comparison, planned)

    async def _fund(self, reader: Reader) -> None:
        """Open the accounts, have money come in at the bank, and wait until it is booked."""
        lines, refused = files.read_accounts(EXAMPLES / "accounts.csv")
        if refused:
            raise ExampleFailed(f"examples/accounts.csv: {refused[0]}")
        wanted = [line.request for line in lines]
        await reader.open_accounts([(each.account, each.tenant) for each in wanted])
        funded = [each for each in wanted if each.funding is not None]
        for each in funded:
            if each.funding is not None:
                credit_id = "opening-" + each.account.replace("/", "-")
                await self._bank.credit(credit_id, each.funding, each.account)
        deadline = time.monotonic() + FUND_SECONDS_MAX
        while missing := {each.account for each in funded} - await self._auditor.funded():
            if time.monotonic() > deadline:
                raise ExampleFailed(
                    f"{len(missing)} deposits were not booked in {FUND_SECONDS_MAX:.0f} s, such "
                    f"as {min(missing)}; see gateway.log and worker.log in {self.home.logs}"
                )
            await self._pause()
        self._say(f"{len(wanted)} accounts are open, and funded by deposits at the bank")

    async def _live(self, payouts: Path, transfers: Path, people: People) -> set[str]:
        """Send the files, do the people's part, and watch until every payment is at rest.

        Returns:
            The id of every payment that was sent, now or before.
        """
        good_payouts, bad_payouts = files.read_payouts(payouts)
        good_transfers, bad_transfers = files.read_transfers(transfers)
        planned = {line.request.id for line in good_payouts}
        planned |= {line.request.id for line in good_transfers}
        self._say(
            f"Sending {len(good_payouts)} lines of payouts, {len(good_transfers)} transfers …"
        )
        sender = asyncio.gather(
            self._send(good_payouts, Bursar.pay_out), self._send(good_transfers, Bursar.transfer)
        )
        with ProgressShown(self.console, len(planned)) as progress:
            await self._watch(planned, people, progress, sender)
        sent_payouts, sent_transfers = await sender
        self.reports = (
            Report(payouts.name, False, tuple(sent_payouts), tuple(bad_payouts)),
            Report(transfers.name, False, tuple(sent_transfers), tuple(bad_transfers)),
        )
        return planned

    async def _send(
        self,
        lines: Sequence[Line[_T]],
        start: Callable[[Bursar, _T], Awaitable[object]],
    ) -> list[Sent]:
        """Send a file's lines, those without an answer again, and return all answers."""
        bursar = await Bursar.connect(self.addresses.temporal_address, namespace=NAMESPACE)

        async def existed(request: _T) -> bool:
            return bool(getattr(await start(bursar, request), "existed", False))

        plan = sending.plan(lines)
        left, answers = list(plan.lines), list(plan.set_aside)
        for _ in range(SEND_TRIES_MAX):
            sent = await sending.send(left, existed)
            lost = {s.line for s in sent if s.outcome in {Outcome.UNKNOWN, Outcome.NOT_SENT}}
            answers += [each for each in sent if each.line not in lost]
            left = [line for line in left if line.number in lost]
            if not left:
                return sorted(answers, key=lambda each: each.line)
            await self._pause()
        raise ExampleFailed(f"{len(left)} payments could not be sent; see temporal.log")

    async def _watch(
        self,
        planned: set[str],
        people: People,
        progress: ProgressShown,
        sender: asyncio.Future[tuple[list[Sent], list[Sent]]],
    ) -> None:
        """Look again and again until all is at rest, or nothing has moved for long."""
        last: dict[str, PaymentState] = {}
        moved_at = time.monotonic()
        while time.monotonic() - moved_at < STANDSTILL_SECONDS_MAX:
            await self._pause()
            try:
                states = await self._auditor.states()
            except ConnectionError:
                continue  # the supervisor is starting the database again
            told = await people.act(states)
            for each in told:
                self._say(f"  {each}")
            progress.update(states.values())
            if states != last or told:
                last, moved_at = states, time.monotonic()
            if sender.done() and _all_at_rest(planned, states):
                return
        self._say(f"Nothing has moved for {STANDSTILL_SECONDS_MAX:.0f} s")

    async def _until_quiet(self) -> Comparison:
        """Wait until nobody has anything left to tell, and compare our books with the bank's."""
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        while True:
            try:
                quiet = await self._bank.at_rest() and not await self._auditor.events_open()
                comparison = compare(
                    await self._auditor.nostro_lines(PARTNER),
                    await self._bank.book(),
                    await self._bank.balances(),
                )
            except ConnectionError:
                if time.monotonic() > deadline:
                    raise
            else:
                if (quiet and not comparison.mismatches) or time.monotonic() > deadline:
                    return comparison
            await self._pause()

    async def _summary(self, reader: Reader, comparison: Comparison, planned: set[str]) -> Summary:
        states = await self._auditor.states()
        unfinished: dict[str, str] = dict(await self._auditor.unfinished())
        unfinished |= dict.fromkeys(planned - states.keys(), "sent, but not in the register")
        client = await temporal.connect(self.addresses.temporal_address, NAMESPACE)
        return Summary(
            sums=await self._auditor.sums(),
            comparison=comparison,
            books=await reader.books_check(),
            unfinished=unfinished,
            cases=await self._auditor.open_cases(),
            lived=await self._auditor.lived(),
            costs=await costs(client, states),
            seconds_total=time.monotonic() - self.begun,
            ui_url=ui_filter(self.addresses.ui_url, 'PaymentKind = "payout"'),
        )

    async def _pause(self) -> None:
        failure = self.failure()
        if failure:
            raise ExampleFailed(failure)
        await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _say(self, text: str) -> None:
        self.console.print(Text(text))


def _all_at_rest(planned: set[str], states: Mapping[str, PaymentState]) -> bool:
    return all(payment in states and states[payment] in REST for payment in planned)
