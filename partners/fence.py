"""The fence between environments: nothing of a test reaches anything that is live."""

from __future__ import annotations

from collections.abc import Iterable

from bursar.faults import UnsafeSetup
from partners.port import Environment, Partner


def check_environment(environment: Environment, partners: Iterable[Partner]) -> None:
    """Make sure that every partner is of the environment that this process is of.

    Raises:
        UnsafeSetup: Some partner is of another one.
    """
    others = [f"{p.name} is {p.environment}" for p in partners if p.environment is not environment]
    if others:
        raise UnsafeSetup(
            f"this process is {environment} (BURSAR_ENVIRONMENT), but by its own settings"
            f" {', '.join(others)}: set BURSAR_ENVIRONMENT, or give the partner the address and"
            " credentials of this environment"
        )
