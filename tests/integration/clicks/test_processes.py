"""The clicks processes as they are deployed: redirect, log, links, and what happens when PostgreSQL dies under them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from shared.contracts.catalogue import CatalogueEvent, enrolment_key, offer_key, offer_version_key
from shared.contracts.clicks import CLICKS_DECODER
from shared.contracts.events import encode_event
from shared.contracts.topics import CATALOGUE, TOPICS
from shared.kernel.click_id import ClickFlags, read_click_id, spell_click_id, verify_click_id
from shared.runtime.consumer import Received
from shared.runtime.database import Database
from shared.runtime.event_log.kafka import ensure_topics
from shared.runtime.keyring import Keyring, add_key, create_keyring_file, promote_key
from shared.runtime.principal import PRINCIPAL_HEADER, Principal, PrincipalSigner
from shared.runtime.projection import apply_projection
from tests.conftest import TestKafka, TestPostgres
from tests.factories.clicks import FIREFOX, enrolment_event, offer_events

CATALOGUE_ENTRIES: list[tuple[str, CatalogueEvent]] = [
    (offer_version_key(1, 1), offer_events(1)[0]),
    (offer_key(1), offer_events(1)[1]),
    (enrolment_key(1, 3), enrolment_event(1, 3)),
    (offer_version_key(2, 1), offer_events(2, allowed_hosts=["two.example"])[0]),
    (offer_key(2), offer_events(2)[1]),
    (enrolment_key(2, 3), enrolment_event(2, 3)),
    (enrolment_key(2, 4), enrolment_event(2, 4)),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ClicksHouse:
    """Settings and files of one deployment; `running` starts a process of it."""

    postgres: TestPostgres
    folder: Path
    environment: dict[str, str]

    @property
    def click_keyring(self) -> Path:
        return self.folder / "click-keyring.json"

    @asynccontextmanager
    async def running(self, module: str, **environment: str) -> AsyncIterator[tuple[str, "subprocess.Popen[bytes]"]]:
        """One process and its base URL, ready; stopped by SIGTERM at the end, with exit code 0."""
        port = free_port()
        with (self.folder / f"{module}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**os.environ, **self.environment, **environment, "PORT": str(port)},
                stdout=log,
                stderr=log,
            )
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(process.wait, 25)
        assert code == 0, (self.folder / f"{module}.log").read_text()

    def principal(self, role: Any = "affiliate", affiliate_id: int | None = 3) -> dict[str, str]:
        """The header of a caller that the gateway has let in."""
        signer = PrincipalSigner(Keyring.load(self.folder / "principal-keyring.json"))
        caller = Principal(role, "k", None, affiliate_id if role == "affiliate" else None, "203.0.113.9", "request-1")
        return {PRINCIPAL_HEADER: signer.sign(caller, audience="clicks", now=datetime.now(UTC))}

    async def publish(self, *entries: tuple[str, CatalogueEvent]) -> None:
        """Put catalogue entries where the consumer would."""
        database = Database(self.postgres.url("clicks"), role="clicks_worker")
        offset = time.time_ns()
        async with database.transaction() as session:
            batch = [
                Received(CATALOGUE, 0, offset + number, key.encode(), encode_event(event))
                for number, (key, event) in enumerate(entries)
            ]
            await apply_projection(session, batch)
        await database.close()

    async def recorded(self) -> set[str]:
        """Click IDs in the outbox."""
        connection = await asyncpg.connect(self.postgres.admin_url("tributary_clicks"))
        rows = await connection.fetch("SELECT payload FROM outbox")
        await connection.close()
        return {CLICKS_DECODER.decode(row["payload"]).click_id for row in rows}

    async def logged(self) -> set[str]:
        """Click IDs in the click log."""
        connection = await asyncpg.connect(self.postgres.admin_url("tributary_clicks"))
        rows = await connection.fetch("SELECT click_id FROM click")
        await connection.close()
        return {spell_click_id(row["click_id"]) for row in rows}


@pytest.fixture(scope="module")
def postgres(mortal_postgres: TestPostgres) -> TestPostgres:
    """A server of this module's own, since its tests kill it."""
    return mortal_postgres


@pytest.fixture
async def house(postgres: TestPostgres, tmp_path: Path) -> ClicksHouse:
    url = postgres.migrate("clicks")
    postgres.migrate("conversions")  # whose erasures clicks follows
    for name in ("click-keyring.json", "principal-keyring.json"):
        create_keyring_file(tmp_path / name)
    (tmp_path / "privacy-key").write_text("p" * 64)
    connection = await asyncpg.connect(postgres.admin_url("tributary_clicks"))
    await connection.execute("TRUNCATE click, outbox, outbox_head, position, projection_entry")
    await connection.close()
    house = ClicksHouse(
        postgres,
        tmp_path,
        {
            "TRIBUTARY_ENV": "test",
            "BROKER": "embedded",
            "LOG_ID": "embedded",
            "DATABASE_URL_CLICKS": url,
            "DATABASE_URL_GATEWAY": postgres.url("clicks", database_of="gateway"),
            "DATABASE_URL_CONVERSIONS": postgres.url("clicks", database_of="conversions"),
            "CLICK_KEYRING_FILE": str(tmp_path / "click-keyring.json"),
            "PRINCIPAL_KEYRING_FILE": str(tmp_path / "principal-keyring.json"),
            "PRIVACY_KEY_FILE": str(tmp_path / "privacy-key"),
            "PUBLIC_URL": "https://track.example",
        },
    )
    await house.publish(*CATALOGUE_ENTRIES)
    return house


async def until_ready(client: httpx.AsyncClient, *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


def client_of(base_url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, headers={"user-agent": FIREFOX}, timeout=20)


def click_id_of(answer: httpx.Response) -> str:
    assert answer.status_code == 302, answer.text
    return parse_qs(urlsplit(answer.headers["location"]).query)["click_id"][0]


async def test_every_redirect_answered_is_recorded_though_postgresql_is_killed_under_load(house: ClicksHouse) -> None:
    answered: list[str] = []
    stopping = asyncio.Event()

    async def shopper(client: httpx.AsyncClient, number: int) -> None:
        while not stopping.is_set():
            answered.append(click_id_of(await client.get(f"/c/1/3?sub1={number}")))

    async with house.running("services.clicks.main") as (base_url, _), client_of(base_url) as client:
        await until_ready(client)
        shoppers = [asyncio.create_task(shopper(client, number)) for number in range(16)]
        await asyncio.sleep(0.7)
        await asyncio.to_thread(house.postgres.kill_only)
        before = len(answered)
        await asyncio.sleep(0.7)
        while_down = len(answered) - before
        await asyncio.to_thread(house.postgres.restart)
        await asyncio.sleep(0.7)
        stopping.set()
        await asyncio.gather(*shoppers)

    assert while_down > 0
    assert len(set(answered)) == len(answered) > 100
    assert set(answered) - await house.recorded() == set()


async def test_clicks_buffered_while_postgresql_is_down_are_written_at_the_stop(house: ClicksHouse) -> None:
    async with house.running("services.clicks.main") as (base_url, process), client_of(base_url) as client:
        await until_ready(client)
        await asyncio.to_thread(house.postgres.kill_only)
        answered = [click_id_of(await client.get("/c/1/3")) for _ in range(3)]
        metrics = (await client.get("/metrics")).text
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(house.postgres.restart)

    assert "tributary_clicks_buffered_clicks 3.0" in metrics
    assert set(answered) <= await house.recorded()


async def test_not_ready_until_the_catalogue_is_there_and_then_independent_of_postgresql(house: ClicksHouse) -> None:
    await asyncio.to_thread(house.postgres.kill_only)
    try:
        async with house.running("services.clicks.main") as (base_url, _), client_of(base_url) as client:
            async with asyncio.timeout(20):
                while True:
                    try:
                        answer = await client.get("/readyz")
                        break
                    except httpx.TransportError:
                        await asyncio.sleep(0.05)
            await asyncio.to_thread(house.postgres.restart)
            await until_ready(client)
            await asyncio.to_thread(house.postgres.kill_only)
            click_id_of(await client.get("/c/1/3"))
            still = await client.get("/readyz")
            await asyncio.to_thread(house.postgres.restart)
    finally:
        await asyncio.to_thread(house.postgres.restart)

    assert (answer.status_code, answer.json()["problems"]) == (
        503,
        {"catalogue": "the stored projection has not been read yet"},
    )
    assert still.status_code == 200


async def test_a_click_gets_into_the_affiliates_list(house: ClicksHouse) -> None:
    async with (
        house.running("services.clicks.main") as (base_url, _),
        house.running("services.clicks.worker") as _,
        client_of(base_url) as client,
    ):
        await until_ready(client)
        person = click_id_of(await client.get("/c/1/3?sub1=a"))
        robot = click_id_of(await client.get("/c/1/3?sub1=b", headers={"user-agent": "Googlebot/2.1"}))
        click_id_of(await client.get("/c/2/4?sub1=c"))

        async with asyncio.timeout(60):
            while len((await client.get("/v1/clicks", headers=house.principal())).json()["items"]) < 2:
                await asyncio.sleep(0.05)
        answer = (await client.get("/v1/clicks", headers=house.principal())).json()
        first = (await client.get("/v1/clicks?limit=1", headers=house.principal())).json()
        rest = (await client.get(f"/v1/clicks?cursor={first['next_cursor']}", headers=house.principal())).json()
        by_sub = (await client.get("/v1/clicks?sub1=a&offer_id=1", headers=house.principal())).json()
        theirs = (await client.get("/v1/clicks", headers=house.principal(affiliate_id=4))).json()
        everybody = (await client.get("/v1/clicks", headers=house.principal("admin"))).json()
        one = (await client.get("/v1/clicks?affiliate_id=4", headers=house.principal("finance"))).json()
        refused = [
            (await client.get("/v1/clicks" + query, headers=headers)).status_code
            for query, headers in (
                ("", {}),
                ("", {PRINCIPAL_HEADER: "x"}),
                ("?cursor=x", house.principal()),
                ("?from=yesterday", house.principal()),
                ("?affiliate_id=4", house.principal()),
                ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", house.principal()),
            )
        ]

    assert [item["click_id"] for item in answer["items"]] == [robot, person]
    assert (answer["items"][0]["flags"], answer["items"][0]["is_robot"]) == (["robot"], True)
    assert (answer["items"][1]["flags"], answer["items"][1]["subs"]) == ([], {"sub1": "a"})
    assert [item["click_id"] for item in first["items"] + rest["items"]] == [robot, person]
    assert [item["click_id"] for item in by_sub["items"]] == [person]
    assert [item["affiliate_id"] for item in theirs["items"]] == [4]
    assert len(everybody["items"]) == 3
    assert [item["affiliate_id"] for item in one["items"]] == [4]
    assert refused == [401, 401, 422, 422, 404, 422]


async def test_links_are_ready_to_publish(house: ClicksHouse) -> None:
    async with house.running("services.clicks.main") as (base_url, _), client_of(base_url) as client:
        await until_ready(client)
        links = (await client.get("/v1/links?sub1=a%26b&source=mail", headers=house.principal())).json()["items"]
        target = "/v1/links?url=https%3A%2F%2Ftwo.example%2Fshoe%3Fa%3Db"
        deep = (await client.get(target, headers=house.principal())).json()["items"]
        foreign = await client.get("/v1/links?url=https://evil.example/", headers=house.principal())
        page = (await client.get("/v1/links?limit=1", headers=house.principal())).json()
        rest = (await client.get(f"/v1/links?cursor={page['next_cursor']}", headers=house.principal())).json()
        one = (await client.get("/v1/links?offer_id=2", headers=house.principal(affiliate_id=4))).json()["items"]
        admin = await client.get("/v1/links", headers=house.principal("admin"))
        path = links[0]["url"].removeprefix("https://track.example")
        answer = await client.get(path)

    assert [link["url"] for link in links] == [
        "https://track.example/c/1/3?sub1=a%26b&source=mail",
        "https://track.example/c/2/3?sub1=a%26b&source=mail",
    ]
    assert links[0]["deep_link_hosts"] == ["shop.example", "www.shop.example"]
    assert [link["url"] for link in deep] == [
        "https://track.example/c/2/3?url=https%3A%2F%2Ftwo.example%2Fshoe%3Fa%3Db"
    ]
    assert foreign.status_code == 422
    assert [(error["field"], error["code"]) for error in foreign.json()["errors"]] == [("url", "url_host_not_allowed")]
    assert [link["offer_id"] for link in page["items"] + rest["items"]] == [1, 2]
    assert [link["offer_id"] for link in one] == [2]
    assert admin.status_code == 403
    click_id_of(answer)


async def test_catalogue_changes_and_key_rotation_reach_the_running_redirect(house: ClicksHouse) -> None:
    async with house.running("services.clicks.main") as (base_url, _), client_of(base_url) as client:
        await until_ready(client)
        before = read_click_id(click_id_of(await client.get("/c/1/3")))
        await house.publish((offer_key(1), offer_events(1, status="paused")[1]))
        promote_key(house.click_keyring, add_key(house.click_keyring))
        async with asyncio.timeout(10):
            after = before
            while after[0] != 2:
                await asyncio.sleep(0.1)
                after = read_click_id(click_id_of(await client.get("/c/1/3")))

    secrets = Keyring.load(house.click_keyring).verification_secrets(datetime.now(UTC))
    assert before[0] == 1
    assert verify_click_id(before, secrets).flags == ClickFlags.NONE
    assert ClickFlags.INACTIVE in verify_click_id(after, secrets).flags


@pytest.mark.kafka
async def test_with_kafka_every_redirect_is_in_the_log_though_the_broker_is_killed_under_load(
    house: ClicksHouse, kafka: TestKafka
) -> None:
    await ensure_topics(kafka.bootstrap_servers, TOPICS)
    house.environment |= {
        "BROKER": "kafka",
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "LOG_ID": kafka.log_id,
    }
    answered: list[str] = []
    slowest_seconds = 0.0
    stopping = asyncio.Event()

    async def shopper(client: httpx.AsyncClient) -> None:
        nonlocal slowest_seconds
        while not stopping.is_set():
            answer = await client.get("/c/1/3")
            slowest_seconds = max(slowest_seconds, answer.elapsed.total_seconds())
            answered.append(click_id_of(answer))

    async with (
        house.running("services.clicks.main") as (base_url, _),
        house.running("services.clicks.worker") as _,
        client_of(base_url) as client,
    ):
        await until_ready(client)
        shoppers = [asyncio.create_task(shopper(client)) for _ in range(8)]
        await asyncio.sleep(1.5)
        await asyncio.to_thread(kafka.kill_only)
        before = len(answered)
        await asyncio.sleep(4)
        while_down = len(answered) - before
        in_outbox = await house.recorded()
        await asyncio.to_thread(kafka.restart)
        await asyncio.sleep(1)
        stopping.set()
        await asyncio.gather(*shoppers)
        async with asyncio.timeout(40):
            while missing := set(answered) - await house.logged():
                await asyncio.sleep(0.2)

    assert not missing
    assert while_down > 100
    assert len(in_outbox) > 100
    assert slowest_seconds < 4.5
