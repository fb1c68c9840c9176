"""Tiers: how much each run tries, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tier:
    """One size of a run."""

    name: str
    payments: int
    hard_kills: int
    soft_kills: int
    db_restarts: int
    server_restarts: int
    freezes: int
    bank_kills: int
    program_kills: int
    """Workers and gateways that are killed wherever they just are."""
    storms: int
    """Spells of bad weather on the lines between processes."""
    minutes: int
    """Wall time on two idle cores."""
    pauses: int = 0
    """How often people pause a bank, a currency or everything, and resume it."""
    parts: int = 1
    workers: int = 2
    gateways: int = 2
    at_once: int = 48
    """How many payments the backend keeps open at the same time."""
    contradictions: float = 0.008
    """Share of the payouts at the bank with keys about which it contradicts itself."""
    is_for_power: bool = False
    """Whether it tries a deliberate bug: then the first violation ends it."""

    def part(self) -> Tier:
        """Return one part's share of the tier, rounded up."""

        def share(number: int) -> int:
            return -(-number // self.parts)

        return replace(
            self,
            payments=share(self.payments),
            hard_kills=share(self.hard_kills),
            soft_kills=share(self.soft_kills),
            db_restarts=share(self.db_restarts),
            server_restarts=share(self.server_restarts),
            freezes=share(self.freezes),
            bank_kills=share(self.bank_kills),
            program_kills=share(self.program_kills),
            storms=share(self.storms),
            minutes=share(self.minutes),
            pauses=share(self.pauses),
        )


def _often(name: str, payments: int, minutes: int, kills: tuple[int, int], times: int) -> Tier:
    """Return a tier in which everything but the ordered kills comes so many times."""
    hard_kills, soft_kills = kills
    return Tier(
        name=name,
        payments=payments,
        minutes=minutes,
        hard_kills=hard_kills,
        soft_kills=soft_kills,
        db_restarts=times,
        server_restarts=times,
        freezes=times,
        bank_kills=times,
        program_kills=times,
        storms=8 * times,
        pauses=2 * times,
    )


TIERS = {
    tier.name: tier
    for tier in (
        replace(
            _often("power", 160, 4, (4, 80), 1),
            db_restarts=0,
            server_restarts=0,
            bank_kills=0,
            program_kills=0,
            gateways=1,
            contradictions=0.3,
            is_for_power=True,
        ),
        replace(_often("smoke", 300, 4, (10, 60), 1), gateways=1),
        _often("pr", 2_000, 15, (60, 800), 5),
        replace(_often("nightly", 20_000, 60, (250, 10_000), 40), parts=4),
        replace(_often("release", 100_000, 330, (1_000, 50_000), 200), parts=20),
    )
}
"""`power` is what the deliberate bugs are tried with: small, and ended by the first violation."""
