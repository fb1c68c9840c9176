"""Tokens: who may call the gateway, read from a TOML file that holds only hashes."""

from __future__ import annotations

import hashlib
import hmac
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bursar.errors import InvalidRequest
from bursar.faults import toml_fault
from bursar.ids import Actor
from bursar.inputs import json_field

READ = "read"
OPERATE = "operate"
ADMIN = "admin"
APPROVE_PREFIX = "approve"

Role = Annotated[
    str, StringConstraints(pattern=r"^(read|operate|admin|approve(-[a-z0-9][a-z0-9-]{0,30})?)$")
]
"""read, operate, admin, or approve with a level that the approval rules name: approve-l1."""


class TokensFileInvalid(InvalidRequest):
    """The tokens file is missing or wrong; the gateway must not start on it."""


@dataclass(frozen=True)
class Principal:
    """Who a token stands for, and what it may do."""

    name: str
    roles: frozenset[str]

    @property
    def approval_roles(self) -> list[str]:
        """The roles that let a person approve or deny, in order of name."""
        return sorted(role for role in self.roles if role.startswith(APPROVE_PREFIX))


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: Actor
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    roles: Annotated[frozenset[Role], Field(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[_Entry, ...]


class Tokens:
    """Every token that the gateway knows, by its SHA-256."""

    def __init__(self, known: Sequence[tuple[str, Principal]]) -> None:
        self._known = [(digest.encode(), principal) for digest, principal in known]

    def principal_of(self, token: str) -> Principal | None:
        """Return who holds a token, or None; takes as long for a wrong one as for a right one."""
        digest = hashlib.sha256(token.encode()).hexdigest().encode()
        found: Principal | None = None
        for known, principal in self._known:  # no early end: it would tell how far we came
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def read_tokens(path: Path) -> Tokens:
    """Read the tokens file: tables [[tokens]] with principal, sha256 (hex) and roles.

    Raises:
        TokensFileInvalid: The file is not there, no TOML, or says something else than that.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TokensFileInvalid(f"cannot read the tokens file {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise TokensFileInvalid(
            f"the tokens file {path} is no TOML: {toml_fault(error)}"
        ) from error
    try:
        entries = _File.model_validate(content).tokens
    except ValidationError as error:
        raise TokensFileInvalid(f"the tokens file {path}: {_first(error)}") from error
    if len({entry.sha256 for entry in entries}) < len(entries):
        raise TokensFileInvalid(f"the tokens file {path} has one token twice")
    return Tokens([(entry.sha256, Principal(entry.principal, entry.roles)) for entry in entries])


def _first(error: ValidationError) -> str:
    """Return the first thing that is wrong, without the value: it may be a token by mistake."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{json_field(first['loc']) or 'the file'}: {first['msg']}"
