"""`tributary …`: the commands, put together. Shell completion: `tributary --install-completion`."""

from collections.abc import Callable

import typer

from deploy.cli import audit, backup, bulk, dead_letters, keyring, keys, parked, rates, topics
from deploy.cli.doctor import doctor
from deploy.cli.metrics import metrics
from deploy.cli.migrate import migrate
from deploy.cli.output import EXIT_PROBLEM, JsonOption, PlainGroup, complain
from deploy.cli.price import price
from deploy.cli.ps import ps
from deploy.cli.replay import replay
from deploy.local import main as local
from deploy.local.problem import PlainProblem

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Operate a Tributary network. Exit codes: 0 ok, 1 found a problem, 2 could not look.",
)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(parked.app, name="parked")
app.command()(replay)


@app.command()
def verify(as_json: JsonOption = False) -> None:
    """Prove the ledger and reprice every posting, in bounded memory. Exit 1: broken, and the line says where."""
    raise typer.Exit(local.run_verification(*(["--json"] if as_json else [])).returncode)


app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(keyring.app, name="keyring")
app.add_typer(backup.app, name="backup")
app.add_typer(rates.app, name="rates")
app.command()(price)
app.add_typer(bulk.app, name="conversions")
app.command()(migrate)
app.add_typer(topics.app, name="topics")
app.command()(ps)
app.command()(metrics)
app.command()(doctor)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the whole public API, as it is served: JSON."""
    from deploy.interface.main import openapi_text  # slow: it can make the document anew from every service's code

    typer.echo(openapi_text(), nl=False)


@app.command()
def up() -> None:
    """Start the whole platform here and stay in the foreground, as `make run` does. Exit 1 when it cannot start."""
    _act(local.up)


@app.command()
def down() -> None:
    """Stop the network that runs on the state folder, as `make stop` does."""
    _act(local.down)


def _act(command: Callable[[], None]) -> None:
    try:
        command()
    except PlainProblem as problem:
        complain(problem.what, problem.remedy)
        raise typer.Exit(EXIT_PROBLEM) from None


def main() -> None:
    """The program."""
    app(prog_name="tributary")


if __name__ == "__main__":
    main()
