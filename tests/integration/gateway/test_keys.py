"""API keys: issued once, rotated with an overlap, revoked at once, stored as hashes; and who may stand at the door."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from shared.runtime.database_timeout import STATEMENT_TIMEOUT_MS
from tests.conftest import TestPostgres
from tests.integration.gateway.conftest import ADMIN_KEY, GatewayClient, Network, gateway, settings_for


async def test_a_key_tells_who_it_speaks_for(admin: GatewayClient, network: Network) -> None:
    me = await network.merchant.get("/v1/me")

    assert (me["role"], me["merchant_id"], me["affiliate_id"]) == ("merchant", network.merchant_id, None)
    by_header = await admin.as_key(None).call("GET", "/v1/me", X_API_Key=str(network.merchant.key))
    assert by_header.json() == me


async def test_only_a_hash_of_a_key_is_stored(admin: GatewayClient, connection: "asyncpg.Connection") -> None:
    issued = await admin.post("/v1/keys", {"role": "finance"}, Idempotency_Key="one-secret")

    for table in ("api_key", "idempotency_record", "outbox"):
        rows = await connection.fetch(f"SELECT {table}::text AS whole FROM {table}")
        assert not [row for row in rows if issued["key"][-32:] in row["whole"]]
    shown = await admin.get(f"/v1/keys/{issued['id']}")
    assert "key" not in shown
    assert issued["key"] not in str(await admin.get("/v1/keys?limit=200"))


async def test_an_issued_secret_is_not_given_twice(admin: GatewayClient) -> None:
    await admin.post("/v1/keys", {"role": "finance"}, Idempotency_Key="secret-once")

    again = await admin.post("/v1/keys", {"role": "finance"}, expect=409, Idempotency_Key="secret-once")

    assert again["code"] == "idempotent_response_unavailable"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "merchant"}, "merchant_id"),
        ({"role": "affiliate"}, "affiliate_id"),
        ({"role": "finance", "merchant_id": 1}, "merchant_id"),
        ({"role": "merchant", "merchant_id": 2_000_000_000}, "merchant_id"),
        ({"role": "root"}, "role"),
        ({"role": "admin", "key_id": "aaaaaaaa"}, "key_id"),
    ],
)
async def test_a_key_that_fits_no_role_is_refused(admin: GatewayClient, body: dict[str, object], field: str) -> None:
    answer = await admin.post("/v1/keys", body, expect=422)

    assert answer["errors"][0]["field"] == field


async def test_both_keys_open_during_a_rotation(admin: GatewayClient, network: Network) -> None:
    old = network.merchant
    old_id = (await old.get("/v1/me"))["key_id"]

    rotated = await admin.post(f"/v1/keys/{old_id}/rotate")

    assert rotated["replaces"] == old_id
    assert (await admin.as_key(rotated["key"]).get("/v1/me"))["merchant_id"] == network.merchant_id
    await old.get("/v1/me")
    assert (await admin.get(f"/v1/keys/{old_id}"))["expires_at"] == rotated["old_key_expires_at"]
    assert (await admin.post(f"/v1/keys/{old_id}/rotate", expect=409))["code"] == "key_not_current"


async def test_a_rotated_key_stops_after_24_hours(
    postgres: TestPostgres, gateway_folder: Path, tmp_path: Path, network: Network
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    async with gateway(settings_for(postgres, gateway_folder, clock_file=clock)) as admin:
        old = admin.as_key(network.merchant.key)
        key_id = (await old.get("/v1/me"))["key_id"]
        new = admin.as_key((await admin.post(f"/v1/keys/{key_id}/rotate"))["key"])

        clock.write_text(f"+{24 * 3600 - 60}")
        await old.get("/v1/me")
        clock.write_text(f"+{24 * 3600 + 1}")

        await old.get("/v1/me", expect=401)
        await new.get("/v1/me")


async def test_a_revoked_key_stops_at_once(admin: GatewayClient, network: Network) -> None:
    key_id = (await network.affiliate.get("/v1/me"))["key_id"]

    revoked = await admin.call("DELETE", f"/v1/keys/{key_id}")

    assert revoked.json()["revoked_at"]
    await network.affiliate.get("/v1/me", expect=401)
    assert (await admin.call("DELETE", f"/v1/keys/{key_id}")).json() == revoked.json()


async def test_a_revocation_elsewhere_is_noticed_within_a_second(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    key_id = (await network.finance.get("/v1/me"))["key_id"]

    await connection.execute("UPDATE api_key SET revoked_at = now() WHERE key_id = $1", key_id)
    await asyncio.sleep(1.1)

    await network.finance.get("/v1/me", expect=401)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {ADMIN_KEY[:-1]}"},
        {"Authorization": f"Bearer {ADMIN_KEY[:-1]}{'a' if ADMIN_KEY[-1] != 'a' else 'b'}"},
        {"Authorization": f"Bearer {ADMIN_KEY.upper()}"},
        {"Authorization": f"Basic {ADMIN_KEY}"},
        {"Authorization": "Bearer trb_admin_aaaaaaaa_" + "a" * 32},
        {"Authorization": f"Bearer {ADMIN_KEY}", "X-API-Key": ADMIN_KEY},
        {"Authorization": "Bearer " + "x" * 5_000},
        {"Tributary-Principal": "eyJhbGciOiJub25lIn0.e30."},
        {"X-Merchant-Id": "1", "X-Tenant": "1"},
    ],
)
async def test_every_wrong_key_gets_the_same_401(
    postgres: TestPostgres, gateway_folder: Path, headers: dict[str, str]
) -> None:
    async with gateway(settings_for(postgres, gateway_folder)) as admin:
        answer = await admin.as_key(None).call("GET", "/v1/me", **headers)

        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (answer.json()["code"], answer.json()["detail"]) == ("unauthenticated", "A valid API key is needed.")


async def test_guessing_is_slowed_down_and_good_keys_in_use_are_not(postgres: TestPostgres, tmp_path: Path) -> None:
    async with gateway(
        settings_for(postgres, tmp_path, limit_failure_burst=10, limit_failure_per_second=0.001)
    ) as admin:
        await admin.get("/v1/me")
        guesser = admin.as_key("trb_admin_aaaaaaaa_" + "a" * 32)

        statuses = [(await guesser.call("GET", "/v1/me")).status_code for _ in range(13)]

        assert statuses == [401] * 10 + [429] * 3
        await asyncio.sleep(1.1)
        await admin.get("/v1/me")


async def test_a_new_key_opens_behind_an_address_that_guesses(postgres: TestPostgres, tmp_path: Path) -> None:
    async with gateway(
        settings_for(postgres, tmp_path, limit_failure_burst=10, limit_failure_per_second=0.001)
    ) as admin:
        new = (await admin.post("/v1/keys", {"role": "finance"}))["key"]
        other = (await admin.post("/v1/keys", {"role": "finance"}))["key"]
        unknown_id = "trb_finance_aaaaaaaa_" + "a" * 32
        wrong_secret = other[:-32] + ("b" * 32 if other[-1] != "b" else "c" * 32)
        for _ in range(11):
            await admin.as_key(unknown_id).call("GET", "/v1/me")

        refused = [
            await admin.as_key(spelling).call("GET", "/v1/me") for spelling in (unknown_id, wrong_secret, "nonsense")
        ]
        assert [answer.status_code for answer in refused] == [429] * 3
        texts = [{**answer.json(), "request_id": ""} for answer in refused]
        assert texts[0] == texts[1] == texts[2], "what is refused must not tell which ids exist"
        await admin.as_key(new).get("/v1/me")


async def test_secrets_of_one_key_are_not_guessed_from_a_bad_address(postgres: TestPostgres, tmp_path: Path) -> None:
    async with gateway(
        settings_for(postgres, tmp_path, limit_failure_burst=10, limit_failure_per_second=0.001)
    ) as admin:
        key = (await admin.post("/v1/keys", {"role": "finance"}))["key"]
        for guess in range(25):
            await admin.as_key(f"{key[:-32]}{guess:032d}".replace("0", "a").replace("1", "b")).call("GET", "/v1/me")

        right = await admin.as_key(key).call("GET", "/v1/me")

    assert right.status_code == 429, "after so many wrong secrets the right one is no better than a guess"


async def test_a_flood_of_guesses_costs_one_look_at_a_time(postgres: TestPostgres, tmp_path: Path) -> None:
    async with gateway(
        settings_for(postgres, tmp_path, limit_failure_burst=10, limit_failure_per_second=0.001)
    ) as admin:
        new = (await admin.post("/v1/keys", {"role": "finance"}))["key"]

        async def guess(number: int) -> int:
            spelling = f"trb_finance_{number:08d}_{'a' * 32}".replace("1", "z").replace("0", "y")
            return (await admin.as_key(spelling).call("GET", "/v1/me")).status_code

        answers, good = await asyncio.gather(
            asyncio.gather(*(guess(number) for number in range(300))), admin.as_key(new).call("GET", "/v1/me")
        )

    assert good.status_code == 200
    assert sum(status == 401 for status in answers) <= 10 + 2, "each guess counts before it is tried"


async def test_known_keys_open_while_the_database_is_away(
    postgres: TestPostgres, gateway_folder: Path, connection: "asyncpg.Connection"
) -> None:
    async with gateway(settings_for(postgres, gateway_folder)) as admin:
        stranger = admin.as_key((await admin.post("/v1/keys", {"role": "finance"}))["key"])
        await connection.execute("ALTER ROLE tributary_gateway NOLOGIN")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gateway-intake'"
        )
        try:
            await asyncio.sleep(1.1)

            assert (await admin.get("/v1/me"))["role"] == "admin"
            refused = await stranger.call("GET", "/v1/me")
            assert (refused.status_code, refused.json()["code"]) == (503, "keys_unavailable")
            assert int(refused.headers["retry-after"]) >= 1
        finally:
            await connection.execute("ALTER ROLE tributary_gateway LOGIN")


async def test_known_keys_open_while_the_database_hangs_and_nobody_waits_for_ever(
    postgres: TestPostgres, gateway_folder: Path, connection: "asyncpg.Connection"
) -> None:
    """A database that accepts a statement and does not answer it: here it waits for a lock, longer than anybody may."""
    async with gateway(settings_for(postgres, gateway_folder)) as admin:
        stranger = admin.as_key((await admin.post("/v1/keys", {"role": "finance"}))["key"])
        async with connection.transaction():
            await connection.execute("LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(1.1)
            async with asyncio.timeout(STATEMENT_TIMEOUT_MS / 1000 / 2):
                refused = await stranger.call("GET", "/v1/me")
                known = await admin.call("GET", "/v1/merchants")

        assert (refused.status_code, refused.json()["code"]) == (503, "keys_unavailable")
        assert known.status_code == 200


async def test_the_bootstrap_key_is_taken_once(
    postgres: TestPostgres, gateway_folder: Path, tmp_path: Path, admin: GatewayClient
) -> None:
    another = tmp_path / "another"
    another.write_text("trb_admin_" + "b" * 8 + "_" + "b" * 32)

    async with gateway(settings_for(postgres, gateway_folder, bootstrap_admin_key_file=another)) as second:
        await second.get("/v1/me")
        await second.as_key(another.read_text()).get("/v1/me", expect=401)
