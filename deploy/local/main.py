"""`python -m deploy.local.main up | down | clean | with | verify`: one local network, as the Makefile calls it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer

from deploy.local.audit_chains import prove_chains
from deploy.local.kafka_install import KafkaUnavailable, cache_folder, ensure_kafka, find_java, say_on_stderr
from deploy.local.merged_log import MergedLog
from deploy.local.postgres_home import forget_home
from deploy.local.problem import PlainProblem, explain_os_error
from deploy.local.role_environment import NetworkPlan
from deploy.local.roles import SecretFile
from deploy.local.secret_files import FILE_NAMES
from deploy.local.seed import SeededNetwork, ensure_seeded
from deploy.local.service_database import find_database_url
from deploy.local.stack import Stack, checkout_folder
from deploy.local.state_folder import StateFolder, check_room
from deploy.local.supervisor import StopRequested
from deploy.local.welcome import welcome

app = typer.Typer(add_completion=False, no_args_is_help=True, help="One affiliate network on one machine.")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_PROBLEM: Final = 1


@app.command()
def up() -> None:
    """Start everything, seed the demo network the first time, and stay in the foreground until Ctrl-C."""
    raise SystemExit(_run(StateFolder.from_environment(checkout_folder()), dict(os.environ), _serve))


@app.command()
def down() -> None:
    """Stop the network that runs on this state folder, wherever it was started."""
    stopped = StateFolder.from_environment(checkout_folder()).stop_holder()
    print("Stopped." if stopped else "Nothing runs here.")


@app.command()
def clean() -> None:
    """Delete everything the network on this state folder is: databases, event log, keys, logs."""
    state = StateFolder.from_environment(checkout_folder())
    if state.holder() is not None:
        raise PlainProblem("Tributary runs here.", "Stop it first: make stop")
    if state.path.exists() and not state.is_ours():
        raise PlainProblem(f"{state.path} does not look like a state folder of Tributary.", "Nothing was deleted.")
    forget_home(state.path)
    shutil.rmtree(state.path, ignore_errors=True)
    print(f"Deleted {state.path}.")


@app.command(name="with", context_settings={"ignore_unknown_options": True})
def with_network(command: Annotated[list[str], typer.Argument(help="What to run, after `--`.")]) -> None:
    """Run a command against a network, with PUBLIC_URL and TRIBUTARY_ADMIN_KEY set; exits as the command does.

    Uses PUBLIC_URL if that is set, else the network that runs on the state folder, else starts one on free ports:
    on TRIBUTARY_HOME if that is set, else on a temporary folder that is deleted afterwards.
    """
    state = StateFolder.from_environment(checkout_folder())
    if os.environ.get("PUBLIC_URL"):
        raise SystemExit(_call(command, public_url=os.environ["PUBLIC_URL"], state=state))
    if state.holder() is not None:
        raise SystemExit(_call(command, public_url=state.running_url(), state=state))
    place = nullcontext(state) if os.environ.get("TRIBUTARY_HOME") else _temporary_state()
    with place as chosen:
        exit_code = _run(
            chosen,
            dict(os.environ) | {"PORT": os.environ.get("PORT") or "0"},
            lambda stack, plan: _call_beside(stack, command, plan, state=chosen),
            quiet=True,
        )
    raise SystemExit(exit_code)


@app.command()
def verify() -> None:
    """Prove the running network's ledger, reprice every posting, prove the audit chains; exit 1: the first bad row."""
    ledger = run_verification()
    reports = prove_chains(StateFolder.from_environment(checkout_folder()), os.environ)
    print("\n".join(report.line for report in reports), flush=True)
    raise SystemExit(ledger.returncode or int(any(report.broken for report in reports)))


def run_verification(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the ledger's proof to its end; what it says goes to our own output. Raises: PlainProblem: nothing runs."""
    state = StateFolder.from_environment(checkout_folder())
    url = find_database_url("commissions", state=state, environment=os.environ)
    environment = dict(os.environ) | {"DATABASE_URL_COMMISSIONS": url, "BROKER": "embedded"}  # it reads no log
    environment.pop("PORT", None)  # the network's: 0, "any", is none that a process knows
    command = [sys.executable, "-m", "services.commissions.verify", "--recompute", *options]
    return subprocess.run(command, check=False, env=environment, text=True)


@app.command()
def kafka_check() -> None:
    """Say whether tests can run on Apache Kafka here, fetching it if need be; fails if REQUIRE_APACHE_KAFKA is set."""
    try:
        find_java()
        ensure_kafka(cache_folder(), say=say_on_stderr)
    except KafkaUnavailable as unavailable:
        if os.environ.get("REQUIRE_APACHE_KAFKA"):
            raise
        print(f"Skipping the tests on Apache Kafka: {unavailable.what}")


def main() -> None:
    """The program. What the user can put right is shown in plain words."""
    try:
        app()
    except PlainProblem as problem:
        _show(problem)
        raise SystemExit(EXIT_PROBLEM) from None


def _run(
    state: StateFolder, caller: dict[str, str], act: Callable[[Stack, NetworkPlan], int], *, quiet: bool = False
) -> int:
    """Start the network, do `act` with it running, stop it; gives what `act` gave, or 1."""
    state.create()
    check_room(state.path)
    with state.lock():
        log = MergedLog(state.logs, silent=quiet)
        stack = Stack(state, checkout=checkout_folder(), log=log, caller=caller)
        _stop_on_signals(stack)
        try:
            return act(stack, stack.start())
        except StopRequested:
            return 0
        except OSError as error:
            raise explain_os_error(error) from error
        finally:
            stack.supervisor.stop_all()
            state.address.unlink(missing_ok=True)


def _serve(stack: Stack, plan: NetworkPlan) -> int:
    seeded = stack.supervisor.run_while_watching(lambda: _seed(stack, plan))
    stack.state.announce(stack.state.address, f"{plan.public_url}\n")
    print(welcome(plan, seeded), flush=True)
    stack.supervisor.watch_until_stopped()
    stack.supervisor.say("stopping")
    return 0


def _seed(stack: Stack, plan: NetworkPlan) -> SeededNetwork:
    return ensure_seeded(plan, demo_file=stack.state.demo, say=stack.supervisor.say)


def _call_beside(stack: Stack, command: list[str], plan: NetworkPlan, *, state: StateFolder) -> int:
    stack.supervisor.run_while_watching(lambda: _seed(stack, plan))
    return stack.supervisor.run_while_watching(lambda: _call(command, public_url=plan.public_url, state=state))


def _call(command: list[str], *, public_url: str, state: StateFolder) -> int:
    environment = dict(os.environ) | {"PUBLIC_URL": public_url}
    admin_key = state.keys / FILE_NAMES[SecretFile.BOOTSTRAP_ADMIN_KEY]
    if admin_key.exists():
        environment.setdefault("TRIBUTARY_ADMIN_KEY", admin_key.read_text().strip())
    return subprocess.run(command, check=False, env=environment).returncode


@contextmanager
def _temporary_state() -> Iterator[StateFolder]:
    folder = Path(tempfile.mkdtemp(prefix="tributary-"))
    folder.chmod(0o711)
    state = StateFolder(folder)
    try:
        yield state
    finally:
        forget_home(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _stop_on_signals(stack: Stack) -> None:
    def request(_number: int, _frame: types.FrameType | None) -> None:
        stack.supervisor.request_stop()

    for number in STOP_SIGNALS:
        signal.signal(number, request)


def _show(problem: PlainProblem) -> None:
    print(f"\n{problem.what}\n{problem.remedy}".rstrip(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
