"""`tributary ps`: what runs on the state folder."""

from dataclasses import asdict

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, print_json, print_table
from deploy.cli.place import state_folder
from deploy.cli.processes import find_running


def ps(as_json: JsonOption = False) -> None:
    """List engines and processes: pid, port, ready or why not. Exit 1 when one is not ready, 2 when nothing runs."""
    found = find_running(state_folder())
    if as_json:
        print_json([asdict(running) | {"ready": not running.why_not} for running in found])
    else:
        print_table(
            ("NAME", "PID", "PORT", "READY"),
            [(running.name, running.pid, running.port, running.why_not or "ready") for running in found],
        )
    if any(running.why_not for running in found):
        raise typer.Exit(EXIT_PROBLEM)
