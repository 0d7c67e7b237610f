"""Every documented request works, for every role that may send it, and is answered as documented."""

import json
from typing import Any

import pytest

from deploy.interface.document import EXAMPLES, build_document, document_text
from deploy.interface.operations import OPERATIONS
from tests.e2e.interface.exchange import Documented, Judge, documented_operations, fill, send
from tests.e2e.interface.world import World

CALLS = [(each, role) for each in documented_operations(build_document()) for role in each.roles]
IDEMPOTENT = {operation.name: operation for operation in OPERATIONS.values() if operation.is_idempotent}


def _example(each: Documented) -> dict[str, Any]:
    example: dict[str, Any] = json.loads((EXAMPLES / f"{each.name}.json").read_text())
    return example


def test_what_is_served_is_what_the_code_says(served: dict[str, Any]) -> None:
    assert served == json.loads(document_text(build_document()))


@pytest.mark.parametrize(("each", "role"), CALLS, ids=[f"{each.name}-{role or 'anyone'}" for each, role in CALLS])
def test_an_example_works_as_documented(each: Documented, role: str, world: World, judge: Judge) -> None:
    example = _example(each)

    answer = send(world, fill(world, each, example, role), role)

    assert answer.status == example["answer"]["status"], answer.text
    assert judge.faults(each, answer) == []
    if each.operation["x-limits"]["counted_per"] != "none":
        assert {"ratelimit", "ratelimit-policy"} <= set(answer.headers)


ANOTHER: dict[str, dict[str, Any]] = {
    "set_payout_settings": {"net_days": 30},
    "stop_payouts": {"reason_code": "legal_order"},
    "draft_payout_run": {"up_to": "2026-11-23"},
    "record_exchange_rates": {"reason_code": "corrected"},
    "exchange_payable": {"amount": "0.50"},
    "set_affiliate_tax_settings": {"legal_name": "Another GmbH"},
    "set_merchant_tax_settings": {"legal_name": "Another GmbH"},
    "grant_bonus": {"reason_code": "another"},
    "set_bonus_goal": {"conversions": 51},
    "set_prefunding": {"low_balance": {"amount": "1.00", "currency": "EUR"}},
}
"""What makes another request of one that has neither a name nor a label."""

WRITES = [each for each, _ in CALLS if each.name in IDEMPOTENT and each.roles[0] == _]


@pytest.mark.parametrize("each", WRITES, ids=lambda each: each.name)
def test_a_documented_idempotency_key_gives_the_first_answer_again(
    each: Documented, world: World, judge: Judge
) -> None:
    role = each.roles[-1]
    request = fill(world, each, _example(each), role)
    request.headers["Idempotency-Key"] = f"example-{each.name}"

    first, second = send(world, request, role), send(world, request, role)

    assert judge.faults(each, second) == []
    if IDEMPOTENT[each.name].shows_secret:
        assert (second.status, second.body["code"]) == (409, "idempotent_response_unavailable")
    else:
        assert (second.status, second.text) == (first.status, first.text)
        assert second.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("each", WRITES, ids=lambda each: each.name)
def test_a_key_used_for_another_request_is_refused_as_documented(each: Documented, world: World, judge: Judge) -> None:
    role = each.roles[-1]
    key = {"Idempotency-Key": f"reused-{each.name}"}
    first, second = (fill(world, each, _example(each), role) for _ in range(2))
    first.headers |= key
    second.headers |= key
    if (first.target, first.body) == (second.target, second.body):
        changed = "name" if "name" in second.body else "label"
        second.body = {**second.body, **ANOTHER.get(each.name, {changed: "Another"})}

    made, refused = send(world, first, role), send(world, second, role)

    assert made.status < 300, made.text
    assert (refused.status, refused.body["code"]) == (422, "idempotency_key_reused")
    assert judge.faults(each, refused) == []
