"""The judge. Knows the history, what the platform shows its parties, and a dump of its tables; nothing of its code.

lost = acknowledged − stored; phantom = stored − attempted; duplicates; wrong = another status, amount or attribution
than the model's; and the ledger's sums. An architecture test holds that nothing of the platform is imported here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from tests.demo.comparison import balance_differences, find_differences
from tests.demo.history import Attempt, Operation
from tests.demo.model import Model
from tests.demo.observed import Observed

SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Dump:
    """Rows as the database has them. click_ids: hexadecimal. entries: transaction_id, currency, amount_minor.

    commissions, conversions: conversion ids, one per row.
    """

    click_ids: Sequence[str]
    entries: Sequence[Mapping[str, Any]]
    commissions: Sequence[str]
    conversions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Findings:
    """What differs, in words. All empty: the platform kept every promise."""

    lost: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    duplicate: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """True when there is nothing to say."""
        return not self.all

    @property
    def all(self) -> list[str]:
        """Every finding, the worst first."""
        return [*self.lost, *self.phantom, *self.duplicate, *self.wrong, *self.ledger]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each, for a scorecard's line."""
        return {
            "lost": len(self.lost),
            "duplicates": len(self.duplicate),
            "phantoms": len(self.phantom),
            "wrong": len(self.wrong) + len(self.ledger),
        }

    @property
    def worst(self) -> list[str]:
        """The first few, for a scorecard's line."""
        return self.all[:SHOWN_MAX]


def check(model: Model, observed: Observed, dump: Dump) -> Findings:
    """Judge a run by everything that is known of it."""
    findings = Findings()
    heads = {"lost": findings.lost, "phantom": findings.phantom, "duplicate": findings.duplicate}
    differences = chain(find_differences(model, observed), balance_differences(model, observed.balances))
    for difference in differences:
        heads.get(difference.partition(":")[0], findings.wrong).append(difference)
    findings.duplicate.extend(repeated("click", dump.click_ids))
    findings.duplicate.extend(repeated("commission of conversion", dump.commissions))
    findings.phantom.extend(
        f"commission of {conversion}, which does not exist" for conversion in {*dump.commissions} - {*dump.conversions}
    )
    findings.ledger.extend(unbalanced(dump.entries))
    return findings


def repeated(what: str, keys: Iterable[str]) -> list[str]:
    """One finding for each key that is there more than once."""
    return [f"duplicate: {count} times {what} {key}" for key, count in Counter(keys).items() if count > 1]


def unbalanced(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """One finding for each ledger transaction whose entries do not sum to zero in a currency."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        sums[entry["transaction_id"], entry["currency"]] += entry["amount_minor"]
    return [f"ledger: {key[0]} is off by {total} in {key[1]}" for key, total in sums.items() if total]


def attempts_between(operations: Iterable[Operation], kinds: Sequence[str], start: float, end: float) -> list[Attempt]:
    """Attempts at operations of these kinds (by prefix) that were sent in [start, end), Unix time."""
    return [
        attempt
        for operation in operations
        if operation.kind.startswith(tuple(kinds))
        for attempt in operation.attempts
        if attempt.sent_at is not None and start <= attempt.sent_at < end
    ]


def milliseconds_of(attempts: Iterable[Attempt]) -> list[float]:
    """How long the answered ones took, shortest first."""
    return sorted(
        1_000 * (attempt.ended_at - attempt.sent_at)
        for attempt in attempts
        if attempt.status is not None and attempt.ended_at is not None and attempt.sent_at is not None
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the ordered values lie; 0.0 where there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
