"""Real engines for tests: one PostgreSQL and one Apache Kafka per run, in a temporary folder, gone at the end.

postgres   started and provisioned: `.url(service)`, `.admin_url(database)`, `.migrate(service)`
mortal_postgres   the same for one module alone, whose tests may `.kill9()` it
kafka      one broker; skipped where Java 17+ or Maven is missing, unless REQUIRE_APACHE_KAFKA is set
broker     either event log, so that a test that takes it runs on both
"""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import pytest

from deploy.local.kafka import KafkaNode, RunningKafka
from deploy.local.kafka_install import KafkaUnavailable, say_on_stderr
from deploy.local.postgres import PostgresServer, RunningPostgres
from deploy.local.provision import provision
from shared.runtime.migrations import upgrade


@dataclass(slots=True)
class TestPostgres:
    """A provisioned server of this test run. Not durable: it survives kill -9 of PostgreSQL, not of the machine."""

    __test__ = False

    running: RunningPostgres
    _migrated: set[str] = field(default_factory=set)

    def url(self, service: str, *, database_of: str | None = None) -> str:
        """The way in as the login of `service`, to its own database or to that of another service."""
        return self.running.server.url(login=f"tributary_{service}", database=f"tributary_{database_of or service}")

    def admin_url(self, database: str = "postgres") -> str:
        """The superuser's way in; `database` is the full name, such as `tributary_clicks`."""
        return self.running.server.admin_url(database)

    def migrate(self, service: str) -> str:
        """Bring the service's database to the newest revision, once per run; gives its URL."""
        if service not in self._migrated:
            _away_from_the_loop(upgrade, self.url(service), service)
            self._migrated.add(service)
        return self.url(service)

    def restart(self) -> None:
        """Fast stop and start; returns when connections are accepted."""
        self.running.stop()
        self.running.start()

    def kill9(self) -> None:
        """kill -9 of the server, then start it again; returns when connections are accepted."""
        self.running.kill()
        self.running.start()

    def freeze(self) -> None:
        """SIGSTOP of the server and every backend: connections stay, no answer comes. `thaw()` ends it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT; harmless for a server that runs."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.running.server.process_ids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_only(self) -> None:
        """kill -9 of the server, and leave it down; `restart()` brings it back."""
        self.running.kill()


@dataclass(slots=True)
class TestKafka:
    """One real Apache Kafka node of this test run."""

    __test__ = False

    running: RunningKafka

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin."""
        return self.running.node.bootstrap_servers

    @property
    def log_id(self) -> str:
        """The cluster id, which consumers store with their positions."""
        return self.running.node.cluster_id

    def restart(self) -> None:
        """Controlled shutdown and start on the same port; returns when the broker answers."""
        self.running.stop()
        self.running.start()

    def kill9(self) -> None:
        """kill -9 of the broker, then start it again (about five seconds: its old session must run out)."""
        self.running.kill()
        self.running.start()

    def kill_only(self) -> None:
        """kill -9 of the broker, and leave it down; `restart()` brings it back."""
        self.running.kill()


@dataclass(frozen=True, slots=True)
class TestBroker:
    """Which event log a test runs on. For `embedded`, bootstrap_servers is empty."""

    __test__ = False

    kind: Literal["embedded", "kafka"]
    bootstrap_servers: str
    log_id: str
    kafka: TestKafka | None = None


@pytest.fixture(scope="session")
def engine_folder() -> Iterator[Path]:
    """A short-named temporary folder that PostgreSQL's own account may pass through, deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tributary-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def provisioned_postgres(folder: Path) -> Iterator[TestPostgres]:
    """A running PostgreSQL with the four databases and all roles; nothing migrated yet."""
    server = PostgresServer.at(folder / "postgres-state", durable=False)
    running = RunningPostgres(server, log_file=folder / "postgres.log")
    try:
        running.start()
        _away_from_the_loop(provision, server.admin_url())
        yield TestPostgres(running)
    finally:
        running.stop()


@pytest.fixture(scope="session")
def postgres(engine_folder: Path) -> Iterator[TestPostgres]:
    """The server that a run's tests share. None of them may kill it."""
    with provisioned_postgres(engine_folder) as started:
        yield started


@pytest.fixture(scope="module")
def mortal_postgres(engine_folder: Path, request: pytest.FixtureRequest) -> Iterator[TestPostgres]:
    """A server of the module's own, for tests that kill it."""
    folder = engine_folder / request.module.__name__.rpartition(".")[2]
    folder.mkdir(mode=0o711)
    with provisioned_postgres(folder) as started:
        yield started


@pytest.fixture(scope="session")
def kafka(engine_folder: Path) -> Iterator[TestKafka]:
    """A running Apache Kafka node."""
    try:
        node = KafkaNode.at(engine_folder / "kafka", say=say_on_stderr)
    except KafkaUnavailable as reason:
        if os.environ.get("REQUIRE_APACHE_KAFKA"):
            raise
        pytest.skip(f"without Apache Kafka: {reason.what}")
    running = RunningKafka(node)
    try:
        running.start()
        yield TestKafka(running)
    finally:
        running.stop()


@pytest.fixture(scope="session", params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> TestBroker:
    """Either event log: a test that takes this runs twice."""
    if request.param == "embedded":
        return TestBroker("embedded", "", "embedded")
    node = cast(TestKafka, request.getfixturevalue("kafka"))
    return TestBroker("kafka", node.bootstrap_servers, node.log_id, node)


def _away_from_the_loop(act: Callable[..., None], *arguments: str) -> None:
    """Run what starts an event loop of its own in a thread, since the tests' loop may be running in this one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(act, *arguments).result()
