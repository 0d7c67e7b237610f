"""`python -m deploy.interface.main write|check`: the interface's documents, pages and client, made from the code."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.interface.document import OperationIncomplete, build_document, document_text
from deploy.interface.events import build_events_document, render_events_page
from deploy.interface.page import render_page

FILES: Final = Path(__file__).parents[2] / "services" / "gateway" / "api" / "interface_files"


def generated_files() -> dict[Path, str]:
    """Everything that is generated, by its place. Raises OperationIncomplete, ValueError."""
    document, events = build_document(), build_events_document()
    return {
        FILES / "openapi.json": document_text(document),
        FILES / "docs.html": render_page(document),
        FILES / "asyncapi.json": document_text(events),
        FILES / "events.html": render_events_page(events),
    }


def openapi_text() -> str:
    """The OpenAPI document as it is committed and served. Raises OSError where the installation lacks it."""
    return (FILES / "openapi.json").read_text()


def stale_files(generated: Mapping[Path, str]) -> list[Path]:
    """Those whose committed content is another, or missing."""
    return [path for path, text in generated.items() if not path.exists() or path.read_text() != text]


def write() -> int:
    """Write what is stale."""
    generated = generated_files()
    for path in stale_files(generated):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated[path])
        print(f"written: {path.name}")
    return 0


def check() -> int:
    """1 when something is stale, and which."""
    stale = stale_files(generated_files())
    for path in stale:
        print(f"stale: {path.name}; run make interface", file=sys.stderr)
    return 1 if stale else 0


_COMMANDS: Final[Mapping[str, Callable[[], int]]] = {"write": write, "check": check}


def main(arguments: list[str]) -> int:
    """Run one command. 2 for another word, 1 for what cannot be made."""
    command = _COMMANDS.get(arguments[0]) if len(arguments) == 1 else None
    if command is None:
        print("usage: python -m deploy.interface.main write|check", file=sys.stderr)
        return 2
    try:
        return command()
    except (OperationIncomplete, ValueError) as fault:
        print(fault, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
