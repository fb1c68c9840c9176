"""INV-25: balances, holds and states are rebuilt from the journal alone, and compared."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.battery.installation import Installation


async def differences(site: Installation) -> list[str]:
    """Return where what is stored is not what entries and transitions add up to."""
    return [*await _balances(site), *await _holds(site), *await _states(site)]


async def _balances(site: Installation) -> list[str]:
    built: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in await site.rows("select * from entries order by account_id, seq"):
        account = built[row["account_id"]]
        account[0] += row["delta"]
        account[1] += row["held"]
        account[2] += 1
        if (row["posted_after"], row["held_after"], row["seq"]) != tuple(account):
            return [f"entry {row['seq']} of account {row['account_id']} does not follow"]
    return _compared(
        "balance",
        {
            row["account_id"]: [row["posted"], row["held"], row["seq"]]
            for row in await site.rows("select * from balances")
        },
        built,
        [0, 0, 0],
    )


async def _holds(site: Installation) -> list[str]:
    built: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for row in await site.rows("select * from entries where held <> 0"):
        made_by = row["hold_id"] or row["transaction_id"]
        hold = built[made_by, row["account_id"]]
        if row["hold_id"] is None:
            hold[0] += row["held"]
        else:
            hold[1] -= row["held"]
    stored = {
        (row["transaction_id"], row["account_id"]): [
            row["amount"],
            row["captured"] + row["released"],
        ]
        for row in await site.rows("select * from holds")
    }
    return _compared("hold", stored, built, [0, 0])


async def _states(site: Installation) -> list[str]:
    built: dict[str, list[Any]] = defaultdict(lambda: [None, 0])
    for row in await site.rows("select * from transitions order by payment_id, seq"):
        life = built[row["payment_id"]]
        if (row["before"], row["seq"]) != (life[0], life[1] + 1):
            return [f"transition {row['seq']} of {row['payment_id']} does not follow"]
        life[0], life[1] = row["after"], row["seq"]
    stored = {
        row["id"]: [row["state"], row["seq"]]
        for row in await site.rows("select id, state, seq from payments")
    }
    return _compared("payment", stored, built, [None, 0])


def _compared(
    what: str, stored: dict[Any, list[Any]], built: dict[Any, list[Any]], empty: list[Any]
) -> list[str]:
    return [
        f"{what} {key}: stored {stored.get(key)}, rebuilt {built.get(key)}"
        for key in sorted(stored.keys() | built.keys(), key=str)
        if stored.get(key, empty) != built.get(key, empty)
    ]
