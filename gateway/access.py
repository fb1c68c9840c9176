"""Access: from a bearer token to a principal with a role, before anything else is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gateway.problems import Refused
from gateway.resources import Resources, resources_of
from gateway.tokens import APPROVE_PREFIX, Principal

_bearer = HTTPBearer(auto_error=False, description="A token out of the gateway's tokens file.")


async def _authenticated(
    resources: Annotated[Resources, Depends(resources_of)],
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    principal = resources.tokens.principal_of(given.credentials) if given else None
    if principal is None:
        raise Refused(
            401,
            "Send a known token: Authorization: Bearer <token>.",
            headers={"www-authenticate": "Bearer"},
        )
    if await resources.books.is_disabled(principal.name):
        raise Refused(
            403,
            f"{principal.name} is disabled: neither this token nor any word of theirs counts.",
            code="person_disabled",
        )
    return principal


def holder_of(role: str) -> Callable[[Principal], Awaitable[Principal]]:
    """Return a dependency that gives the caller's principal, if its token has a role."""

    async def check(principal: Annotated[Principal, Depends(_authenticated)]) -> Principal:
        if role not in principal.roles:
            raise Refused(403, f"This needs a token with the role {role}.")
        return principal

    return check


async def approver(principal: Annotated[Principal, Depends(_authenticated)]) -> Principal:
    """Give the caller's principal, if its token has a role to approve with."""
    if not principal.approval_roles:
        raise Refused(403, f"This needs a token with a role that begins with {APPROVE_PREFIX}.")
    return principal
