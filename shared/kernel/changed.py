"""A thing before and after a change."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Changed(Generic[Thing]):
    """before: None for what did not exist; equal to after when everything was as asked for already."""

    before: Thing | None
    after: Thing
