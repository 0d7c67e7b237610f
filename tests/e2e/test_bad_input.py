"""Bad input, whole: refused with the right status and the field's name, never a 500, never a posting (I7)."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.e2e.client import Answer, Client, Merchant, click_id_in
from tests.e2e.network import Affiliate, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

LIMIT_BYTES = 64 * 1024
GOOD = {"order_id": "bad-input", "amount": "10.00", "currency": "EUR"}


class Scene:
    """One merchant and one affiliate whose books must stay empty, and a second merchant who has no part in it."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.network = Network(platform)
        self.merchant: Merchant = self.network.merchant()
        self.other: Merchant = self.network.merchant()
        self.affiliate: Affiliate = self.network.affiliate()
        self.offer_id = self.network.offer(self.merchant)
        self.link = self.network.enrol(self.offer_id, self.affiliate)
        self.click_id = click_id_in(self.network.shopper.click(self.link).location)
        self.nobody = Client(platform.public_url)


@pytest.fixture(scope="module")
def scene(platform: RunningPlatform) -> Iterator[Scene]:
    made = Scene(platform)
    yield made
    assert made.affiliate.api.get("/v1/commissions").body["items"] == []
    assert made.affiliate.api.get("/v1/balance").body["items"] == []
    assert made.network.finance.get("/v1/trial-balance").status == 200


BODIES = {
    "malformed": (b'{"order_id": "x", ', None),
    "empty": (b"", None),
    "not an object": (b"[1, 2]", None),
    "NaN": (b'{"order_id": "x", "amount": NaN, "currency": "EUR"}', None),
    "1e400": (b'{"order_id": "x", "amount": 1e400, "currency": "EUR"}', "amount"),
    "duplicate keys": (b'{"order_id": "x", "amount": "1.00", "amount": "2.00", "currency": "EUR"}', "amount"),
    "NUL": (b'{"order_id": "a\\u0000b", "amount": "1.00", "currency": "EUR"}', "order_id"),
    "lone surrogate": (b'{"order_id": "a\\ud800b", "amount": "1.00", "currency": "EUR"}', "order_id"),
    "negative amount": (b'{"order_id": "x", "amount": "-1.00", "currency": "EUR"}', "amount"),
    "too many decimals": (b'{"order_id": "x", "amount": "1.001", "currency": "EUR"}', "amount"),
    "decimals of yen": (b'{"order_id": "x", "amount": "1.5", "currency": "JPY"}', "amount"),
    "unknown currency": (b'{"order_id": "x", "amount": "1.00", "currency": "XYZ"}', "currency"),
    "currency missing": (b'{"order_id": "x", "amount": "1.00"}', "currency"),
    "amount of a wrong type": (b'{"order_id": "x", "amount": {"a": 1}, "currency": "EUR"}', "amount"),
    "neither order nor click": (b'{"amount": "1.00", "currency": "EUR"}', "order_id"),
}


@pytest.mark.parametrize("name", sorted(BODIES.keys() - {"empty"}))
def test_bad_bodies_are_refused_by_the_postback_door_with_a_receipt(scene: Scene, name: str) -> None:
    body, field = BODIES[name]

    answer = scene.merchant.post_body(body)

    _assert_refused(answer, 422, field)
    _assert_receipt(scene.merchant, answer)


@pytest.mark.parametrize("name", BODIES)
def test_bad_bodies_are_refused_by_the_api_with_a_receipt(scene: Scene, name: str) -> None:
    body, field = BODIES[name]

    answer = scene.merchant.api.send("POST", "/v1/conversions", body, {"Content-Type": "application/json"})

    _assert_refused(answer, 422, field)
    _assert_receipt(scene.merchant, answer)


@pytest.mark.parametrize("name", ["negative amount", "too many decimals", "decimals of yen", "unknown currency"])
def test_bad_fields_are_refused_in_queries_and_forms(scene: Scene, name: str) -> None:
    body, field = BODIES[name]
    fields = json.loads(body)

    in_query = scene.merchant.postback(**fields)
    in_form = scene.merchant.post_body("&".join(f"{k}={v}" for k, v in fields.items()).encode(), FORM)

    for answer in (in_query, in_form):
        _assert_refused(answer, 422, field)
        _assert_receipt(scene.merchant, answer)


FORM = "application/x-www-form-urlencoded"


def test_a_body_over_the_limit_is_413(scene: Scene) -> None:
    body = json.dumps({**GOOD, "coupon": "x" * LIMIT_BYTES}).encode()

    over_the_api = scene.merchant.api.send("POST", "/v1/conversions", body, {"Content-Type": "application/json"})
    signed = scene.merchant.post_body(body)

    assert (over_the_api.status, signed.status) == (413, 413)


@pytest.mark.parametrize(
    "key", ["", "nonsense", "trb_affiliate_aaaaaaaa_" + "a" * 32, "trb_admin_aaaaaaaa_" + "a" * 32]
)
def test_wrong_and_missing_keys_are_401(scene: Scene, key: str) -> None:
    client = Client(scene.nobody.public_url, key)

    for path in ("/v1/links", "/v1/conversions", "/v1/statements", "/v1/merchants", "/v1/ledger"):
        assert client.get(path).status == 401, path


def test_a_revoked_key_is_401(scene: Scene) -> None:
    made = scene.network.made("/v1/keys", {"role": "finance", "label": "to revoke"})
    client = Client(scene.nobody.public_url, made["key"])
    assert client.get("/v1/trial-balance").status == 200

    assert scene.network.admin.send("DELETE", f"/v1/keys/{made['id']}").status in (200, 204)

    wait_until(lambda: client.get("/v1/trial-balance").status == 401, 30, "the revoked key opens nothing")


def test_a_role_that_may_not_is_403(scene: Scene) -> None:
    assert scene.affiliate.api.get("/v1/merchants").status == 403
    assert scene.affiliate.api.get("/v1/ledger").status == 403
    assert scene.affiliate.api.post("/v1/conversions", GOOD).status == 403
    assert scene.merchant.api.get("/v1/links").status == 403
    assert scene.network.finance.post("/v1/offers", {}).status == 403


def test_ids_of_others_are_404(scene: Scene) -> None:
    scene.merchant.postback(**{**GOOD, "order_id": "mine"})
    (mine,) = [c for c in scene.merchant.api.get("/v1/conversions").body["items"] if c["order_id"] == "mine"]

    assert scene.other.api.post(f"/v1/conversions/{mine['id']}/approve").status == 404
    assert scene.other.api.post("/v1/conversions/order:mine/approve").status == 404
    assert scene.other.api.get(f"/v1/offers/{scene.offer_id}").status == 404
    assert scene.network.admin.get("/v1/offers/2000000000").status == 404
    assert scene.nobody.get("/c/2000000000/1").status == 404


def test_unknown_routes_are_404_and_wrong_methods_405(scene: Scene) -> None:
    admin = scene.network.admin

    assert admin.get("/v1/nothing").status == 404
    assert admin.get("/nothing").status == 404
    for method, path in (("DELETE", "/v1/merchants"), ("PUT", "/postback"), ("POST", "/c/1/1")):
        answer = admin.send(method, path)
        assert answer.status == 405, path
        assert answer.headers["allow"]


def test_click_ids_that_prove_nothing_are_refused_with_their_own_outcomes(scene: Scene) -> None:
    click_id = scene.click_id
    forged = click_id[:-1] + ("0" if click_id[-1] != "0" else "1")
    unknown_key = "vv" + click_id[2:]
    foreign = scene.other.postback(**GOOD, click_id=click_id)
    answers = {
        "click_id_forged": scene.merchant.postback(**GOOD, click_id=forged),
        "click_id_malformed": scene.merchant.postback(**GOOD, click_id=click_id[:-1]),
        "click_id_unknown_key": scene.merchant.postback(**GOOD, click_id=unknown_key),
    }

    assert (foreign.status, foreign.body["outcome"]["name"]) == (403, "foreign_offer")
    assert {name: (a.status, a.body["outcome"]["name"]) for name, a in answers.items()} == {
        name: (404, name) for name in answers
    }
    for answer in answers.values():
        _assert_receipt(scene.merchant, answer)
    _assert_receipt(scene.other, foreign)


def test_clicks_too_recent_and_too_old_are_recorded_as_rejected(scene: Scene) -> None:
    offer_id = scene.network.offer(scene.merchant, window={"min_seconds": 1, "max_seconds": 2})
    link = scene.network.enrol(offer_id, scene.affiliate)
    first = {"click_id": click_id_in(scene.network.shopper.click(link).location), "order_id": "first", "test": "1"}
    wait_until(
        lambda: scene.merchant.postback(**first, amount="1.00", currency="EUR").body["status"] != "waiting",
        30,
        "conversions knows the offer",
    )
    old = click_id_in(scene.network.shopper.click(link).location)
    clicked_at = time.monotonic()
    recent = click_id_in(scene.network.shopper.click(link).location)

    too_recent = scene.merchant.postback(click_id=recent, order_id="recent", amount="1.00", currency="EUR")
    wait_until(lambda: time.monotonic() > clicked_at + 3.1, 30, "the click has grown old")
    too_old = scene.merchant.postback(click_id=old, order_id="old", amount="1.00", currency="EUR")

    assert (too_recent.status, too_recent.body["status"]) == (201, "rejected")
    assert (too_old.status, too_old.body["status"]) == (201, "rejected")
    assert (too_recent.body["outcome"]["name"], too_old.body["outcome"]["name"]) == (
        "click_too_recent",
        "click_too_old",
    )
    _assert_receipt(scene.merchant, too_recent)
    _assert_receipt(scene.merchant, too_old)


def test_postbacks_without_the_merchants_proof_are_401(scene: Scene) -> None:
    signed = scene.merchant.signed_path(GOOD)
    stale = scene.merchant.signed_path(GOOD, int(time.time()) - 600)
    token = f"/postback?merchant_id={scene.merchant.merchant_id}&order_id=x&token=nonsense"

    for path in (signed[:-1] + ("0" if signed[-1] != "0" else "1"), signed.partition("&sig=")[0], stale, token):
        assert scene.nobody.get(path).status == 401


def _assert_refused(answer: Answer, status: int, field: str | None) -> None:
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    named = [error["field"] for error in answer.body["errors"]]
    assert named, answer.text
    if field is not None:
        assert field in named


def _assert_receipt(merchant: Merchant, answer: Answer) -> None:
    receipt = merchant.api.get(f"/v1/receipts/{answer.body['receipt_id']}")
    assert receipt.status == 200
    assert receipt.body["outcome"] == answer.body["outcome"]
