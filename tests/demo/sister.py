"""From a merchant to a statement with the typed client, over the public port alone.

`make client`, then `PYTHONPATH=build/client python -m tests.demo.sister URL ADMIN_KEY`. What a
newcomer's first integration looks like.
"""

import sys
import time
from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

import httpx
from tributary_client import Client, models

PATIENCE_SECONDS = 30.0
SHOPPER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
"""A click made from a server carries the shopper's own user agent; a library's is taken for a robot."""


def main(url: str, admin_key: str) -> models.Statement:
    """Take a merchant and an affiliate in, let one order happen, and give the affiliate's statement."""
    mark = uuid4().hex[:8]
    with Client(url, key=admin_key) as admin:
        merchant = admin.create_merchant({"name": f"Merchant {mark}"}, idempotency_key=f"merchant-{mark}")
        affiliate = admin.create_affiliate({"name": f"Affiliate {mark}"}, idempotency_key=f"affiliate-{mark}")
        offer = admin.create_offer(_offer(merchant["id"], mark))
        admin.enrol_affiliate({"offer_id": offer["id"], "affiliate_id": affiliate["id"]})
        key = admin.issue_key({"role": "affiliate", "affiliate_id": affiliate["id"], "label": "sister"})["key"]
        token = admin.create_postback_credential(merchant["id"], {"kind": "token"})["secret"]
    shopper = httpx.Client(headers={"User-Agent": SHOPPER})
    with Client(url, key=key) as earner, Client(url, http=shopper) as shop:
        link = _link(earner, offer["id"])
        print(f"link: {link['url']}")
        click = shop.follow_link(offer["id"], affiliate["id"], sub1="sister", format="json")
        assert not isinstance(click, str)
        told = shop.send_postback(
            merchant_id=merchant["id"],
            click_id=click["click_id"],
            order_id=f"A-{mark}",
            amount="100.00",
            currency="EUR",
            token=token,
        )
        print(f"postback: {told['outcome']['name']}, {told['status']}")
        return _statement(earner)


def _offer(merchant_id: int, mark: str) -> models.OfferBody:
    return {
        "merchant_id": merchant_id,
        "name": f"Ten per cent {mark}",
        "landing_template": "https://shop.example/welcome",
        "window": {"max_seconds": 86_400},
        "late_hours": 24,
        "validation_days": 14,
        "terms": [{"event": "sale", "kind": "percentage", "rate_percent": "10", "margin_percent": "2"}],
    }


def _link(earner: Client, offer_id: int) -> models.Link:
    """The link, once the catalogue has reached the clicks service."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for link in earner.list_links(offer_id=offer_id)["items"]:
            return link
        time.sleep(0.1)
    raise TimeoutError("the link has not come")


def _statement(earner: Client) -> models.Statement:
    """This month's statement, once the order is in it."""
    deadline, period = time.monotonic() + PATIENCE_SECONDS, f"{datetime.now(UTC):%Y-%m}"
    while time.monotonic() < deadline:
        if earner.list_commissions()["items"]:
            statement = cast(models.Statement, earner.get_statement(period=period, currency="EUR"))
            print(f"statement: {len(statement['lines'])} line, closing {statement['closing']} {statement['currency']}")
            return statement
        time.sleep(0.1)
    raise TimeoutError("the commission has not come")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
