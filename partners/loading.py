"""From the name of a partner's folder to its adapter."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from bursar.errors import InvalidRequest
from bursar.faults import settings_fault
from partners.port import Partner

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Return the name of every partner that has a folder here, in order."""
    return tuple(sorted(file.parent.name for file in FOLDER.glob("*/adapter.py")))


def load(name: str) -> Partner:
    """Build the adapter of one partner from its own settings.

    Raises:
        InvalidRequest: No folder has that name, or the partner's settings are not right.
    """
    if name not in names():  # also keeps "a.b" and the like from importing something else
        raise InvalidRequest(
            f"there is no partner {name!r}; there is {', '.join(names())}", field="partner"
        )
    build: Callable[[], Partner] = importlib.import_module(f"partners.{name}.adapter").build
    try:
        partner = build()
    except (ValidationError, SettingsError) as error:
        fault = settings_fault(error, f"PARTNER_{name.upper()}_")
        raise InvalidRequest(f"the settings of partner {name} are not right: {fault}") from error
    if partner.name != name:
        raise TypeError(f"the adapter in partners/{name} calls itself {partner.name!r}")
    return partner
