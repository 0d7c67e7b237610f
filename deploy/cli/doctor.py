"""`tributary doctor`: what is wrong here, and what to do about it."""

import os
from dataclasses import asdict

import typer

from deploy.cli.finding import Verdict
from deploy.cli.machine_checks import (
    check_disk,
    check_folder,
    check_kafka_program,
    check_keys,
    check_ports,
    check_python,
)
from deploy.cli.network_checks import check_network
from deploy.cli.output import EXIT_PROBLEM, JsonOption, print_json, print_table
from deploy.cli.place import state_folder


def doctor(as_json: JsonOption = False) -> None:
    """Check machine, keys, databases and log, and say what to do. Exit 1 when a line says fail."""
    state, environment = state_folder(), dict(os.environ)
    findings = [
        check_python(),
        *check_ports(state, environment),
        check_folder(state),
        check_disk(state),
        *check_kafka_program(environment),
        *check_keys(state, environment),
        *check_network(state),
    ]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("CHECK", "", "FOUND", "WHAT TO DO"),
            [(finding.check, finding.verdict, finding.says, finding.remedy) for finding in findings],
        )
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(EXIT_PROBLEM)
