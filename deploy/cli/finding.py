"""What one check of the doctor found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """warn: works, but somebody should know. fail: does not work, or soon will not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. remedy: what to do, empty when ok."""

    check: str
    verdict: Verdict
    says: str
    remedy: str = ""


def ok(check: str, says: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, says)


def warn(check: str, says: str, remedy: str) -> Finding:
    """Somebody should know."""
    return Finding(check, Verdict.WARN, says, remedy)


def fail(check: str, says: str, remedy: str) -> Finding:
    """Somebody has to act."""
    return Finding(check, Verdict.FAIL, says, remedy)
