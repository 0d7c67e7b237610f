"""Every process exports what the catalogue says and nothing else; what happens to money can be read from it."""

import pytest

from deploy.local.roles import ROLES, Role
from deploy.observability.catalogue import exported_series
from tests.e2e.client import click_id_in
from tests.e2e.metrics import scrape, value_of
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

EVERY_PROCESS = {
    "tributary_build_info",
    "tributary_database_in_use_connections",
    "tributary_database_limit_connections",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
}
EVERY_WORKER = {
    "tributary_outbox_pending_records",
    "tributary_outbox_parked_records",
    "tributary_outbox_oldest_pending_seconds",
}
EVERY_CONSUMING_WORKER = {
    "tributary_consumer_lag_records",
    "tributary_consumer_lag_seconds",
    "tributary_dead_letters_open_records",
    "tributary_event_log_reachable_flag",
}
OWN = {
    "clicks-api": {"tributary_clicks_lost_clicks_total", "tributary_clicks_buffered_clicks"},
    "conversions-api": {"tributary_postback_seconds_bucket", "tributary_keyring_verifying_keys"},
    "commissions-worker": {"tributary_ledger_verified_block", "tributary_ledger_broken_flag"},
    "gateway-api": {"tributary_http_requests_total"},
}
LOOK_SECONDS = 60.0


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_process_exports_catalogued_names_only_and_what_its_role_must(role: Role, platform: RunningPlatform) -> None:
    catalogue = exported_series()
    wanted = EVERY_PROCESS | OWN.get(role.name, set())
    if role.kind == "worker":
        wanted |= EVERY_WORKER
        wanted |= set() if role.service == "gateway" else EVERY_CONSUMING_WORKER

    wait_until(
        lambda: wanted <= {sample.name for sample in scrape(platform, role.name)},
        LOOK_SECONDS,
        f"{role.name}: {wanted}",
    )

    for sample in scrape(platform, role.name):
        assert sample.name in catalogue, f"{role.name} exports {sample.name}, which no page explains"
        assert sample.labels.keys() == catalogue[sample.name].labels, sample
    [build] = [sample for sample in scrape(platform, role.name) if sample.name == "tributary_build_info"]
    assert (build.labels["service"], build.labels["process"]) == (role.service, role.kind)


def test_a_sale_and_its_refusals_can_be_read_from_the_metrics(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    before = _figures(platform)

    click_id = click_id_in(network.shopper.click(link).location)
    order = {"order_id": "measured", "amount": "50.00", "currency": "EUR"}
    assert merchant.postback(click_id=click_id, **order).status == 201
    assert merchant.postback(click_id=click_id, **order).status == 200
    assert merchant.postback(order_id="nobody's", amount="9.00", currency="EUR", click_id="x" * 56).status == 404

    grown = {
        "redirected": 1,
        "recorded": 1,
        "duplicate": 1,
        "click_id_malformed": 1,
        "pending": 1,
        "attributed": 1,
        "accruals": 1,
        "credited": 500,
    }
    wait_until(
        lambda: {name: value - before[name] for name, value in _figures(platform).items()} == grown,
        SETTLE_SECONDS,
        f"the metrics have grown by {grown}",
    )
    wait_until(lambda: _is_proved(platform), LOOK_SECONDS, "the new block is proved")


def _figures(platform: RunningPlatform) -> dict[str, float]:
    def outcome(name: str) -> float:
        return value_of(platform, "conversions-api", "tributary_postback_outcomes_postbacks_total", outcome=name)

    return {
        "redirected": value_of(platform, "clicks-api", "tributary_redirects_requests_total", answer="redirected"),
        "recorded": outcome("recorded"),
        "duplicate": outcome("duplicate"),
        "click_id_malformed": outcome("click_id_malformed"),
        "pending": value_of(platform, "conversions-api", "tributary_conversion_versions_total", status="pending"),
        "attributed": value_of(
            platform, "conversions-api", "tributary_conversion_attributed_conversions_total", attributed_by="click_id"
        ),
        "accruals": value_of(platform, "commissions-worker", "tributary_ledger_transactions_total", kind="accrual"),
        "credited": value_of(
            platform, "commissions-worker", "tributary_commission_changed_minor_total", kind="accrual", currency="EUR"
        ),
    }


def _is_proved(platform: RunningPlatform) -> bool:
    head = value_of(platform, "commissions-worker", "tributary_ledger_head_block")
    return 0 < head == value_of(platform, "commissions-worker", "tributary_ledger_verified_block")
