"""How commands answer: tables for people, JSON for programs, faults in plain words on standard error."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError
from typer.core import TyperGroup

from deploy.local.problem import PlainProblem
from shared.runtime.database import sqlstate_of

EXIT_PROBLEM: Final = 1
EXIT_NO_LOOK: Final = 2
PIPE_WIDTH: Final = 160
"""Columns where there is no terminal to ask: wide enough that an instant or a name is not folded."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class PlainGroup(TyperGroup):
    """Turns what the operator can put right into two lines and exit 2, in place of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _logs_on_stderr():
                return super().invoke(ctx)
        except BrokenPipeError:
            raise  # whoever read our output had enough; the program ends quietly
        except PlainProblem as problem:
            complain(problem.what, problem.remedy)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            complain(f"Could not look: {describe(error)}.", "`tributary doctor` says more.")
        raise typer.Exit(EXIT_NO_LOOK)


@contextmanager
def _logs_on_stderr() -> Iterator[None]:
    """Standard output is the answer's alone: a library's warning in the middle would make it no JSON."""
    before, was_configured = structlog.get_config(), structlog.is_configured()
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr), cache_logger_on_first_use=False)
    try:
        yield
    finally:
        if was_configured:
            structlog.configure(**before)
        else:
            structlog.reset_defaults()


def describe(error: BaseException) -> str:
    """A fault by its type and SQLSTATE: the text of a driver's error may carry an address or a password."""
    state = sqlstate_of(error)
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}{f' ({state})' if state else ''}"


def complain(what: str, remedy: str = "") -> None:
    """Say on standard error what is wrong and what to do."""
    typer.echo(f"{what}\n{remedy}".rstrip(), err=True)


def print_json(value: object) -> None:
    """One JSON document; instants as ISO 8601."""
    typer.echo(json.dumps(value, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table without frames; None is a dash. Texts are shown as they are, never read as markup."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("—" if cell is None else escape(_printable(str(cell))) for cell in row))
    console.print(table)


def _printable(text: str) -> str:
    """Control characters in an event could move the cursor or retitle the operator's terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)
