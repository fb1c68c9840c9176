"""Passing: what a report has to say for its run to have proved anything."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.battery.case import RARE, ZEROS, is_rare
from tests.battery.tiers import Tier

DETECT_SECONDS = 60.0
"""Within which a bank's movement against its word is to be a case."""
DETECT_LATE = 0.05
"""The largest share that may come later, or one: a machine that stands still makes some."""
DETECT_SECONDS_MAX = 300.0
"""Beyond which none may be."""

POINTS_HARD = 200
"""From so many hard kills on, each crash point has to have had one."""
SHORT_FEW, SHORT = 3, 0.05
"""How many faults of a kind that were ordered may stay out: so many, or this share of them."""
DROPS = 16
"""From so many storms on, answers of the books have to have been dropped."""

PEOPLE_FEW, PEOPLE = 50, 0.06
"""How many payments may need people: so many, or this share of all."""
CLEAN_FEW, CLEAN_UNKNOWN = 10, 0.15
"""How many payouts that a bank has done nothing wrong with may go to people at each bank: so many,
or this share of them. Else the platform could ask people for everything, and be right."""


def passed(told: dict[str, Any]) -> bool:
    """Tell whether a run came to its end, had its faults, and every figure is as it has to be."""
    if told["broken"] or told["rebuild_differences"] or not told["invariants"]:
        return False
    wrong = any(told[name] for name in ZEROS) or any(told["invariants"].values())
    often = not all(is_rare(name, told[name], told["payments_attempted"]) for name in RARE)
    return not (wrong or often or _is_found_late(told) or _was_spared(told) or _asks_people(told))


def _is_found_late(told: dict[str, Any]) -> bool:
    late = told["detected_late"] > max(1, DETECT_LATE * told["detected"])
    return late or (told["max_time_to_detect"] or 0) > DETECT_SECONDS_MAX


def _was_spared(told: dict[str, Any]) -> bool:
    """Tell whether faults that were ordered did not come: then less is proven than is said."""
    never_hard = [point for point, deaths in told["per_K"].items() if not deaths["hard"]]
    many = told["hard_kills"] >= POINTS_HARD
    return bool(told["silent_K"] or told["faults_missed"] or (many and never_hard))


def _asks_people(told: dict[str, Any]) -> bool:
    """Tell whether people were asked about more than a platform may ask them about."""
    asked = told["in_case"] + told["in_case_resolved"]
    if asked > max(PEOPLE_FEW, PEOPLE * told["payments_attempted"]):
        return True
    return any(
        told["clean_unknown"].get(partner, 0) > max(CLEAN_FEW, CLEAN_UNKNOWN * clean)
        for partner, clean in told["clean_payouts"].items()
    )


def missing(tier: Tier, told: dict[str, Any], parts: tuple[int, int] = (1, 1)) -> dict[str, Any]:
    """Return which faults of the tier did not come: a run without them proves nothing.

    Args:
        tier: What was planned.
        told: What came.
        parts: How many of how many parts of the tier were run.
    """
    if tier.is_for_power:  # its first violation ends it
        return {"silent_K": [], "faults_missed": []}
    kills = told["other_kills"]
    share = Fraction(*parts)
    came = {
        "hard_kills": (told["hard_kills"], tier.hard_kills),
        "soft_kills": (told["soft_kills"], tier.soft_kills),
        "sigstops": (told["sigstops"], tier.freezes),
        "pauses": (told["pauses"], tier.pauses),
        "storms": (sum(told["proxy_faults"].values()), tier.storms),
        "bank_kills": (kills.get("bank_kills", 0), tier.bank_kills),
        "program_kills": (
            kills.get("worker_kills", 0) + kills.get("gateway_kills", 0),
            tier.program_kills,
        ),
    }
    missed = [
        name
        for name, (count, planned) in came.items()
        if planned * share - count > max(SHORT_FEW, SHORT * planned * share)
    ]
    restarts = {"db_restarts": tier.db_restarts, "server_restarts": tier.server_restarts}
    missed += [name for name, planned in restarts.items() if told[name] < planned * share]
    if tier.storms * share >= DROPS and not told["faults_by_id"].get("D2"):
        missed.append("answers_dropped")
    return {
        "silent_K": [k for k, deaths in told["per_K"].items() if not any(deaths.values())],
        "faults_missed": missed,
    }
