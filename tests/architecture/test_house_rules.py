"""The rules of the house that import-linter cannot say. Each names what it protects."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 400
SERVICES = ("clicks", "conversions", "commissions", "gateway")
TOP_LEVEL = {"services", "shared", "deploy", "tests", "docs"}
TOP_FILES = {
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Makefile",
    "Dockerfile",
    "pyproject.toml",
    "requirements.lock",
}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "data", "info", "misc", "kit"}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


TRACKED = _tracked()
SOURCES = [path for path in TRACKED if path.suffix == ".py"]
PRODUCT = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in {"services", "shared", "deploy"}]


def _calls(path: Path, method: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method:
            yield node.lineno


def _names(paths: list[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def test_transactions_are_committed_in_one_place() -> None:
    """A use case that commits breaks "effect and position together"; so only `transaction()` may."""
    committing = [path for path in PRODUCT if any(_calls(path, "commit"))]

    allowed = {"shared/runtime/database.py", "shared/runtime/event_log/kafka.py"}  # the latter commits Kafka offsets
    assert set(_names(committing)) <= allowed
    assert "shared/runtime/database.py" in _names(committing)


def test_no_file_is_too_long_to_hold_in_the_head() -> None:
    long = [path for path in SOURCES if len(path.read_text().splitlines()) > FILE_LINES_MAX]

    assert _names(long) == []


def test_every_package_says_what_it_is() -> None:
    silent = [
        path for path in SOURCES if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    folders = {path.parent for path in PRODUCT if "versions" not in path.parts}

    assert _names(silent) == []
    assert _names([folder for folder in folders if not (folder / "__init__.py").exists()]) == []


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in PRODUCT if not ast.get_docstring(ast.parse(path.read_text()))]

    assert _names(silent) == []


def test_no_room_has_a_name_that_says_nothing() -> None:
    vague = [path for path in SOURCES if {path.stem, *path.relative_to(ROOT).parts[:-1]} & VAGUE_NAMES]

    assert _names(vague) == []


def test_the_top_level_is_the_plan() -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in TRACKED}

    assert {top for top in tops if not top.startswith(".")} <= TOP_LEVEL | TOP_FILES


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_its_page(service: str) -> None:
    page = (ROOT / "services" / service / "README.md").read_text()

    for heading in ("Owns", "Does not own", "Words", "Invariants", "Topics", "Tables"):
        assert re.search(rf"^#+ {heading}\b", page, re.MULTILINE | re.IGNORECASE), f"{service}: no heading {heading!r}"


def test_the_domain_reads_no_clock_and_no_chance() -> None:
    """Rules take the time, the ids and the secrets as arguments, so that a replay decides the same."""
    forbidden = re.compile(r"\b(datetime\.now|time\.time|monotonic\(|random\.|secrets\.|os\.environ|open\()")
    impure = [path for path in PRODUCT if "domain" in path.parts and forbidden.search(path.read_text())]

    assert _names(impure) == []


def test_money_never_meets_a_float() -> None:
    floating = [
        path
        for path in PRODUCT
        if ("commissions" in path.parts and "domain" in path.parts) or path.name == "money.py"
        if re.search(r"\bfloat\b|\bround\(", path.read_text())
    ]

    assert _names(floating) == []


def test_nothing_is_printed_by_a_service() -> None:
    printing = [
        path for path in PRODUCT if "services" in path.parts and re.search(r"^\s*print\(", path.read_text(), re.M)
    ]

    assert [name for name in _names(printing) if not name.endswith("verify.py")] == []


def test_the_lock_names_no_host_and_hashes_everything() -> None:
    lock = (ROOT / "requirements.lock").read_text()

    assert "://" not in lock
    for block in re.split(r"\n(?=\S)", lock):
        if "==" in block.splitlines()[0] and not block.startswith("#"):
            assert "--hash=sha256:" in block


def test_ci_runs_what_the_readme_says() -> None:
    assert "REQUIRE_APACHE_KAFKA=1" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()
