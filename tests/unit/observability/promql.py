"""What a query asks for: its series, and the labels it names."""

from dataclasses import dataclass, field
from typing import Final

import promql_parser

from deploy.observability.catalogue import Series

OF_PROMETHEUS: Final = frozenset({"job", "instance"})
"""Labels that a scrape adds to every series."""

UP: Final = Series("up", "gauge", frozenset())


@dataclass(slots=True)
class Asked:
    """names: each with the labels that its own braces name. labels: those of `by`, `on` and such, anywhere."""

    names: list[tuple[str, set[str]]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    rated: set[str] = field(default_factory=set)


_COUNTING: Final = {"rate", "increase", "irate"}


def read_query(text: str) -> Asked:
    """Raises ValueError for what is no PromQL."""
    asked = Asked()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            asked.names.append((str(node.name), {matcher.name for matcher in node.matchers.matchers}))
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            asked.labels |= set(node.modifier.labels)
        elif isinstance(node, promql_parser.BinaryExpr) and node.modifier is not None:
            matching = node.modifier.matching
            asked.labels |= set(matching.labels if matching else ()) | set(node.modifier.group_labels or ())
        elif isinstance(node, promql_parser.Call) and node.func.name in _COUNTING:
            argument = node.args[0]
            if isinstance(argument, promql_parser.MatrixSelector):
                asked.rated.add(str(argument.vector_selector.name))

    promql_parser.walk(promql_parser.parse(text), visit)
    return asked


def faults_of(text: str, catalogue: dict[str, Series]) -> list[str]:
    """What is wrong with a query, in words; empty where nothing is."""
    try:
        asked = read_query(text)
    except ValueError as fault:
        return [f"no PromQL: {fault}"]
    known = {**catalogue, UP.name: UP}
    faults = [f"{name} is in no catalogue" for name, _ in asked.names if name not in known]
    if faults:
        return faults
    had: set[str] = set(OF_PROMETHEUS)
    for name, labels in asked.names:
        had |= known[name].labels
        faults += [f"{name} has no label {label}" for label in labels - known[name].labels - OF_PROMETHEUS]
    faults += [f"no series asked for has the label {label}" for label in asked.labels - had]
    faults += [f"{name} is a gauge: it has no rate" for name in asked.rated if known[name].kind == "gauge"]
    counters = {name for name, _ in asked.names if known[name].kind == "counter"}
    faults += [f"{name} only grows: ask for its rate" for name in counters - asked.rated]
    return faults
