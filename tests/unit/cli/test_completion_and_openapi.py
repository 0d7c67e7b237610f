"""What the shell offers, what every help text is like, and the document that `openapi` prints."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.interface.main import openapi_text
from services.gateway.domain.routes import ROUTES

PROGRAM = [sys.executable, "-c", "from deploy.cli.main import main; main()"]


def _offered(*words: str) -> list[str]:
    environment = {
        **os.environ,
        "_TRIBUTARY_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("tributary", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, check=False).stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("key",), ["keys", "keyring"]),
        (("migrate", "co"), ["conversions", "commissions"]),
        (("dead-letters", "list", "cl"), ["clicks"]),
        (("keyring", "show", "s"), ["sealing"]),
        (("keys", "create", "f"), ["finance"]),
    ],
)
def test_the_shell_offers_commands_and_what_they_take(words: tuple[str, ...], offered: list[str]) -> None:
    assert _offered(*words) == offered


def _commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for word, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def test_every_command_says_what_it_does_in_a_sentence() -> None:
    texts = {
        name: (command.help or "").strip().partition("\n")[0]
        for name, command in _commands(typer.main.get_command(app))
    }

    assert len(texts) > 15
    assert {
        name: text for name, text in texts.items() if not text.endswith((".", ":", "JSON.")) or len(text) < 20
    } == {}


def test_openapi_is_the_document_that_is_served() -> None:
    result = CliRunner().invoke(app, ["openapi"])

    assert (result.exit_code, result.stdout) == (0, openapi_text())
    paths = json.loads(result.stdout)["paths"]
    assert {(route.method, route.template) for route in ROUTES} == {
        (method.upper(), path) for path, item in paths.items() for method in item
    }


def test_a_reader_that_had_enough_is_no_fault() -> None:
    with subprocess.Popen([*PROGRAM, "openapi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()

    assert said == b""
