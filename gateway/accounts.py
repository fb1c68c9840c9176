"""Accounts over HTTP: balances to read, and customers' accounts to open."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, field_validator

from bursar.ids import Tenant, WalletPath
from bursar.money import minor_digits
from bursar.views import AccountList, AccountView
from gateway.access import holder_of
from gateway.bodies import documented, json_body
from gateway.documents import ACCOUNTS, problems
from gateway.resources import Resources, resources_of
from gateway.tokens import ADMIN, READ, Principal
from ledger.accounts import wallet_account

AccountPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_/.-]{1,120}$")]

router = APIRouter(prefix="/v1/accounts", tags=[ACCOUNTS])


class WalletToOpen(BaseModel):
    """A customer's account that is to exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: WalletPath
    tenant: Tenant = "main"

    @field_validator("path")
    @classmethod
    def _in_money(cls, path: str) -> str:
        minor_digits(path.rpartition("/")[2])
        return path


class WalletsToOpen(RootModel[Annotated[tuple[WalletToOpen, ...], Field(max_length=1000)]]):
    """Customers' accounts that are to exist, at most 1000 at a time."""


BODIES = (WalletsToOpen,)


class AccountFilter(BaseModel):
    """Which accounts a list shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: AccountPrefix | None = None
    """What the path begins with, such as wallet/acme/."""
    tenant: Tenant | None = None


_Resources = Annotated[Resources, Depends(resources_of)]


@router.get("", summary="List accounts", responses=problems(401, 403, 422, 503))
async def list_accounts(
    by: Annotated[Principal, Depends(holder_of(READ))],
    wanted: Annotated[AccountFilter, Query()],
    resources: _Resources,
) -> AccountList:
    """Return accounts with their balances, by path."""
    return await resources.reader.accounts(prefix=wanted.prefix, tenant=wanted.tenant)


@router.post(
    "",
    summary="Open customers' accounts",
    responses=problems(400, 401, 403, 409, 413, 415, 422, 503),
    openapi_extra=documented(WalletsToOpen),
)
async def open_accounts(
    by: Annotated[Principal, Depends(holder_of(ADMIN))],
    wallets: Annotated[WalletsToOpen, Depends(json_body(WalletsToOpen))],
    resources: _Resources,
) -> AccountList:
    """Open accounts that do not exist yet; again with the same content is fine.

    A 409 names those that exist with other content: they stay as they are.
    """
    wanted = [wallet_account(wallet.path, wallet.tenant) for wallet in wallets.root]
    await resources.books.open_accounts(wanted)
    found = [await resources.books.account(path) for path in sorted({a.path for a in wanted})]
    return AccountList(
        accounts=tuple(AccountView(**account.model_dump()) for account in found if account)
    )
