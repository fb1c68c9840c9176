"""Faults that keep a service from running: what is wrong, in one line, and its exit status."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from bursar.errors import BursarError, InvalidRequest


def toml_fault(error: Exception) -> str:
    """Return why a file is no TOML, and where, in one line and without what stands there."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return " ".join(str(error).split())[:200]


def settings_fault(error: ValidationError | SettingsError, prefix: str) -> str:
    """Return what is wrong with settings, without any of their values, which may be secret.

    Args:
        error: What reading them raised.
        prefix: What their variables begin with, such as "BURSAR_".
    """
    if isinstance(error, SettingsError):  # a value that should be JSON, such as a list, is none
        return str(error).partition("\n")[0]
    return "; ".join(
        f"{prefix}{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )


MISCONFIGURED = 2
"""Exit status of a program whose settings or arguments are wrong; repeating it is no help."""

UNSAFE = 3
"""Exit status of a service that must not run as it is set up; repeating the start is no help."""

UNAVAILABLE = 6
"""Exit status of a program that met nobody at Temporal's or the database's address: try again."""


class UnsafeSetup(Exception):
    """A service must not run like this: what is wrong, and what to change."""


FAULTS = (ValidationError, SettingsError, UnsafeSetup, BursarError, ConnectionError)
"""What a service may meet at its start for which it cannot run."""

_CANNOT = {
    MISCONFIGURED: "cannot run, its settings are not right",
    UNSAFE: "must not run like this",
    UNAVAILABLE: "cannot start",
}


def explain(service: str, error: Exception) -> int:
    """Say on standard error why a service cannot run; return its exit status.

    Args:
        service: Its name, as people know it.
        error: One of `FAULTS`.
    """
    if isinstance(error, ValidationError | SettingsError):  # their own text may repeat secrets
        status, why = MISCONFIGURED, settings_fault(error, "BURSAR_")
    elif isinstance(error, InvalidRequest):
        status, why = MISCONFIGURED, str(error)
    else:
        status, why = UNSAFE if isinstance(error, UnsafeSetup) else UNAVAILABLE, str(error)
    sys.stderr.write(f"the {service} {_CANNOT[status]}: {why}\n")
    return status
