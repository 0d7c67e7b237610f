"""I6: with clicks.v1 cut off from conversions, postbacks are credited by the click ID alone; sub IDs come later."""

from tests.e2e.client import click_id_in
from tests.e2e.database import database_of
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until


def test_a_click_nobody_has_heard_of_is_credited_and_gets_its_sub_ids_later(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    with database_of(platform, "conversions") as sabotage:
        # Whoever holds the positions keeps every consumer of conversions from committing anything.
        sabotage.execute("BEGIN")
        sabotage.execute("LOCK TABLE position IN EXCLUSIVE MODE")
        try:
            click_id = click_id_in(network.shopper.click(link, sub1="evening").location)
            reported = merchant.postback(click_id=click_id, order_id="cut-off", amount="30.00", currency="EUR")
            assert (reported.status, reported.body["status"]) == (201, "pending")
            wait_until(lambda: _pending(network, affiliate.affiliate_id) == "3.00", SETTLE_SECONDS, "it is credited")
            (conversion,) = affiliate.api.get("/v1/conversions").body["items"]
            assert conversion["subs"] == {}
        finally:
            sabotage.execute("ROLLBACK")

    def sub_ids() -> dict[str, str]:
        (conversion,) = affiliate.api.get("/v1/conversions").body["items"]
        return dict(conversion["subs"])

    wait_until(lambda: sub_ids() == {"sub1": "evening"}, 2 * SETTLE_SECONDS, "the sub IDs have come")
    wait_until(lambda: _is_caught_up(platform), SETTLE_SECONDS, "commissions has seen the new version")
    assert _pending(network, affiliate.affiliate_id) == "3.00"
    (commission,) = affiliate.api.get("/v1/commissions").body["items"]
    trail = affiliate.api.get(f"/v1/commissions/{commission['id']}/trail").body
    assert [posting["kind"] for posting in trail["postings"]] == ["accrual"]


def _pending(network: Network, affiliate_id: int) -> str:
    items = network.finance.get("/v1/balance", affiliate_id=affiliate_id).body["items"]
    return str(items[0]["pending"]["amount"]) if items else "0.00"


def _is_caught_up(platform: RunningPlatform) -> bool:
    """True when commissions has handled as many conversion events as conversions has written."""
    with database_of(platform, "conversions") as conversions, database_of(platform, "commissions") as commissions:
        ((written,),) = conversions.rows("SELECT count(*) FROM outbox WHERE topic = 'conversions.v1'")
        ((read,),) = commissions.rows("SELECT sum(next_offset) FROM position WHERE topic = 'conversions.v1'")
    return bool(read is not None and read >= written)
