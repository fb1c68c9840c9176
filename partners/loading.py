"""From the name of a partner to its adapter."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError
from pydantic_settings import SettingsError

from bursar.errors import InvalidRequest
from bursar.faults import settings_fault
from partners.port import Partner
from partners.transport import Below

FOLDER = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


class Build(Protocol):
    """What `partners/<folder>/adapter.py` offers as `build`."""

    def __call__(self, name: str, below: Below | None = None) -> Partner:
        """Build the adapter that bears a name, from the settings PARTNER_<NAME>_…."""


def names() -> tuple[str, ...]:
    """Return the name of every partner that has a folder here, in order."""
    return tuple(sorted(file.parent.name for file in FOLDER.glob("*/adapter.py")))


def prefix(name: str) -> str:
    """Return what the environment variables of one partner begin with."""
    return f"PARTNER_{name.upper()}_"


def load(name: str, below: Below | None = None) -> Partner:
    """Build the adapter of one partner from its own settings.

    A partner's name is its folder's, unless PARTNER_<NAME>_RAIL names the folder: so one rail
    serves several accounts or branches, each with a name, settings, accounts and a queue of its
    own.

    Args:
        name: As in BURSAR_PARTNERS.
        below: What carries requests instead of the network, where faults are injected.

    Raises:
        InvalidRequest: No folder has that name, or the partner's settings are not right.
    """
    folder = os.environ.get(f"{prefix(name)}RAIL", name)
    if folder != name and not NAME.fullmatch(name):
        raise InvalidRequest(
            f"no partner can be called {name!r}: lower-case letters, digits and _", field="partner"
        )
    if folder not in names():  # also keeps "a.b" and the like from importing something else
        raise InvalidRequest(
            f"there is no partner {folder!r}; there is {', '.join(names())}", field="partner"
        )
    build: Build = importlib.import_module(f"partners.{folder}.adapter").build
    try:
        partner = build(name, below)
    except (ValidationError, SettingsError) as error:
        fault = settings_fault(error, prefix(name))
        raise InvalidRequest(f"the settings of partner {name} are not right: {fault}") from error
    if partner.name != name:
        raise TypeError(f"the adapter in partners/{folder}, as {name}, is called {partner.name!r}")
    return partner
