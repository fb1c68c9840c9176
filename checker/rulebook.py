"""The rule book: every invariant and figure by its number, and what cannot be judged yet."""

from __future__ import annotations

from checker.findings import Rule
from checker.rules import (
    clients,
    content,
    holds,
    journal,
    lives,
    partners,
    people,
    proofs,
    records,
    tying,
    wallets,
)

INVARIANTS: tuple[Rule, ...] = (
    Rule("INV-01", "Every transaction sums to 0 in each currency", journal.sums),
    Rule("INV-02", "Balances are sums of entries, and as asked", wallets.balances, by=("rules",)),
    Rule("INV-03", "No account was ever beyond its bounds", journal.bounds),
    Rule("INV-04", "Accounts, entries and payments agree on currency", journal.currencies),
    Rule("INV-05", "History is as it was written", journal.unchanged),
    Rule("INV-06", "A bank has one payout for each payment", partners.paid_once, ("banks",)),
    Rule("INV-07", "Whatever a bank was asked was claimed", partners.claimed_first, ("banks",)),
    Rule("INV-08", "One live attempt, none anew without proof", partners.attempts_in_turn),
    Rule("INV-09", "Bank movements are ledger effects", tying.movements, ("banks",)),
    Rule("INV-10", "Ends are proven by what is on record", proofs.proven),
    Rule("INV-11", "Sent is what was asked and approved", content.as_approved),
    Rule("INV-12", "Only listed moves; final is final", lives.moves),
    Rule("INV-13", "Nothing waits beyond its time in silence", lives.waits),
    Rule("INV-14", "Unfinished payments have one run", lives.run_for_each, ("runs",)),
    Rule("INV-15", "Each hold is closed exactly once", holds.closed_once),
    Rule("INV-16", "No more comes back than was settled", holds.came_back),
    Rule("INV-17", "Cancelled means never paid", clients.cancelled_means_unpaid, ("banks", "told")),
    Rule("INV-18", "Approvals are enough, bound and in time", people.approved, by=("rules",)),
    Rule("INV-19", "No way to a partner around the claim", people.one_way),
    Rule("INV-20", "Decisions have two people and a reason", people.two_people),
    Rule("INV-21", "Events are taken once, and taken account of", records.events_once),
    Rule("INV-22", "The outbox tells every move once", records.outbox_tells_all),
    Rule("INV-23", "No client was told a falsehood", clients.told_the_truth, ("told",)),
    Rule("INV-24", "Every act has its record, in one commit", records.audited),
    Rule("INV-25", "A rebuild gives the same balances and states", journal.rebuilt),
    Rule("INV-26", "Same request, same payment", clients.same_request_same_payment, ("told",)),
    Rule("INV-27", "Banks tie out, nostro is their mirror", tying.tied_out, ("banks",)),
    Rule("INV-29", "Tenants never touch one another", records.tenants_apart),
    Rule("INV-30", "No account number out of its place", records.secrets_in_place),
)

NOT_YET = {
    "INV-28": "payments carry no cut-off and no calendar version to recompute a value date with",
}
"""Invariants of which the feature does not exist yet, and what is missing."""

FIGURES: tuple[Rule, ...] = (
    Rule("doubled", "More than one booking for a payment", partners.paid_once, ("banks",)),
    Rule("lost", "Taken from a client, and nothing is left of it", clients.lost, ("told",)),
    Rule("phantom", "A bank paid what no payment asked for", partners.phantoms, ("banks",)),
    Rule("wrong_amount", "Paid otherwise than asked", content.wrong_amounts, ("banks",)),
    Rule("stuck_without_case", "Past its time, and nobody was called", lives.waits),
    Rule("misled_client", "Told what was not so", clients.told_the_truth, ("told",)),
    Rule("orphan_hold", "Held for no payment, or not held for one", holds.orphans),
    Rule("unmatched_movement", "On one side only", tying.movements, ("banks",)),
)

SUMS = {
    "wrong_balance": ("INV-02", "INV-03", "INV-09", "INV-27"),
    "approval_bypass": ("INV-18", "INV-19"),
}
"""Figures that are sums of invariants."""

APART: tuple[Rule, ...] = (
    Rule("partner_breach", "A partner broke its own promises", partners.breaches, ("banks",)),
)
"""What is counted, and is no fault of ours."""
