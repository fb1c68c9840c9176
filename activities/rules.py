"""Rules: who must approve what, fees, and delays; read from one settings file at start."""

from __future__ import annotations

import hashlib
import json
import tomllib
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from activities.terms import ApprovalNeed, Policy
from bursar.errors import InvalidRequest
from bursar.faults import toml_fault
from bursar.ids import Actor
from bursar.inputs import faults_of, json_field
from bursar.money import AMOUNT_MINOR_MAX, CurrencyCode, fee_minor
from bursar.payments import PartnerName, PaymentKind

SECONDS_MAX = 366 * 86_400.0
"""The longest delay: longer ones are mistakes, and the longest ones no calendar holds."""

Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, Field(ge=0, le=SECONDS_MAX, allow_inf_nan=False)]
RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
ApproverRole = Annotated[str, StringConstraints(pattern=r"^approve(-[a-z0-9][a-z0-9-]{0,30})?$")]
"""As the tokens file names them; with any other word nobody could ever approve."""
MinorFrom0 = Annotated[int, Field(ge=0, le=AMOUNT_MINOR_MAX)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class ApprovalRule(_Section):
    """Payments that match need a number of approvals by people with a role."""

    number: int = Field(ge=1, le=5)
    role: ApproverRole
    kind: PaymentKind | None = None
    currency: CurrencyCode | None = None
    partner: PartnerName | None = None
    amount_from_minor: MinorFrom0 = 0
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

    def overlaps(self, other: ApprovalRule) -> bool:
        """Tell whether there are payments that both rules are about."""
        pairs = (
            (self.kind, other.kind),
            (self.currency, other.currency),
            (self.partner, other.partner),
        )
        return all(None in pair or pair[0] == pair[1] for pair in pairs)

    def version(self) -> str:
        """Return what names this rule's exact content on approvals."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class FeeRule(_Section):
    """What a customer pays for a payment: a fixed part and a part of the amount."""

    kind: PaymentKind
    currency: CurrencyCode | None = None
    fixed_minor: MinorFrom0 = 0
    rate_bps: int = Field(default=0, ge=0, le=10_000)


class Person(_Section):
    """Somebody who may act, and as what."""

    name: Actor
    roles: frozenset[RoleName]


class Delays(_Section):
    """The delays of a payment's policy, in seconds; what is left out keeps its default."""

    approval_expires_after: Seconds | None = None
    partner_call_timeout: Seconds | None = None
    submit_for: SecondsOrNone | None = None
    submit_again_after: Seconds | None = None
    ask_again_after: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=100)] | None = (
        None
    )
    ask_for: SecondsOrNone | None = None
    resends_max: int | None = Field(default=None, ge=0, le=1000)
    poll_after: Seconds | None = None
    poll_every: Seconds | None = None
    overdue_after: Seconds | None = None
    step_within: Seconds | None = None
    outcome_within: Seconds | None = None
    review_within: Seconds | None = None

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
    """The whole file.

    Of approval rules that match, the one that asks for most people counts; of two that ask for as
    many, the one from the higher amount.
    """

    trust_signal_actors: bool = False
    """Whether a name in a signal or update is believed. Off, approvals count only when they come
    through the gateway with a token."""
    approvals: tuple[ApprovalRule, ...] = ()
    fees: tuple[FeeRule, ...] = ()
    people: tuple[Person, ...] = ()
    delays: Delays = Delays()

    @field_validator("approvals")
    @classmethod
    def _check_roles(cls, rules: tuple[ApprovalRule, ...]) -> tuple[ApprovalRule, ...]:
        """Refuse rules of which one is ignored where both match, and so a role is not asked for."""
        for (place, one), (other_place, other) in combinations(enumerate(rules, 1), 2):
            if one.role == other.role or not one.overlaps(other):
                continue
            low, high = sorted((one, other), key=lambda rule: rule.amount_from_minor)
            if low.amount_from_minor == high.amount_from_minor or low.number > high.number:
                raise ValueError(
                    f"rules {place} and {other_place} match the same payments with the roles"
                    f" {one.role} and {other.role}, and one of them would be ignored: let one begin"
                    " at a higher amount_from_minor and ask for as many people or more, or part"
                    " them by kind, currency or partner"
                )
        return rules

    def approval_need(
        self, kind: PaymentKind, currency: str, partner: str | None, amount_minor: int
    ) -> ApprovalNeed | None:
        """Return what a payment needs before it may go, or None."""
        found = [r for r in self.approvals if r.matches(kind, currency, partner, amount_minor)]
        if not found:
            return None
        rule = max(found, key=lambda rule: (rule.number, rule.amount_from_minor))
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
        content = tomllib.loads(path.read_text("utf-8"))
        # As JSON, where a list is a tuple and a word an enum, and nothing else is taken for either.
        return Rules.model_validate_json(json.dumps(content, default=str))
    except FileNotFoundError:
        raise InvalidRequest(f"there is no rules file {path}; set BURSAR_RULES_FILE") from None
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        told = "; ".join(str(fault) for fault in faults_of(error, json_field)[:3])
        raise InvalidRequest(f"{path}: {told}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidRequest(f"{path} is not valid TOML: {toml_fault(error)}") from error
