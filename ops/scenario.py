"""The example's scenario: moments that are fixed when it is first sent, and what people do."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bursar.actions import Reason
from bursar.errors import ActionRefused, BursarError, NotAuthorised
from bursar.ids import PaymentId
from bursar.payments import PaymentState
from bursar.reader import Reader, Verb


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Moment(_Part):
    """A payment that is to be executed some seconds after the example is first sent."""

    payment: PaymentId
    seconds_ahead: Annotated[float, Field(gt=0)]


class Act(_Part):
    """What one person does to one payment, once it is in one of some states."""

    payment: PaymentId
    states: frozenset[PaymentState]
    verb: Verb
    by: str
    reason: Reason

    @property
    def key(self) -> str:
        """Return the name under which it is remembered that this was done."""
        return f"{self.payment} {self.verb} {self.by}"


class Scenario(_Part):
    """All that does not happen by itself."""

    time: tuple[Moment, ...] = ()
    act: tuple[Act, ...] = ()


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file."""
    return Scenario.model_validate(tomllib.loads(path.read_text("utf-8")))


def working_copy(source: Path, folder: Path, scenario: Scenario) -> Path:
    """Return a copy of a CSV file with the scenario's moments filled in; made once, then kept.

    So a later run sends the very same requests again.
    """
    copy = folder / source.name
    if copy.exists():
        return copy
    ahead = {moment.payment: moment.seconds_ahead for moment in scenario.time}
    with source.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        columns, rows = list(reader.fieldnames or ()), list(reader)
    for row in rows:
        if row["id"] in ahead:
            at = datetime.now(UTC) + timedelta(seconds=ahead[row["id"]])
            row["execute_at"] = at.isoformat(timespec="seconds")
    new = copy.with_suffix(".new")
    with new.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    new.replace(copy)
    return copy


class People:
    """Acts the people's part: each act once, also over several runs."""

    def __init__(self, scenario: Scenario, readers: Mapping[str, Reader], done_file: Path) -> None:
        self._readers = readers
        self._file = done_file
        done: dict[str, str] = json.loads(done_file.read_text()) if done_file.exists() else {}
        self.done = done
        """The answer to each act that was done, by its key."""
        self.waiting = [act for act in scenario.act if act.key not in done]

    async def act(self, states: Mapping[str, PaymentState]) -> list[str]:
        """Do what is due by the payments' states; return a sentence for each thing done.

        One act on a payment at a time, in the order of the file. Where the gateway does not
        answer, the act stays due.
        """
        told: list[str] = []
        touched: set[str] = set()
        for act in list(self.waiting):
            if act.payment in touched or states.get(act.payment) not in act.states:
                continue
            touched.add(act.payment)
            answer = await self._do(act)
            if answer is not None:
                self._remember(act, answer)
                told.append(f"{act.by}: {act.verb} {act.payment} → {answer}")
        return told

    async def _do(self, act: Act) -> str | None:
        """Return the answer's word, or None where there was no answer."""
        try:
            answer = await self._readers[act.by].act(act.payment, act.verb, {"reason": act.reason})
        except (ActionRefused, NotAuthorised) as error:
            return error.code
        except BursarError:
            return None
        return answer.verdict.value

    def _remember(self, act: Act, answer: str) -> None:
        self.waiting.remove(act)
        self.done[act.key] = answer
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self.done, indent=2) + "\n")
        new.replace(self._file)
