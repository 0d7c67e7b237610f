"""T55: each privileged write and each denial has exactly one entry, also where the gateway is stopped in between; and
whoever changes an entry is refused, or found. The chains are recomputed here, by a spelling of this module's own."""

import asyncio
import hashlib
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx

from deploy.local.roles import SERVICES
from tests.e2e.client import Answer, Client
from tests.e2e.network import Network, offer_content
from tests.faults.bench import Bench
from tests.faults.load import until
from tests.faults.scorecard import Measured, scorecard_row
from tests.faults.staged_platform import StagedPlatform

ROUNDS: Final = {"P": 15, "N": 150}
BURST: Final = 20
"""The last of these are a few milliseconds old when the gateway is told to stop."""

SETTLE_SECONDS: Final = 20.0
FIELDS: Final = (
    "number", "occurred_at", "role", "key_id", "merchant_id", "affiliate_id", "action", "object_type", "object_id",
    "before_hash", "after_hash", "request_id", "outcome", "code", "occurrences",
)  # fmt: skip
CHANGES: Final = (
    "UPDATE audit_entry SET role = 'finance'",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry",
    "DELETE FROM audit_head",
)

Send = tuple[str, int, Callable[[], Answer]]
"""What it is (done, denied, or none where no entry belongs), the status it must get, and the request."""


@scorecard_row("T55", "audit log", tiers=("P", "N"))
async def audit_log(bench: Bench) -> Measured:
    """Writes, repetitions, denials and mistakes at every service, a stop of the gateway among them, then tampering."""
    platform = await bench.platform()
    sends = await asyncio.to_thread(_prepare, platform)
    expected: dict[str, str] = {}
    for number in range(ROUNDS[bench.tier]):
        for outcome, answer in await asyncio.gather(*(asyncio.to_thread(_sent, *send) for send in sends)):
            expected[answer.headers["X-Request-Id"]] = outcome
        if number == 0:
            bench.say("stopping the gateway with denials just noted")
            denial = next(send for send in sends if send[1] == 403)
            for _ in range(BURST):
                outcome, answer = await asyncio.to_thread(_sent, *denial)
                expected[answer.headers["X-Request-Id"]] = outcome
            old = platform.send_signal("gateway-api", signal.SIGTERM)
            await platform.until_back("gateway-api", old)
            await until(lambda: asyncio.to_thread(_serves, platform), SETTLE_SECONDS)
    bench.say("counting entries and recomputing the chains")
    await until(lambda: _all_there(platform, expected), SETTLE_SECONDS)
    found = await _entries(platform, expected)
    wrong = [
        f"{outcome}: {len(found.get(request_id, []))} entries, {found.get(request_id)}"
        for request_id, outcome in expected.items()
        if found.get(request_id, []) != ([] if outcome == "none" else [outcome])
    ]
    chains = [await _chain(platform, service) for service in SERVICES]
    unbroken = [
        f"the chain of {service} breaks at {bad}" for service, (_, bad) in zip(SERVICES, chains, strict=True) if bad
    ]
    refused, is_found = await _tamper(platform)
    rules = {
        "a superuser's change of the chain was not refused": refused < len(CHANGES),
        "an entry edited with the triggers off was not found": not is_found,
    }
    broken = wrong[:5] + unbroken + [what for what, holds in rules.items() if holds]
    kinds = list(expected.values())
    figures = {
        "writes": kinds.count("done"),
        "denials": kinds.count("denied"),
        "without_entry": kinds.count("none"),
        "miscounted": len(wrong),
        "chained_entries": sum(length for length, _ in chains),
        "changes_refused": refused,
    }
    return Measured(len(expected), figures, broken, note="N: requests, every one with its request id")


def _prepare(platform: StagedPlatform) -> list[Send]:
    network = Network(platform)
    merchant, other, affiliate = network.merchant(), network.merchant(), network.affiliate()
    offer_id, ended_id = network.offer(merchant), network.offer(merchant)
    network.made(f"/v1/offers/{ended_id}/end")
    finance = network.finance
    url = platform.public_url
    stranger = Client(url, f"trb_admin_abcdefgh_{'x' * 32}")
    credentials = f"/v1/merchants/{merchant.merchant_id}/postback-credentials"
    repeated = {"Idempotency-Key": uuid4().hex, "Content-Type": "application/json"}
    network.admin.send("POST", "/v1/merchants", b'{"name": "M"}', repeated)

    def credential() -> Answer:
        """Issued and withdrawn, so that the merchant's number of them does not run out; the withdrawal counts."""
        made = merchant.api.post(credentials, {"kind": "token"})
        return merchant.api.send("DELETE", f"{credentials}/{made.body['id']}")

    return [
        ("done", 201, lambda: network.admin.post("/v1/merchants", {"name": "M"})),
        ("done", 200, lambda: network.admin.post(f"/v1/offers/{offer_id}/pause")),
        ("done", 201, lambda: network.admin.post(f"/v1/offers/{offer_id}/versions", offer_content())),
        ("done", 204, credential),
        ("none", 201, lambda: network.admin.send("POST", "/v1/merchants", b'{"name": "M"}', repeated)),
        ("none", 422, lambda: network.admin.post("/v1/merchants", {"name": 7})),
        ("none", 404, lambda: merchant.api.get("/v1/offers/2000000000")),
        ("denied", 401, lambda: stranger.get("/v1/me")),
        ("denied", 403, lambda: finance.post("/v1/merchants", {"name": "M"})),
        ("denied", 403, lambda: affiliate.api.get("/v1/ledger")),
        ("denied", 409, lambda: network.admin.post(f"/v1/offers/{ended_id}/resume")),
        ("denied", 404, lambda: other.api.get(f"/v1/offers/{offer_id}")),
        ("denied", 404, lambda: other.api.post(credentials, {"kind": "token"})),
        ("denied", 404, lambda: affiliate.api.get("/v1/clicks", affiliate_id=2_000_000_000)),
        ("denied", 404, lambda: affiliate.api.get("/v1/balance", merchant_id=merchant.merchant_id)),
    ]


def _sent(outcome: str, status: int, send: Callable[[], Answer]) -> tuple[str, Answer]:
    answer = send()
    assert answer.status == status, f"{outcome}: {answer.status} instead of {status}: {answer.text}"
    return outcome, answer


def _serves(platform: StagedPlatform) -> bool:
    try:
        return Client(platform.public_url).get("/readyz").status == 200
    except httpx.TransportError:
        return False


async def _all_there(platform: StagedPlatform, expected: dict[str, str]) -> bool:
    owed = sum(outcome != "none" for outcome in expected.values())
    return sum(map(len, (await _entries(platform, expected)).values())) >= owed


async def _entries(platform: StagedPlatform, expected: dict[str, str]) -> dict[str, list[str]]:
    """The outcomes entered for each request, in all four chains together."""
    found: dict[str, list[str]] = {}
    for service in SERVICES:
        async with platform.database(service) as database:
            for row in await database.fetch(
                "SELECT request_id, outcome FROM audit_entry WHERE request_id = ANY($1)", list(expected)
            ):
                found.setdefault(row["request_id"], []).append(row["outcome"])
    return found


async def _chain(platform: StagedPlatform, service: str) -> tuple[int, int | None]:
    """How long a chain is, and the first number that is not what its hash says; None for a whole one."""
    async with platform.database(service) as database:
        rows = await database.fetch("SELECT * FROM audit_entry ORDER BY number")
        head = await database.fetchrow("SELECT * FROM audit_head")
    before = bytes(32)
    for place, row in enumerate(rows, start=1):
        spelt = ",".join(_spelt(row)).encode()
        if (row["number"], row["previous_hash"]) != (place, before) or row["hash"] != hashlib.sha256(
            before + spelt
        ).digest():
            return len(rows), place
        before = row["hash"]
    return len(rows), None if (head["number"], head["hash"]) == (len(rows), before) else len(rows) + 1


def _spelt(row: Any) -> Iterator[str]:
    for name in FIELDS:
        value = row[name]
        if isinstance(value, datetime):
            since = value - datetime(1970, 1, 1, tzinfo=UTC)
            value = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        text = value.hex() if isinstance(value, bytes) else value
        yield "-" if text is None else f"{len(str(text).encode())}:{text}"


async def _tamper(platform: StagedPlatform) -> tuple[int, bool]:
    """How many of a superuser's changes are refused; and whether one made with the triggers off is found."""
    refused = 0
    async with platform.database("gateway") as database:
        for change in CHANGES:
            try:
                await database.execute(change)
            except asyncpg.InsufficientPrivilegeError:
                refused += 1
        await database.execute("SET session_replication_role = replica")
        await database.execute("UPDATE audit_entry SET action = action || ' ' WHERE number = 3")
        _, bad = await _chain(platform, "gateway")
        await database.execute("UPDATE audit_entry SET action = trim(action) WHERE number = 3")
    return refused, bad == 3
