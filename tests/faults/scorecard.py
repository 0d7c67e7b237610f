"""What a row is, and how rows are found: every module of tests.faults.rows registers one or more functions."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from tests.faults.bench import Bench

Tier = Literal["P", "N", "R"]
Figure = int | float | str
Verdict = Literal["pass", "fail", "not run"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a row found. n: how many operations the figures rest on. broken: every promise that did not hold, in words.

    figures: by name with the unit last (`p99_during_ms`, `ratio`). note: what a reader of the line should know.
    """

    n: int
    figures: Mapping[str, Figure]
    broken: list[str] = field(default_factory=list)
    note: str = ""


class RowNotPossible(Exception):
    """This machine lacks what the row needs; its text says what. The row counts as not run, neither pass nor fail."""


RowFunction = Callable[["Bench"], Awaitable[Measured]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A registered row. tiers: in which it runs; the bench tells it which one this is."""

    row_id: str
    title: str
    tiers: Collection[Tier]
    function: RowFunction


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the scorecard, as it is printed and as it is in the JSON."""

    id: str
    title: str
    tier: Tier
    verdict: Verdict
    n: int
    figures: Mapping[str, Figure]
    broken: list[str]
    note: str
    seconds: float

    @property
    def line(self) -> str:
        """For a terminal: id, verdict, N, figures, and what broke below."""
        figures = ", ".join(f"{name} {shown(value)}" for name, value in self.figures.items())
        head = f"{self.id:<4} {self.verdict:<7} N={self.n:<7,} {self.seconds:5.0f} s  {self.title}: {figures or '-'}"
        return "\n".join([head + (f" ({self.note})" if self.note else ""), *(f"       {each}" for each in self.broken)])


_plans: Final[dict[str, Plan]] = {}


def scorecard_row(row_id: str, title: str, *, tiers: Collection[Tier]) -> Callable[[RowFunction], RowFunction]:
    """Register an async function from the bench to what it measured. Raises ValueError for an id in use."""

    def register(function: RowFunction) -> RowFunction:
        if row_id in _plans:
            raise ValueError(f"row {row_id} is registered twice")
        _plans[row_id] = Plan(row_id, title, frozenset(tiers), function)
        return function

    return register


def all_plans() -> list[Plan]:
    """Every row there is, in the order of their numbers."""
    rows: Any = importlib.import_module("tests.faults.rows")
    for module in pkgutil.iter_modules(rows.__path__):
        importlib.import_module(f"tests.faults.rows.{module.name}")
    return sorted(_plans.values(), key=lambda plan: int(plan.row_id.lstrip("T")))


def shown(value: Figure) -> str:
    """A figure as people read it: three significant digits for measures, all of them for counts."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
