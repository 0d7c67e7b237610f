"""The judge of the scorecard shares no code with what it judges: a mistake in the platform must not be made twice."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JUDGE = "tests.faults.checker"
PLATFORM = {"services", "shared", "deploy"}


def _imported_by(module: str) -> Iterator[str]:
    """Every module one module names in an import, wherever in its text it does so."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{module}: relative imports hide what is imported"
            yield node.module


def _reached_from(start: str) -> dict[str, set[str]]:
    reached: dict[str, set[str]] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached[module] = set(_imported_by(module))
            waiting.extend(found for found in reached[module] if found.startswith("tests."))
    return reached


def test_the_checker_and_all_it_stands_on_import_nothing_of_the_platform() -> None:
    reached = _reached_from(JUDGE)

    assert "tests.demo.model" in reached, "the model is part of the judge"
    assert [
        f"{module} imports {found}"
        for module, imports in sorted(reached.items())
        for found in sorted(imports)
        if found.partition(".")[0] in PLATFORM
    ] == []
