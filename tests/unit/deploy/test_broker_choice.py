"""A network keeps the event log it began with; anything else is refused in words."""

from pathlib import Path

import pytest

from deploy.local.broker_choice import BrokerChoice, choose_broker
from deploy.local.kafka import KafkaNode
from deploy.local.kafka_install import KafkaUnavailable
from deploy.local.problem import PlainProblem


def _no_kafka() -> KafkaNode:
    raise KafkaUnavailable("no Java here")


def _choose(remembered: Path, *, asked: str = "auto", outside: str = "") -> BrokerChoice:
    return choose_broker(
        asked=asked,
        outside_servers=outside,
        remembered=remembered,
        build_node=_no_kafka,
        find_cluster_id=lambda servers: f"cluster-of-{servers}",
    )


def test_auto_without_java_takes_embedded_log_and_says_why(tmp_path: Path) -> None:
    choice = _choose(tmp_path / "broker")

    assert choice.kind == "embedded"
    assert "no Java here" in choice.reason


def test_kafka_asked_for_without_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KafkaUnavailable):
        _choose(tmp_path / "broker", asked="kafka")


def test_explicit_other_choice_is_refused_with_what_to_do(tmp_path: Path) -> None:
    _choose(tmp_path / "broker", asked="embedded")

    with pytest.raises(PlainProblem, match="TRIBUTARY_HOME"):
        _choose(tmp_path / "broker", asked="kafka")
    with pytest.raises(PlainProblem, match="embedded log"):
        _choose(tmp_path / "broker", outside="kafka:9092")


def test_auto_stays_with_kafka_even_when_java_is_gone(tmp_path: Path) -> None:
    (tmp_path / "broker").write_text("cluster-1\n")

    with pytest.raises(KafkaUnavailable):
        _choose(tmp_path / "broker")


def test_another_outside_cluster_is_refused(tmp_path: Path) -> None:
    _choose(tmp_path / "broker", outside="one:9092")

    assert _choose(tmp_path / "broker", outside="one:9092").log_id == "cluster-of-one:9092"
    with pytest.raises(PlainProblem, match="lives on the Kafka cluster"):
        _choose(tmp_path / "broker", outside="two:9092")
