"""One Apache Kafka node (KRaft, broker and controller in one) on loopback, for one machine and for tests."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from deploy.local.child import ChildCommand, end, launch, run_to_end
from deploy.local.kafka_install import Say, cache_folder, ensure_kafka, find_java
from deploy.local.ports import free_port, is_free
from deploy.local.problem import PlainProblem

HEAP_MB = 512
FORMAT_TIMEOUT_SECONDS = 120.0
READY_TIMEOUT_SECONDS = 120.0
STOP_GRACE_SECONDS = 15.0
POLL_SECONDS = 0.05
PROBE_TIMEOUT_SECONDS = 2.0

SERVER_PROPERTIES = """\
# Written at every start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={log_folder}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# after a kill the node may register again only once its old session has run out
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""

LOG4J_PROPERTIES = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=${sys:tributary.log}
appender.file.filePattern=${sys:tributary.log}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{ISO8601} %p %c{1} %m%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
"""


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """One node's folder, programs and ports. Holds no process: `command()` is run by whoever supervises."""

    home: Path
    java: Path
    libraries: Path
    port: int
    controller_port: int

    @classmethod
    def at(cls, home: Path, *, say: Say) -> "KafkaNode":
        """The node whose data is in `home`, on the ports it had last time if they are free, else on new ones.

        Downloads Kafka the first time. Raises: KafkaUnavailable without Java 17+ or Maven.
        """
        java = find_java()
        libraries = ensure_kafka(cache_folder(), say=say)
        home.mkdir(parents=True, exist_ok=True)
        port, controller_port = _ports(home / "ports")
        return cls(home=home, java=java, libraries=libraries, port=port, controller_port=controller_port)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin."""
        return f"127.0.0.1:{self.port}"

    @property
    def cluster_id(self) -> str:
        """The identity of the log, made on the first call and kept with the data: positions are valid only in it."""
        path = self.home / "cluster_id"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            # Kafka's form is 16 bytes in base64; a leading dash would read as an option of the format tool
            path.write_text("T" + urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22])
        return path.read_text().strip()

    def prepare(self) -> None:
        """Write the configuration, and format the storage on the first call (about two seconds). Idempotent."""
        log_folder = self.home / "log"
        values = {"port": self.port, "controller_port": self.controller_port, "log_folder": log_folder}
        (self.home / "server.properties").write_text(SERVER_PROPERTIES.format(**values))
        (self.home / "log4j2.properties").write_text(LOG4J_PROPERTIES)
        meta = log_folder / "meta.properties"
        if meta.exists():
            found = re.search(r"^cluster\.id=(.+)$", meta.read_text(), re.MULTILINE)
            if found is None or found.group(1) != self.cluster_id:
                raise PlainProblem(f"{log_folder} holds another Kafka cluster than {self.home}/cluster_id says.")
            return
        shutil.rmtree(log_folder, ignore_errors=True)  # a format that was cut off; it holds no messages yet
        arguments = ("format", "-t", self.cluster_id, "-c", str(self.home / "server.properties"))
        quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m")
        argv = (*self._java(*quick, log_name="format.log"), "kafka.tools.StorageTool", *arguments)
        result = run_to_end(
            ChildCommand(argv=argv, environment=self._environment()), timeout_seconds=FORMAT_TIMEOUT_SECONDS
        )
        if result.returncode != 0:
            shutil.rmtree(log_folder, ignore_errors=True)
            reason = result.stdout.decode(errors="replace").strip()
            raise PlainProblem(f"Apache Kafka could not format its storage {log_folder}.", reason)

    def command(self) -> ChildCommand:
        """The node in the foreground; its own log goes to `server.log` in its home, two files of 10 MB at most."""
        memory = (f"-Xms{HEAP_MB // 2}m", f"-Xmx{HEAP_MB}m", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError")
        argv = (*self._java(*memory, log_name="server.log"), "kafka.Kafka", str(self.home / "server.properties"))
        return ChildCommand(argv=argv, environment=self._environment(), death_signal=signal.SIGTERM)

    def is_ready(self) -> bool:
        """Does the broker answer an ApiVersions request? It does so only once it has joined its own controller."""
        return answers_api_versions("127.0.0.1", self.port)

    def _java(self, *options: str, log_name: str) -> tuple[str, ...]:
        configuration = f"-Dlog4j2.configurationFile={self.home / 'log4j2.properties'}"
        log_file = f"-Dtributary.log={self.home / log_name}"
        return (str(self.java), "-cp", f"{self.libraries}/*", *options, configuration, log_file)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


class RunningKafka:
    """A node started, watched and stopped by its owner directly, where there is no supervisor (tests)."""

    def __init__(self, node: KafkaNode) -> None:
        self.node = node
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Format if need be, start, and return when the broker answers."""
        self.node.prepare()
        with (self.node.home / "console.log").open("ab") as console:
            self._process = launch(self.node.command(), output=console)
        wait_until_ready(self.node, self._process)

    def stop(self) -> None:
        """Controlled shutdown; harmless when it is not running."""
        if self._process is not None:
            end(self._process, stop_signal=signal.SIGTERM, grace_seconds=STOP_GRACE_SECONDS)
            self._process = None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def wait_until_ready(node: KafkaNode, process: subprocess.Popen[bytes]) -> None:
    """Return when the broker answers; PlainProblem when it ends or takes too long."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not node.is_ready():
        if process.poll() is not None:
            raise PlainProblem(
                f"Apache Kafka stopped while it started (exit {process.returncode}).", f"See {node.home}/server.log."
            )
        if time.monotonic() > deadline:
            raise PlainProblem(
                f"Apache Kafka was not ready within {READY_TIMEOUT_SECONDS:.0f} s.", f"See {node.home}/server.log."
            )
        time.sleep(POLL_SECONDS)


def answers_api_versions(host: str, port: int) -> bool:
    """One ApiVersions v0 request: true if the answer carries our correlation id and no error."""
    correlation_id = secrets.randbits(31)
    request = struct.pack(">hhih", 18, 0, correlation_id, -1)
    with contextlib.suppress(OSError, struct.error):
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                _, found, error = struct.unpack(">iih", answer.read(10))
        return bool(found == correlation_id and error == 0)
    return False


def _ports(remembered: Path) -> tuple[int, int]:
    if remembered.exists():
        port, controller_port = (int(word) for word in remembered.read_text().split())
        if is_free("127.0.0.1", port) and is_free("127.0.0.1", controller_port):
            return port, controller_port
    port, controller_port = free_port(), free_port()
    remembered.write_text(f"{port} {controller_port}\n")
    return port, controller_port
