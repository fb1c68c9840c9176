"""Rules: who must approve what, fees, and delays; read from one settings file at start."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.terms import ApprovalNeed, Policy
from bursar.errors import InvalidRequest
from bursar.ids import Actor
from bursar.money import CurrencyCode, fee_minor
from bursar.payments import PaymentKind


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApprovalRule(_Section):
    """Payments that match need a number of approvals by people with a role."""

    number: int = Field(ge=1, le=5)
    role: str
    kind: PaymentKind | None = None
    currency: CurrencyCode | None = None
    partner: str | None = None
    amount_from_minor: int = Field(default=0, ge=0)
    """The rule counts from this amount on, in minor units of its currency."""

    def matches(
        self, kind: PaymentKind, currency: str, partner: str | None, amount_minor: int
    ) -> bool:
        """Tell whether the rule is about such a payment."""
        return (
            self.kind in (None, kind)
            and self.currency in (None, currency)
            and self.partner in (None, partner)
            and amount_minor >= self.amount_from_minor
        )

    def version(self) -> str:
        """Return what names this rule's exact content on approvals."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class FeeRule(_Section):
    """What a customer pays for a payment: a fixed part and a part of the amount."""

    kind: PaymentKind
    currency: CurrencyCode | None = None
    fixed_minor: int = Field(default=0, ge=0)
    rate_bps: int = Field(default=0, ge=0, le=10_000)


class Person(_Section):
    """Somebody who may act, and as what."""

    name: Actor
    roles: frozenset[str]


class Delays(_Section):
    """The delays of a payment's policy, in seconds; what is left out keeps its default."""

    approval_expires_after: float | None = Field(default=None, gt=0)
    partner_call_timeout: float | None = Field(default=None, gt=0)
    submit_for: float | None = Field(default=None, ge=0)
    submit_again_after: float | None = Field(default=None, gt=0)
    ask_again_after: tuple[float, ...] | None = Field(default=None, min_length=1)
    ask_for: float | None = Field(default=None, ge=0)
    resends_max: int | None = Field(default=None, ge=0)
    poll_after: float | None = Field(default=None, gt=0)
    poll_every: float | None = Field(default=None, gt=0)
    overdue_after: float | None = Field(default=None, gt=0)
    step_within: float | None = Field(default=None, gt=0)
    outcome_within: float | None = Field(default=None, gt=0)
    review_within: float | None = Field(default=None, gt=0)

    def policy(self) -> Policy:
        """Return the policy with these delays."""
        given = self.model_dump(exclude_none=True)
        resends_max = given.pop("resends_max", None)
        ladder = given.pop("ask_again_after", None)
        changes: dict[str, object] = {
            name: timedelta(seconds=seconds) for name, seconds in given.items()
        }
        if resends_max is not None:
            changes["resends_max"] = resends_max
        if ladder is not None:
            changes["ask_again_after"] = tuple(timedelta(seconds=pause) for pause in ladder)
        return Policy.model_validate(changes)


class Rules(_Section):
    """The whole file. Of approval rules that match, the one that asks for most counts."""

    trust_signal_actors: bool = False
    """Whether a name in a signal or update is believed. Off, approvals count only when they come
    through the gateway with a token."""
    approvals: tuple[ApprovalRule, ...] = ()
    fees: tuple[FeeRule, ...] = ()
    people: tuple[Person, ...] = ()
    delays: Delays = Delays()

    def approval_need(
        self, kind: PaymentKind, currency: str, partner: str | None, amount_minor: int
    ) -> ApprovalNeed | None:
        """Return what a payment needs before it may go, or None."""
        found = [r for r in self.approvals if r.matches(kind, currency, partner, amount_minor)]
        if not found:
            return None
        rule = max(found, key=lambda rule: rule.number)
        return ApprovalNeed(number=rule.number, role=rule.role, version=rule.version())

    def fee(self, kind: PaymentKind, currency: str, amount_minor: int) -> int:
        """Return the fee of a payment in minor units: the first rule that fits counts."""
        for rule in self.fees:
            if rule.kind is kind and rule.currency in (None, currency):
                return rule.fixed_minor + fee_minor(amount_minor, rule.rate_bps)
        return 0

    def roles_of(self, name: str) -> frozenset[str]:
        """Return the roles of a person; nobody we know has none."""
        return frozenset().union(*(person.roles for person in self.people if person.name == name))


def read_rules(path: Path) -> Rules:
    """Read the rules file (TOML).

    Raises:
        InvalidRequest: The file is missing, no TOML, or says what no rule can mean.
    """
    try:
        return Rules.model_validate(tomllib.loads(path.read_text()))
    except FileNotFoundError:
        raise InvalidRequest(f"there is no rules file {path}; set BURSAR_RULES_FILE") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise InvalidRequest(f"{path}: {_first_words(error.errors())}") from error


def _first_words(errors: Iterable[object]) -> str:
    """Say the first few mistakes of a file, each with its place."""
    words = []
    for error in list(errors)[:3]:
        if isinstance(error, dict):
            place = ".".join(str(part) for part in error.get("loc", ()))
            words.append(f"{place}: {error.get('msg', '')}")
    return "; ".join(words)
