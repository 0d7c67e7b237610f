"""Every `tributary …` line of the runbooks and the command's own page is a command with such options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from deploy.cli.main import app

ROOT = Path(__file__).parents[3]
PAGES = [
    *sorted((ROOT / "deploy" / "runbooks").glob("*.md")),
    ROOT / "deploy" / "cli" / "README.md",
    ROOT / "README.md",
]
FENCED = re.compile(r"```sh\n(.*?)```", re.DOTALL)
QUOTED = re.compile(r"`(tributary [^`\n]+)`")
TREE: Any = typer.main.get_command(app)


def _lines(page: Path) -> Iterator[str]:
    text = page.read_text()
    for block in FENCED.findall(text):
        yield from (line.partition(" #")[0].strip() for line in block.splitlines() if line.startswith("tributary "))
    yield from QUOTED.findall(FENCED.sub("", text))


def _problem(line: str) -> str:
    """Why the line is no command, "" where it is one. Words that stand for something are not looked at."""
    words, command = shlex.split(line)[1:], TREE
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:
            return "" if words[0] == "…" else f"no command {words[0]}"
        command, words = found, words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "--install-completion", "--show-completion"}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"no option {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path) -> None:
    problems = {line: problem for line in _lines(page) if (problem := _problem(line))}

    assert problems == {}


def test_a_command_that_does_not_exist_is_found() -> None:
    assert _problem("tributary keyring rotate click") == "no command rotate"
    assert _problem("tributary migrate --dry-run") == "no option --dry-run"
    assert _problem("tributary keyring retire click 1 --not-after 2028-06-01") == ""


def test_the_runbook_of_keys_is_looked_at() -> None:
    assert len(list(_lines(ROOT / "deploy" / "runbooks" / "key-rotation.md"))) > 8
