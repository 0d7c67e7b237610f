"""T60: planted values are searched for in every table, log record, log file and metric; erasure; the ledger unchanged.

What a shopper's browser and network say, and what people wrote into labels and references, is planted once with no
consent, once unsaid, once with consent; then everything that the platform keeps is searched for it.
"""

import asyncio
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local.postgres import PostgresServer
from deploy.local.roles import SERVICES
from shared.contracts.topics import TOPICS
from shared.runtime.database import Database
from shared.runtime.event_log import reset_positions
from tests.e2e.client import Answer, Client, Merchant, click_id_in
from tests.e2e.conftest import require_kafka_or_skip
from tests.e2e.database import LEDGER_TABLES, OpenDatabase, database_of
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

LATER_SECONDS = 500 * 86_400
REPLAY_SECONDS = 120.0
_BYTEA = re.compile(r'"\\\\x([0-9a-f]+)"')
KEPT_LEDGER = (*LEDGER_TABLES, "commission_step")


@dataclass(frozen=True)
class Shopper:
    """One shopper with values nobody else has."""

    mark: str
    address: str

    @property
    def agent(self) -> str:
        return f"Mozilla/5.0 (planted-{self.mark}) Gecko/20100101 Firefox/145.0"

    def click(self, network: Network, link: str, extra: str, **headers: str) -> Answer:
        """Follow the link as this shopper, through a proxy that names the address."""
        path = link.removeprefix(network.platform.public_url)
        sent = {
            "User-Agent": self.agent,
            "X-Forwarded-For": self.address,
            "Referer": f"https://ref-{self.mark}.example/private/{self.mark}",
            **headers,
        }
        return Client(network.platform.public_url).send("GET", f"{path}?{extra}", headers=sent)


BOTH_LOGS = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]


@pytest.fixture(scope="module", params=BOTH_LOGS)
def private(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A platform of this module's own, behind a proxy it trusts."""
    yield from _running(request.param)


@pytest.fixture(params=BOTH_LOGS)
def ageing(request: pytest.FixtureRequest) -> Iterator[Network]:
    """One whose clock is set: nobody else can use it afterwards."""
    yield from _running(request.param)


def _running(broker: str) -> Iterator[Network]:
    if broker == "kafka":
        require_kafka_or_skip()
    home = Path(tempfile.mkdtemp(prefix="tributary-private-"))
    home.chmod(0o711)
    (home / "clock").write_text("+0")
    extra = {
        "TRUSTED_PROXY_CIDRS": "127.0.0.1/32",
        "TRIBUTARY_CLOCK": str(home / "clock"),
        "TRIBUTARY_RETENTION_EVERY_SECONDS": "1",
    }
    running = RunningPlatform(home, broker, extra)
    try:
        running.start()
        yield Network(running)
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_nothing_planted_is_kept_without_consent_and_nothing_raw_with_it(private: Network) -> None:
    merchant, affiliate = private.merchant(), private.affiliate()
    link = private.enrol(private.offer(merchant), affiliate)
    silent, unsaid, willing = (Shopper(uuid4().hex[:10], f"203.0.113.{place}") for place in (71, 72, 73))
    mail, customer = f"jo-{silent.mark}@mail.example", f"cust-{silent.mark}"
    labels = f"sub1={mail.replace('@', '%40')}&source=%2B4915112345678&sub2=plain-{silent.mark}"

    silent.click(private, link, f"consent=0&{labels}&gclid=g{silent.mark}", Cookie=f"trb_visitor={'c0' * 16}")
    silent.click(private, link, f"sub3=x&gclid=h{silent.mark}", **{"Sec-GPC": "1"})
    unsaid.click(private, link, "", Cookie=f"trb_visitor={'c1' * 16}")
    cookie = willing.click(private, link, "consent=1").headers["set-cookie"].partition("=")[2].partition(";")[0]
    click = silent.click(private, link, f"consent=0&{labels}")
    merchant.postback(
        click_id=click_id_in(click.location), order_id=mail, amount="10.00", currency="EUR", customer_id=customer,
        coupon=mail, sub1=mail, customer_status="+49 151 12345678", items=f'[{{"for":"{mail}"}}]',
    )  # fmt: skip
    merchant.postback(order_id=mail, amount="10.00", currency="EUR", token="wrong")
    wait_until(lambda: _is_pending(affiliate.api, "1.00"), SETTLE_SECONDS, "it is credited")
    wait_until(lambda: _clicks_of(affiliate.api) == 5, SETTLE_SECONDS, "the clicks are logged")
    wait_until(lambda: _is_labelled(affiliate.api, f"plain-{silent.mark}"), SETTLE_SECONDS, "labels follow the credit")

    kept = everything(private.platform)
    never = [mail, customer, f"g{silent.mark}", f"h{silent.mark}", f"planted-{silent.mark}", cookie]
    never += [shopper.address for shopper in (silent, unsaid, willing)] + ["c0" * 16, "c1" * 16, "4915112345678"]
    never += [f"private/{shopper.mark}" for shopper in (silent, unsaid, willing)]
    assert found(kept, never) == {}
    tell(kept, never)
    assert f"planted-{unsaid.mark}" in kept["clicks.click"]  # the search does find what is kept
    assert f"plain-{silent.mark}" in kept["commissions.commission"]
    with database_of(private.platform, "clicks") as clicks:
        rows = clicks.rows(
            "SELECT consent, ip_hash IS NULL, user_agent IS NULL, visitor_key IS NULL, ad_click_ids = '{}' FROM click"
            " WHERE affiliate_id = $1 ORDER BY clicked_at",
            affiliate.affiliate_id,
        )
    no = (False, True, True, True, True)
    assert rows == [no, no, (None, False, False, True, True), (True, False, False, False, True), no]


def test_an_erasure_leaves_nothing_and_the_ledger_as_it_was(private: Network) -> None:
    merchant, affiliate = private.merchant(), private.affiliate()
    link = private.enrol(private.offer(merchant), affiliate)
    shopper = Shopper(uuid4().hex[:10], "203.0.113.81")
    customer = f"cust-{shopper.mark}"
    first = click_id_in(shopper.click(private, link, f"gclid=g{shopper.mark}&consent=1").location)
    second = click_id_in(shopper.click(private, link, f"fbclid=f{shopper.mark}").location)
    order = {"order_id": f"o-{shopper.mark}", "amount": "30.00", "currency": "EUR", "customer_id": customer}
    reported = merchant.postback(click_id=first, **order, items=f"item-{shopper.mark}")
    wait_until(lambda: _is_pending(affiliate.api, "3.00"), SETTLE_SECONDS, "it is credited")
    wait_until(lambda: _clicks_of(affiliate.api) == 2, SETTLE_SECONDS, "the clicks are logged")
    before = ledger(private.platform)
    personal = [f"planted-{shopper.mark}", f"g{shopper.mark}", f"f{shopper.mark}", f"ref-{shopper.mark}", customer]
    personal += [f"item-{shopper.mark}"]
    assert set(found(everything(private.platform), personal)) >= {"clicks.click", "conversions.conversion"}

    for reference in ({"merchant_id": merchant.merchant_id, "customer_id": customer}, {"click_id": second}):
        asked = private.admin.post("/v1/erasures", reference)
        assert asked.status == 202, asked.text
        path = f"/v1/erasures/{asked.body['id']}"
        wait_until(partial(_is_done, private.admin, path), SETTLE_SECONDS, f"done: {reference.keys()}")
    left = found(everything(private.platform), personal)
    _replay(private.platform)
    repeated = merchant.postback(click_id=first, **order, items=f"item-{shopper.mark}")
    another = merchant.postback(click_id=second, **{**order, "order_id": f"p-{shopper.mark}"})
    wait_until(lambda: _is_pending(affiliate.api, "6.00"), SETTLE_SECONDS, "an erased click still credits")
    after = found(everything(private.platform), personal)

    # Apache Kafka cannot forget one record: its copy of a click goes with the topic's retention.
    allowed = {"log clicks.v1"} if private.platform.broker == "kafka" else set()
    assert set(left) <= allowed
    assert set(after) <= allowed
    tell(everything(private.platform), personal)
    assert (repeated.body["duplicate"], repeated.body["conversion_id"]) == (True, reported.body["conversion_id"])
    assert another.status == 201
    assert {line: count for line, count in before.items() if line not in ledger(private.platform)} == {}


def test_clicks_and_receipts_expire_and_a_late_refund_is_settled(ageing: Network) -> None:
    platform = ageing.platform
    merchant, affiliate = ageing.merchant(), ageing.affiliate()
    link = ageing.enrol(ageing.offer(merchant), affiliate)
    click_id = click_id_in(ageing.shopper.click(link, sub1="kept").location)
    order = {"click_id": click_id, "order_id": uuid4().hex, "amount": "50.00", "currency": "EUR"}
    first = merchant.postback(**order).body
    wait_until(lambda: _is_pending(affiliate.api, "5.00"), SETTLE_SECONDS, "it is credited")
    wait_until(lambda: _clicks_of(affiliate.api) == 1, SETTLE_SECONDS, "the click is logged")
    before = ledger(platform)

    (platform.home / "clock").write_text(f"+{LATER_SECONDS}")
    for service, table in (("clicks", "click"), ("conversions", "receipt"), ("conversions", "click_detail")):
        wait_until(partial(_is_empty, platform, service, table), SETTLE_SECONDS, f"{table} has expired")
    refund = {"order_id": order["order_id"], "adjustment_id": "r", "amount": "20.00", "currency": "EUR"}
    refunded, repeated = (merchant.api.send("GET", _later(merchant, fields)) for fields in (refund, order))

    assert refunded.status == 201, refunded.text
    assert repeated.body == {**first, "duplicate": True}
    wait_until(lambda: ledger(platform).keys() > before.keys(), SETTLE_SECONDS, "the refund is posted")
    assert set(before) <= set(ledger(platform))
    if platform.broker == "kafka":
        assert asyncio.run(_retention_ms(platform)) == {
            name: "-1" if topic.retention_days is None else str(topic.retention_days * 86_400_000)
            for name, topic in TOPICS.items()
        }


def everything(platform: RunningPlatform) -> dict[str, str]:
    """Everything that the platform keeps, as text, by place: tables, the log, log files, metrics."""
    kept: dict[str, str] = {}
    for service in SERVICES:
        with database_of(platform, service) as database:
            for (table,) in database.rows(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            ):
                rows = database.rows(f'SELECT row_to_json(t)::text FROM "{table}" t')
                text = "\n".join(line + _bytes_in(line) for (line,) in rows)
                place = "click" if table.startswith("click_2") else table
                kept[f"{service}.{place}"] = kept.get(f"{service}.{place}", "") + text
    for file in platform.home.rglob("*.log*"):
        kept[f"file {file.name}"] = file.read_text(errors="replace")
    for role, url in _addresses(platform).items():
        with httpx.Client(trust_env=False) as client:
            kept[f"metrics {role}"] = client.get(f"{url}/metrics").text
    if platform.broker == "kafka":
        kept |= asyncio.run(_kafka_log(platform))
    return kept


def found(kept: dict[str, str], words: Sequence[str]) -> dict[str, list[str]]:
    """Which of the words stand where."""
    hits = {place: [word for word in words if word in text] for place, text in kept.items()}
    return {place: words for place, words in hits.items() if words}


def tell(kept: dict[str, str], words: Sequence[str]) -> None:
    """One line for the scorecard: how many values were searched for, in how many places and characters."""
    size = sum(len(text) for text in kept.values())
    print(f"\nT60 searches={len(kept) * len(words)} values={len(words)} places={len(kept)} searched_bytes={size}")


def ledger(platform: RunningPlatform) -> dict[str, str]:
    """Every row of the ledger and of what priced it, byte for byte."""
    with database_of(platform, "commissions") as database:
        return {
            f"{table} {line}": table
            for table in KEPT_LEDGER
            for (line,) in database.rows(f"SELECT t::text FROM {table} t")
        }


def _bytes_in(line: str) -> str:
    """What the bytea columns of a JSON row say: hexadecimal in the dump, text when read."""
    return "".join(bytes.fromhex(digits).decode("utf-8", "replace") for digits in _BYTEA.findall(line))


def _addresses(platform: RunningPlatform) -> dict[str, str]:
    """Where each process listens, by role."""
    addresses: dict[str, str] = json.loads((platform.home / "addresses.json").read_bytes())
    return addresses


def _bootstrap(platform: RunningPlatform) -> str:
    return f"127.0.0.1:{(platform.home / 'kafka' / 'ports').read_text().split()[0]}"


async def _kafka_log(platform: RunningPlatform) -> dict[str, str]:
    """Every record of every topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=_bootstrap(platform), auto_offset_reset="earliest")
    await consumer.start()
    kept = dict.fromkeys((f"log {topic}" for topic in TOPICS), "")
    try:
        places = [TopicPartition(t.name, number) for t in TOPICS.values() for number in range(t.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                kept[f"log {place.topic}"] += "".join(f"{record.key!r} {record.value!r}\n" for record in records)
    finally:
        await consumer.stop()
    return kept


async def _retention_ms(platform: RunningPlatform) -> dict[str, str]:
    """What the broker itself says of each topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=_bootstrap(platform))
    await admin.start()
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in TOPICS]
        (answer,) = await admin.describe_configs(asked)
    finally:
        await admin.close()
    return {name: {c[0]: c[1] for c in configs}["retention.ms"] for _, _, _, name, configs in answer.resources}


def _later(merchant: Merchant, fields: dict[str, str]) -> str:
    return merchant.signed_path(fields, at_seconds=int(time.time()) + LATER_SECONDS)


def _is_empty(platform: RunningPlatform, service: str, table: str) -> bool:
    with database_of(platform, service) as database:
        return database.rows(f"SELECT 1 FROM {table} LIMIT 1") == []


def _has_rows(database: OpenDatabase, query: str, rows: list[tuple[Any, ...]]) -> bool:
    return database.rows(query) == rows


def _is_pending(api: Client, amount: str) -> bool:
    items = api.get("/v1/balance").body["items"]
    return bool(items) and items[0]["pending"]["amount"] == amount


def _is_labelled(api: Client, label: str) -> bool:
    return label in api.get("/v1/commissions").text


def _clicks_of(api: Client) -> int:
    return len(api.get("/v1/clicks").body["items"])


def _is_done(admin: Client, path: str) -> bool:
    return bool(admin.get(path).body["status"] == "done")


def _replay(platform: RunningPlatform) -> None:
    """Let the two readers of clicks.v1 read it from the beginning again, and wait until they have."""
    for service, consumer in (("clicks", "clicks.click_log"), ("conversions", "conversions.click_index")):
        with database_of(platform, service) as database:
            positions = f"SELECT partition, next_offset FROM position WHERE consumer = '{consumer}' ORDER BY 1"
            before = database.rows(positions)
            assert asyncio.run(_reset(platform, service, consumer)) == len(before)
            wait_until(
                partial(_has_rows, database, positions, before),
                REPLAY_SECONDS,
                f"{consumer} has replayed",
            )


async def _reset(platform: RunningPlatform, service: str, consumer: str) -> int:
    url = PostgresServer.at(platform.home).url(login=f"tributary_{service}", database=f"tributary_{service}")
    database = Database(url, role=f"{service}_worker")
    try:
        async with database.transaction() as session:
            return await reset_positions(session, consumer)
    finally:
        await database.close()
