"""`tributary topics`: the topics of the event log, as the platform wants them and as the log has them."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, complain, print_json, print_table
from deploy.cli.place import LogPlace, find_log, state_folder
from deploy.jobs.topics import prepare_topics
from deploy.local.outside import find_cluster_id, find_topics
from shared.contracts.topics import TOPICS, Topic

app = typer.Typer(no_args_is_help=True, help="Topics of the event log: list, create what is missing, verify.")

EMBEDDED_SAYS: Final = "The embedded log needs no topics made: they are rows of the producers' outboxes."


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """One topic. problem: empty where it is as it should be. replicas: None on the embedded log and where missing."""

    topic: Topic
    replicas: int | None
    problem: str

    def described(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self.topic) | {"replicas": self.replicas, "problem": self.problem}


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """List every topic: who writes, who reads, partitions, how long events are kept. Exit 1 where one is wrong."""
    findings = _look(find_log(state_folder()))
    if as_json:
        print_json([finding.described() for finding in findings])
    else:
        print_table(
            ("TOPIC", "FROM", "TO", "PARTITIONS", "KEPT", "REPLICAS", ""),
            [
                (
                    finding.topic.name,
                    finding.topic.producer,
                    ", ".join(finding.topic.consumers) or None,
                    finding.topic.partitions,
                    _kept(finding.topic),
                    finding.replicas,
                    finding.problem or "as it should be",
                )
                for finding in findings
            ],
        )
    if any(finding.problem for finding in findings):
        raise typer.Exit(EXIT_PROBLEM)


@app.command()
def create() -> None:
    """Create the topics that are missing, change none. Exit 1 where one is not as it should be."""
    log = find_log(state_folder())
    if log.is_embedded:
        typer.echo(EMBEDDED_SAYS)
        return
    cluster = prepare_topics(log.required_servers(), log_id=log.log_id)
    typer.echo(f"Every topic exists on cluster {cluster}.")
    _judge(log)


@app.command()
def verify() -> None:
    """Check the cluster's id, and partitions and retention of every topic. Exit 1 where one is not as it should be."""
    log = find_log(state_folder())
    if log.is_embedded:
        typer.echo(EMBEDDED_SAYS)
        return
    found = find_cluster_id(log.required_servers())
    if found != log.log_id:
        complain(f"This network lives on log {log.log_id}; the cluster that answers is {found}.")
        raise typer.Exit(EXIT_PROBLEM)
    _judge(log)
    typer.echo(f"All {len(TOPICS)} topics on cluster {found} are as they should be.")


def _judge(log: LogPlace) -> None:
    wrong = [finding for finding in _look(log) if finding.problem]
    for finding in wrong:
        complain(f"{finding.topic.name}: {finding.problem}")
    if wrong:
        complain("", "`tributary topics create` makes what is missing; what differs is changed with Kafka's own tools.")
        raise typer.Exit(EXIT_PROBLEM)


def _look(log: LogPlace) -> list[TopicFinding]:
    if log.is_embedded:
        return [TopicFinding(topic, None, "") for topic in TOPICS.values()]
    from shared.runtime.event_log.kafka_topics import difference  # slow, and the embedded log never needs it

    found = find_topics(log.required_servers())
    return [
        TopicFinding(topic, found[name].replicas, difference(topic, found[name]))
        if name in found
        else TopicFinding(topic, None, "is missing")
        for name, topic in TOPICS.items()
    ]


def _kept(topic: Topic) -> str:
    if topic.compacted:
        return "last of each key"
    return "for ever" if topic.retention_days is None else f"{topic.retention_days} days"
