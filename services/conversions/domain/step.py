"""What one attribution rule says on the trail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One rule's word. verdict: won, passed, lost or not_applicable."""

    rule: str
    verdict: str
    reason: str
