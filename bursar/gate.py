"""The gate: what people stop and bound before money leaves, and how it stands. Minor units."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from bursar.actions import Reason
from bursar.ids import Actor, Tenant
from bursar.money import CurrencyCode
from bursar.payments import PartnerName

START_GUARD = "bursar:start-guard"
"""Who pauses everything where the books have forgotten what was sent; see docs/operations.md."""


class Scope(StrEnum):
    """What a pause is about."""

    ALL = "all"
    PARTNER = "partner"
    CURRENCY = "currency"
    TENANT = "tenant"


_NAMES: dict[Scope, TypeAdapter[str]] = {
    Scope.PARTNER: TypeAdapter(PartnerName),
    Scope.CURRENCY: TypeAdapter(CurrencyCode),
    Scope.TENANT: TypeAdapter(Tenant),
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Act(_Model):
    """What a person does to the gate: who acts is the token's holder, never a field."""

    reason: Reason
    on_behalf_of: Actor | None = None
    """In whose name, for the record; the holder of the token answers for it."""


class SwitchBody(_Act):
    """Pause or resume: everything, or one partner, currency or tenant."""

    scope: Scope
    name: str = ""
    """Which one; empty where the scope is all."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.scope in _NAMES:
            if not self.name:
                raise ValueError(f"name the {self.scope}")
            _NAMES[self.scope].validate_python(self.name)
        elif self.name:
            raise ValueError("all takes no name")
        return self


_Bound = Annotated[int, Field(ge=0, lt=2**63, strict=True)]


class CapBody(_Act):
    """The most that may be sent in a currency, in minor units; without a bound, the cap ends."""

    currency: CurrencyCode
    partner: PartnerName | None = None
    tenant: Tenant | None = None
    per_payment_minor: _Bound | None = None
    per_day_minor: _Bound | None = None
    """Of all that is handed over in one UTC day, whatever becomes of it."""


class DisableBody(_Act):
    """A person whose words and tokens count no more, also words that are said already."""

    name: Actor


class GateOutcome(StrEnum):
    """What came of an act on the gate; doing it again is no mistake."""

    PAUSED = "paused"
    PAUSED_ALREADY = "paused_already"
    RESUMED = "resumed"
    PAUSED_STILL = "paused_still"
    """Lifted; and the pause of somebody else's that it had taken the place of is in force again."""
    NOT_PAUSED = "not_paused"
    SET = "set"
    ENDED = "ended"
    NOT_SET = "not_set"
    DISABLED = "disabled"
    DISABLED_ALREADY = "disabled_already"


class GateAnswer(_Model):
    """What an act did."""

    outcome: GateOutcome


class PauseView(_Model):
    """A pause that is in force."""

    scope: Scope
    name: str
    paused_at: AwareDatetime
    paused_by: str
    paused_for: str | None
    reason: str


class CapView(_Model):
    """A cap that is in force, and what has been claimed under it on this UTC day."""

    currency: str
    partner: str | None
    tenant: str | None
    per_payment_minor: int | None
    per_day_minor: int | None
    claimed_today_minor: int
    set_at: AwareDatetime
    set_by: str
    reason: str


class RailView(_Model):
    """One rail, and what waits before it."""

    partner: str
    paused: bool
    """Whether this rail or everything is; a currency or a tenant may be besides."""
    waiting: int
    """Payouts whose money is held and that are not handed over yet."""
    held_back: int
    """Those of them that have been held back at the gate: paused, over a limit, not approved."""
    waiting_since: AwareDatetime | None


class RailList(_Model):
    """How the gate stands."""

    rails: tuple[RailView, ...]
    transfers_waiting: int
    """Transfers that wait for their date or for a pause to end."""
    pauses: tuple[PauseView, ...]
    caps: tuple[CapView, ...]
