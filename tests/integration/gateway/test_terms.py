"""Rich terms over HTTP: what is sent is stored, published and shown, to each as far as it is theirs."""

from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings

from services.gateway.api.term_answers import CapAnswer, TermAnswer
from services.gateway.storage.term_codec import read_wire_cap, read_wire_term
from tests.factories.gateway import flat_term, offer_body, percentage_term, version_body
from tests.factories.offer_terms import meaningful, money_parts
from tests.integration.gateway.conftest import GatewayClient, Network
from tests.integration.gateway.test_catalogue import events_of

BUDGET = {"name": "budget", "scope": "offer", "period": "day", "amount": {"amount": "500.00", "currency": "EUR"}}
RICH = {
    "terms": [
        {
            "event": "sale",
            "kind": "combined",
            "rate_percent": "5",
            "amount": {"amount": "2.00", "currency": "EUR"},
            "margin_mode": "of_commission",
            "margin_percent": "20",
            "rules": [
                {
                    "name": "large first orders",
                    "conditions": [
                        {"fact": "customer_status", "holds": "in", "values": ["new"]},
                        {"fact": "order_amount", "holds": "at_least", "values": ["100.00"]},
                    ],
                    "pays": {"rate_percent": "10"},
                }
            ],
        }
    ],
    "caps": [BUDGET],
    "pays_in": "EUR",
}


def _ruled(fact: str, *names: str) -> dict[str, Any]:
    asks = [{"fact": fact, "holds": "in", "values": ["1"]}]
    rules = [{"name": name, "conditions": asks, "pays": {"rate_percent": "1"}} for name in names]
    return {"terms": [{**percentage_term(), "rules": rules}]}


def _overridden(*overrides: dict[str, Any]) -> dict[str, Any]:
    return {"terms": [{**percentage_term(), "overrides": list(overrides)}]}


async def test_generated_terms_are_the_same_when_answered_stored_and_published(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    generated = list[dict[str, Any]]()

    @settings(max_examples=30, database=None, suppress_health_check=list(HealthCheck))
    @given(money_parts((network.affiliate_id,)))
    def generate(parts: dict[str, Any]) -> None:
        generated.append(parts)

    generate()
    for parts in generated:
        offer = await admin.post("/v1/offers", offer_body(network.merchant_id, **parts))

        read = await admin.get(f"/v1/offers/{offer['id']}/versions/1")
        [event] = await events_of(connection, f"offer:{offer['id']}:v1")
        published = {
            "terms": [TermAnswer.of(read_wire_term(t), with_margin=True).model_dump(mode="json") for t in event.terms],
            "caps": [CapAnswer.of(read_wire_cap(cap)).model_dump(mode="json") for cap in event.caps],
            "pays_in": event.pays_in,
        }
        assert read == offer["version"]
        assert meaningful({name: read[name] for name in parts}) == meaningful(parts)
        assert meaningful(published) == meaningful(parts)
    assert len(generated) >= 30


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"caps": [{"name": "a", "scope": "offer", "period": "day"}]}, "caps.0", "cap_measures_one"),
        ({"pays_in": "EURO"}, "pays_in", "currency_unknown"),
        ({"terms": [{**percentage_term(), "rate_percent": "99"}]}, "terms.0.margin_percent", "rates_over_100"),
        (_overridden({"affiliate_id": 2_000_000_000, "pays": {"rate_percent": "1"}}),
         "terms.0.overrides.0.affiliate_id", "affiliate_unknown"),
        (_ruled("sku", "a", "b"), "terms.0.rules.0.rank", "rank_missing"),
        (_ruled("mood", "a"), "terms.0.rules.0.conditions.0.fact", "literal_error"),
    ],
)  # fmt: skip
async def test_what_is_refused_names_its_field_and_changes_nothing(
    admin: GatewayClient,
    network: Network,
    connection: "asyncpg.Connection",
    change: dict[str, Any],
    field: str,
    code: str,
) -> None:
    path = f"/v1/offers/{network.offer_id}"
    before = await admin.get(path)

    refused = await admin.post(f"{path}/versions", version_body(**change), expect=422)
    created = await admin.post("/v1/offers", offer_body(network.merchant_id, **change), expect=422)

    for answer in (refused, created):
        assert [(error["field"], error["code"]) for error in answer["errors"]] == [(field, code)]
    assert await admin.get(path) == before
    assert [o["id"] for o in (await network.merchant.get("/v1/offers"))["items"]] == [network.offer_id]
    assert await events_of(connection, f"offer:{network.offer_id}:v2") == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
async def test_an_edit_of_a_published_version_is_refused_with_its_reason(
    admin: GatewayClient, network: Network, method: str
) -> None:
    path = f"/v1/offers/{network.offer_id}/versions/1"
    before = await admin.get(path)

    answer = await admin.call(method, path, json=version_body())

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["code"] == "method_not_allowed"
    assert "A published version never changes" in answer.json()["detail"]
    assert "POST /v1/offers/{offer_id}/versions" in answer.json()["detail"]
    assert await admin.get(path) == before


async def test_a_cap_stays_what_it_counts_over_all_versions(admin: GatewayClient, network: Network) -> None:
    versions = f"/v1/offers/{network.offer_id}/versions"
    more = {**RICH, "caps": [{**BUDGET, "amount": {"amount": "900.00", "currency": "EUR"}}]}
    other = {**RICH, "caps": [{**BUDGET, "period": "month"}]}
    await admin.post(versions, version_body(**RICH))
    await admin.post(versions, version_body())

    refused = await admin.post(versions, version_body(**other), expect=409)
    raised = await admin.post(versions, version_body(**more))

    assert refused["code"] == "cap_redefined"
    assert raised["version"]["caps"][0]["amount"]["amount"] == "900.00"


async def test_an_affiliate_reads_the_terms_its_clicks_are_paid_by(admin: GatewayClient, network: Network) -> None:
    await admin.post(f"/v1/offers/{network.offer_id}/versions", version_body(**RICH))
    pinned = f"/v1/offers/{network.offer_id}/versions/"

    first, second = [await network.affiliate.get(f"{pinned}{number}") for number in (1, 2)]
    of_merchant = await network.merchant.get(f"{pinned}2")

    assert first["terms"][0]["rate_percent"] == "10"
    (term,) = second["terms"]
    assert (term["rate_percent"], term["amount"]["amount"], term["margin_percent"], term["margin_mode"]) == (
        "4", "1.60", None, None,
    )  # fmt: skip
    assert term["rules"][0]["pays"] == {"rate_percent": "8", "amount": None, "margin_percent": None, "margin": None}
    assert second["caps"] == of_merchant["caps"]
    assert of_merchant["terms"][0]["margin_percent"] == "20"
    await network.finance.get(f"{pinned}2", expect=403)


async def test_affiliates_see_their_own_override_and_never_anothers(admin: GatewayClient, network: Network) -> None:
    other = (await admin.post("/v1/affiliates", {"name": "Other"}))["id"]
    overrides = _overridden(
        {"affiliate_id": other, "pays": {"rate_percent": "31"}},
        {"affiliate_id": network.affiliate_id, "pays": {"rate_percent": "12", "margin_percent": "3"}},
        {"group": "gold", "pays": {"rate_percent": "13"}},
        {"group": "silver", "pays": {"rate_percent": "32"}},
    )
    await admin.post(f"/v1/offers/{network.offer_id}/versions", version_body(**overrides))
    await admin.call("PUT", f"/v1/affiliates/{network.affiliate_id}/groups/gold")
    await admin.call("PUT", f"/v1/affiliates/{other}/groups/silver")
    paths = (f"/v1/offers/{network.offer_id}", "/v1/offers?limit=200", f"/v1/offers/{network.offer_id}/versions/2")

    for path in paths:
        seen = await network.affiliate.get(path)
        if "items" in seen:
            seen = next(offer for offer in seen["items"] if offer["id"] == network.offer_id)
        terms = seen["terms"] if "terms" in seen else seen["version"]["terms"]
        shown = terms[0]["overrides"]
        assert [(o["affiliate_id"], o["group"], o["pays"]["rate_percent"]) for o in shown] == [
            (network.affiliate_id, None, "12"), (None, "gold", "13"),
        ]  # fmt: skip
        assert {o["pays"]["margin_percent"] for o in shown} == {None}
    await admin.call("DELETE", f"/v1/affiliates/{network.affiliate_id}/groups/gold")
    left = await network.affiliate.get(paths[0])
    assert [o["group"] for o in left["version"]["terms"][0]["overrides"]] == [None, "gold"]
    whole = await network.merchant.get(paths[0])
    assert len(whole["version"]["terms"][0]["overrides"]) == 4


async def test_five_hundred_overrides_fit_into_one_request(admin: GatewayClient, network: Network) -> None:
    named: list[dict[str, Any]] = [
        {"affiliate_id": network.affiliate_id, "pays": {"rate_percent": "12.345678", "margin_percent": "1.5"}}
    ]
    named += [{"group": f"group-{n}", "pays": {"rate_percent": "12.345678"}} for n in range(499)]

    offer = await admin.post("/v1/offers", offer_body(network.merchant_id, **_overridden(*named)))

    assert len(offer["version"]["terms"][0]["overrides"]) == 500


async def test_simple_terms_are_sent_and_answered_as_before(admin: GatewayClient, network: Network) -> None:
    offer = await admin.post("/v1/offers", offer_body(network.merchant_id, terms=[percentage_term(), flat_term()]))

    first, second = (meaningful(term) for term in offer["version"]["terms"])
    assert (first, second) == (percentage_term(), flat_term())
