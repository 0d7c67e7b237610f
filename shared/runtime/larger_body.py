"""Routes whose bodies may be larger, and so take longer, than every other's: uploads of people, never the hot doors.

    EdgeLimits(larger_bodies=(LargerBody("/v1/conversions/bulk", bytes_max=8 * 1024 * 1024),))

The edge lets them pass before anybody is known, but reads no more of them than its buffer until the application does,
which asks for the caller first.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LargerBody:
    """One path's own limits. template: `{name}` stands for one segment. seconds: for the whole body to arrive."""

    template: str
    bytes_max: int
    seconds: float = 60.0

    def is_at(self, target: bytes) -> bool:
        """True when `target`, a request's raw path and query, is of this path."""
        wanted, given = self.template.encode("ascii").split(b"/"), target.partition(b"?")[0].split(b"/")
        return len(wanted) == len(given) and all(
            part == own or (own.startswith(b"{") and part != b"") for own, part in zip(wanted, given, strict=True)
        )


def larger_body_at(target: bytes, larger_bodies: Iterable[LargerBody]) -> LargerBody | None:
    """The limits of `target`, if it has its own."""
    return next((larger for larger in larger_bodies if larger.is_at(target)), None)
