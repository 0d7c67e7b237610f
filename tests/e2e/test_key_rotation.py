"""Every keyring is rotated with the operator's command while requests come in without pause: nobody notices."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from shared.runtime.keyring import Keyring
from tests.e2e.client import Merchant, click_id_in
from tests.e2e.network import Network
from tests.e2e.running_platform import CHECKOUT, RunningPlatform, wait_until
from tests.e2e.steady_load import key_of, steady_load

ANSWERS_BETWEEN_STEPS = 10
KEPT_FOR = timedelta(days=400)
PRINCIPAL_OUTLIVES = timedelta(seconds=16)
"""No request sent here takes longer than the gateway's deadline of 15 s, and a principal is of one request."""

SECONDS_MAX = 500


def tributary(platform: RunningPlatform, *arguments: str, expect: int = 0) -> str:
    """Run the operator's command on the platform's folder; gives its standard output."""
    ran = subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", *arguments],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TRIBUTARY_HOME": str(platform.home)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == expect, f"tributary {' '.join(arguments)}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def signing_key(platform: RunningPlatform, kind: str) -> int:
    """The number of the key that signs."""
    return Keyring.load(platform.home / "keys" / f"{kind}.json").signing.id


def at(instant: datetime) -> str:
    """As --not-after takes it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("platform", ["embedded"], indirect=True)  # no keyring has to do with the log
def test_all_keyrings_are_rotated_under_load_without_one_failed_request(platform: RunningPlatform) -> None:
    old = {kind: signing_key(platform, kind) for kind in ("click", "principal", "sealing")}

    with steady_load(platform) as load:
        load.wait_for_more(ANSWERS_BETWEEN_STEPS)
        new = {kind: json.loads(tributary(platform, "keyring", "add", kind, "--json"))["added"] for kind in old}
        load.wait_for_more(ANSWERS_BETWEEN_STEPS)
        for kind, number in new.items():
            tributary(platform, "keyring", "promote", kind, str(number))
            load.wait_for_more(ANSWERS_BETWEEN_STEPS)
        sealed = json.loads(tributary(platform, "keyring", "reseal", "--json"))
        now = datetime.now(UTC)
        ends = {"click": now + KEPT_FOR, "principal": now + PRINCIPAL_OUTLIVES, "sealing": now}
        for kind, end in ends.items():
            tributary(platform, "keyring", "retire", kind, str(old[kind]), "--not-after", at(end), "--yes")
        wait_until(lambda: datetime.now(UTC) > ends["principal"], 90, "the old principal key has ended")
        load.wait_for_more(ANSWERS_BETWEEN_STEPS)
        load.report_kept_back()

    assert load.failures == []
    assert set(load.credited_by_key) == {old["click"], new["click"]}
    assert sealed["resealed"] > 0
    assert sealed["unreadable"] == []
    print(f"rotated under load: {dict(load.counts)}, sales by click key {dict(load.credited_by_key)}")


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("platform", ["embedded"], indirect=True)
def test_a_retired_key_is_needed_no_more_and_opens_nothing(platform: RunningPlatform) -> None:
    """The counter-check: were an old key still in use, the test above would have seen it fail."""
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    click_id = click_id_in(network.shopper.click(link).location)
    sealing, click = signing_key(platform, "sealing"), key_of(click_id)
    rotate(platform, "sealing", before_retiring=[("keyring", "reseal")], retired=sealing)

    platform.kill9("conversions-api")

    wait_until(lambda: _probe(merchant) == 200, 60, "the secret sealed anew opens after a restart")
    rotate(platform, "click", retired=click)
    # A new order each time: one taken before the service has seen its keyring change stays taken.
    sale = {"click_id": click_id, "amount": "10.00", "currency": "EUR"}
    wait_until(
        lambda: merchant.postback(**sale, order_id=uuid4().hex).status == 404,
        100,
        "a click of the ended key verifies no more",
    )


def rotate(
    platform: RunningPlatform, kind: str, *, retired: int, before_retiring: Sequence[tuple[str, ...]] = ()
) -> None:
    """Add, promote, whatever comes before, and end the old key at once."""
    added = json.loads(tributary(platform, "keyring", "add", kind, "--json"))["added"]
    tributary(platform, "keyring", "promote", kind, str(added))
    for command in before_retiring:
        tributary(platform, *command)
    tributary(platform, "keyring", "retire", kind, str(retired), "--not-after", at(datetime.now(UTC)), "--yes")


def _probe(merchant: Merchant) -> int:
    try:
        return merchant.postback(order_id="probe", test="1").status
    except httpx.HTTPError:
        return 0
