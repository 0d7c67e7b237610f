"""I5: the commissions consumer replays its topics from the beginning, and the ledger does not change by a byte."""

import asyncio

import pytest

from deploy.local.postgres import PostgresServer
from shared.runtime.database import Database
from shared.runtime.event_log import reset_positions
from tests.e2e.client import click_id_in
from tests.e2e.database import LEDGER_TABLES, OpenDatabase, database_of
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

REPLAY_SECONDS = 120.0
ORDERS = 20


@pytest.mark.timeout(300)
def test_replaying_every_event_leaves_the_ledger_byte_for_byte(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    for number in range(ORDERS):
        click_id = click_id_in(network.shopper.click(link).location)
        order = {"order_id": f"replay-{number}", "amount": "10.00", "currency": "EUR"}
        assert merchant.postback(click_id=click_id, **order).status == 201
    assert merchant.postback(order_id="replay-0", adjustment_id="r", amount="4.00", currency="EUR").status == 201
    wait_until(lambda: _pending(network, affiliate.affiliate_id) == "19.60", SETTLE_SECONDS, "all is credited")

    with database_of(platform, "commissions") as commissions:
        wait_until(lambda: _is_quiet(commissions), SETTLE_SECONDS, "nothing more is coming")
        before = commissions.sha256_of(*LEDGER_TABLES)
        positions = _positions(commissions)
        assert positions, "the consumer has stored positions"

        assert _reset(platform) >= len(positions)
        platform.kill9("commissions-worker")
        wait_until(lambda: _positions(commissions) == positions, REPLAY_SECONDS, "everything has been replayed")

        assert commissions.sha256_of(*LEDGER_TABLES) == before
    assert _pending(network, affiliate.affiliate_id) == "19.60"


def _reset(platform: RunningPlatform) -> int:
    """Send the consumer back to the beginning with the runtime's own tool; gives in how many partitions."""

    async def reset() -> int:
        server = PostgresServer.at(platform.home)
        url = server.url(login="tributary_commissions", database="tributary_commissions")
        database = Database(url, role="commissions_worker")
        try:
            async with database.transaction() as session:
                return await reset_positions(session, "commissions.conversions")
        finally:
            await database.close()

    with asyncio.Runner() as runner:
        return runner.run(reset())


def _pending(network: Network, affiliate_id: int) -> str:
    items = network.finance.get("/v1/balance", affiliate_id=affiliate_id).body["items"]
    return str(items[0]["pending"]["amount"]) if items else "0.00"


def _positions(commissions: OpenDatabase) -> dict[object, object]:
    rows = commissions.rows("SELECT consumer, partition, next_offset FROM position WHERE topic = 'conversions.v1'")
    return {(consumer, partition): offset for consumer, partition, offset in rows if offset}


def _is_quiet(commissions: OpenDatabase) -> bool:
    """True when two looks in a row see the same positions and the same number of ledger entries."""
    count = "SELECT count(*) FROM ledger_entry"
    before = (_positions(commissions), commissions.rows(count))
    commissions.execute("SELECT pg_sleep(1)")
    return before == (_positions(commissions), commissions.rows(count))
