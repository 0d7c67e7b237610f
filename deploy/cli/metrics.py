"""`tributary metrics`: what the running processes say of themselves, without a Prometheus."""

import urllib.request
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from prometheus_client.parser import text_string_to_metric_families

from deploy.cli.output import EXIT_PROBLEM, JsonOption, complain, print_json, print_table
from deploy.cli.place import state_folder
from deploy.cli.processes import Running, find_running
from deploy.local.role_environment import LOOPBACK
from deploy.local.roles import ROLES
from shared.runtime.metrics import PREFIX

ASK_SECONDS: Final = 5.0
ANSWER_BYTES_MAX: Final = 4_000_000
_PROCESSES: Final = {role.name for role in ROLES}


def metrics(
    words: Annotated[list[str] | None, typer.Argument(help="Only series whose line has all of these words.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the metrics of the processes that run here, buckets left out. Exit 1 when a process does not tell."""
    silent = False
    shown: list[dict[str, Any]] = []
    for running in find_running(state_folder()):
        if running.name not in _PROCESSES:
            continue
        try:
            shown += [row for row in _series(running) if _has_all(row, words or [])]
        except (OSError, ValueError) as fault:
            silent = True
            complain(f"{running.name} does not tell: {running.why_not or type(fault).__name__}.", "")
    if as_json:
        print_json(shown)
    else:
        print_table(
            ("PROCESS", "SERIES", "LABELS", "VALUE"),
            [(row["process"], row["series"], " ".join(row["labels"]), f"{row['value']:.12g}") for row in shown],
        )
    if silent:
        raise typer.Exit(EXIT_PROBLEM)


def _has_all(row: dict[str, Any], words: list[str]) -> bool:
    line = " ".join([row["process"], row["series"], *row["labels"]])
    return all(word in line for word in words)


def _series(running: Running) -> Iterator[dict[str, Any]]:
    if running.port is None:
        raise OSError("no port")
    with urllib.request.urlopen(f"http://{LOOPBACK}:{running.port}/metrics", timeout=ASK_SECONDS) as answer:
        text = answer.read(ANSWER_BYTES_MAX).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                yield {
                    "process": running.name,
                    "series": sample.name.removeprefix(PREFIX),
                    "labels": [f"{name}={value}" for name, value in sample.labels.items()],
                    "value": sample.value,
                }
