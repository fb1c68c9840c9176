"""Funding: wallets are opened, and money comes in for them through every bank."""

from __future__ import annotations

import httpx

from tests.battery.installation import Installation
from tests.battery.plan import CURRENCIES, OWNERS, PARTNERS, RICH_MINOR, THIN, THIN_MINOR
from tests.battery.profile import API_KEY

DEPOSITS = (len(PARTNERS) + 1) * len(CURRENCIES) + 1


async def fund(site: Installation) -> None:
    """Let money come in: each bank gets some of each currency, for one wallet each."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        paths = [f"wallet/{owner}/{currency}" for owner in OWNERS for currency in CURRENCIES]
        answer = await http.post(
            f"{site.gateway_urls[0]}/v1/accounts",
            json=[{"path": path, "tenant": "main"} for path in (*paths, THIN)],
            headers={"Authorization": "Bearer ops-token"},
        )
        answer.raise_for_status()
        for number, partner in enumerate((*PARTNERS, "keyed")):
            for currency in CURRENCIES:
                wallet = f"wallet/{OWNERS[number]}/{currency}"
                await _credit(http, site.bank_url(partner), wallet, RICH_MINOR)
        await _credit(http, site.bank_url("keyed"), THIN, THIN_MINOR)


async def _credit(http: httpx.AsyncClient, bank: str, wallet: str, amount_minor: int) -> None:
    answer = await http.post(
        f"{bank}/control/credits",
        json={
            "credit_id": f"fund-{wallet}".replace("/", "-"),
            "amount_minor": amount_minor,
            "currency": wallet.rpartition("/")[2],
            "reference": wallet,
        },
        headers={"Authorization": f"Bearer {API_KEY}"},
    )
    answer.raise_for_status()
