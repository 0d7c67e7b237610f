"""Bulk jobs: each row exactly once, whatever dies; refused as the same request alone would be, and only one's own."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.conversions.usecases.work_bulk_jobs import CHUNK_ROWS, work_bulk_jobs
from shared.kernel.click_id import ClickFlags
from shared.runtime.clock import SystemClock
from tests.conftest import TestPostgres
from tests.factories.conversions import AFFILIATE, MERCHANT, OTHER_MERCHANT, ConversionsService
from tests.integration.audit.chain import Chain
from tests.integration.conversions.test_api import act, sale

BULK = "/v1/conversions/bulk"
EUR = "EUR"


async def ask(
    service: ConversionsService,
    rows: Sequence[Mapping[str, Any]] | bytes,
    *,
    role: Any = "merchant",
    party: int | None = MERCHANT,
    key: str = "",
    query: str = "",
) -> httpx.Response:
    headers = service.as_role(role, party if role == "merchant" else None)
    headers |= {"Idempotency-Key": key} if key else {}
    if isinstance(rows, bytes):
        return await service.client.post(BULK + query, content=rows, headers={**headers, "Content-Type": "text/csv"})
    return await service.client.post(BULK + query, json={"rows": list(rows)}, headers=headers)


async def work(service: ConversionsService) -> None:
    """As the worker's sweep does, until nothing is open."""
    done = 1
    while done:
        async with service.worker.transaction() as session:
            done = await work_bulk_jobs(session, SystemClock())


async def result_of(
    service: ConversionsService, answer: httpx.Response, *, role: Any = "merchant", party: int | None = MERCHANT
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The job, and every row's result, read page by page."""
    assert answer.status_code == 202, answer.text
    headers = service.as_role(role, party if role == "merchant" else None)
    path, rows = f"/v1/bulk-jobs/{answer.json()['id']}", list[dict[str, Any]]()
    cursor = ""
    while True:
        page = (await service.client.get(f"{path}/results?limit=150{cursor}", headers=headers)).json()
        rows += page["items"]
        if page["next_cursor"] is None:
            return (await service.client.get(path, headers=headers)).json(), rows
        cursor = f"&cursor={page['next_cursor']}"


async def done_with(service: ConversionsService, rows: Any, **more: Any) -> list[tuple[str, str | None]]:
    """Outcome and code of each row, worked on at once."""
    who = {name: more[name] for name in ("role", "party") if name in more}
    answer = await ask(service, rows, **more)
    await work(service)
    job, results = await result_of(service, answer, **who)
    assert job["status"] == "finished"
    assert [result["row"] for result in results] == list(range(1, job["rows"] + 1))
    return [(result["outcome"], result["code"]) for result in results]


async def versions_of(service: ConversionsService, conversion_id: str) -> list[tuple[int, str, str, str | None]]:
    rows = await service.rows(
        "SELECT version, change, actor_kind, reason_code FROM conversion_version WHERE conversion_id = :id"
        " ORDER BY version",
        id=conversion_id,
    )
    return [(row["version"], row["change"], row["actor_kind"], row["reason_code"]) for row in rows]


async def test_every_action_is_done_by_id_and_by_order(conversions: ConversionsService) -> None:
    sales = [await sale(conversions) for _ in range(4)]
    refund = {
        "adjustment_id": "B1",
        "reason_code": "customer_return",
        "refund_amount": {"amount": "4", "currency": EUR},
    }
    rows = [
        {"ref": sales[0]["conversion_id"], "action": "approve"},
        {"ref": f"order:{sales[1]['order_id']}", "action": "reject", "reason_code": "fraud"},
        {"ref": sales[2]["conversion_id"].upper(), "action": "reverse", "reason_code": "order_cancelled"},
        {"ref": f"order:{sales[3]['order_id']}", "event": "sale", "action": "adjust", **refund},
    ]

    answer = await ask(conversions, rows)
    waiting, none = await result_of(conversions, answer)
    await work(conversions)
    job, results = await result_of(conversions, answer)

    assert (waiting["status"], waiting["rows"], none) == ("waiting", 4, [])
    assert (job["status"], job["done"], job["already"], job["refused"]) == ("finished", 4, 0, 0)
    assert [result["status"] for result in results] == ["approved", "rejected", "reversed", "pending"]
    assert [result["conversion_id"] for result in results] == [made["conversion_id"] for made in sales]
    assert [(await versions_of(conversions, made["conversion_id"]))[1:] for made in sales] == [
        [(2, "approved", "merchant", None)],
        [(2, "rejected", "merchant", "fraud")],
        [(2, "reversed", "merchant", "order_cancelled")],
        [(2, "adjusted", "merchant", "customer_return")],
    ]
    events = await conversions.events_of(sales[3]["conversion_id"])
    assert events[-1]["net_amount"] == {"amount_minor": 600, "currency": EUR}


async def test_a_csv_says_the_same(conversions: ConversionsService) -> None:
    sales = [await sale(conversions) for _ in range(2)]
    table = (
        "\ufeffaction,ref,reason_code,adjustment_id,new_amount,currency\r\n"
        f"approve,{sales[0]['conversion_id']},,,,\r\n\r\n"
        f"adjust,order:{sales[1]['order_id']},goodwill,C1,2.50,EUR\r\n"
    )

    answer = await ask(conversions, table.encode())
    await work(conversions)
    job, _ = await result_of(conversions, answer)
    headers = conversions.as_role("merchant", MERCHANT)
    told = await conversions.client.get(f"/v1/bulk-jobs/{job['id']}/results?format=csv", headers=headers)

    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    assert [(row["row"], row["outcome"], row["status"]) for row in csv.DictReader(io.StringIO(told.text))] == [
        ("1", "done", "approved"),
        ("2", "done", "pending"),
    ]


async def test_a_row_that_changes_nothing_is_already_and_the_same_job_again_too(
    conversions: ConversionsService,
) -> None:
    one, two = await sale(conversions), await sale(conversions)
    refund = {"adjustment_id": "B1", "reason_code": "fraud", "refund_amount": {"amount": "1.00", "currency": EUR}}
    rows = [
        {"ref": one["conversion_id"], "action": "approve"},
        {"ref": one["conversion_id"], "action": "approve"},
        {"ref": two["conversion_id"], "action": "adjust", **refund},
        {"ref": two["conversion_id"], "action": "adjust", **refund},
    ]

    first, second = await done_with(conversions, rows), await done_with(conversions, rows)

    assert first == [("done", None), ("already", None), ("done", None), ("already", None)]
    assert second == [("already", None)] * 4
    assert len(await versions_of(conversions, one["conversion_id"])) == 2
    assert len(await versions_of(conversions, two["conversion_id"])) == 2


async def test_rows_of_one_conversion_are_done_in_their_order(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    ref = made["conversion_id"]
    part = {"reason_code": "customer_return", "refund_amount": {"amount": "4.00", "currency": EUR}}
    rows = [
        {"ref": ref, "action": "adjust", "adjustment_id": "1", **part},
        {"ref": ref, "action": "approve"},
        {"ref": ref, "action": "adjust", "adjustment_id": "2", **part},
        {"ref": ref, "action": "adjust", "adjustment_id": "3", **part},
        {"ref": ref, "action": "reverse", "reason_code": "fraud"},
        {"ref": ref, "action": "approve"},
    ]

    assert await done_with(conversions, rows) == [
        ("done", None),
        ("done", None),
        ("done", None),
        ("refused", "adjustment_exceeds"),
        ("done", None),
        ("refused", "transition_refused"),
    ]
    changes = [change for _, change, _, _ in await versions_of(conversions, ref)]
    assert changes[1:] == ["adjusted", "approved", "adjusted", "reversed"]
    assert [event["version"] for event in await conversions.events_of(ref)] == [1, 2, 3, 4, 5]


async def test_a_wrong_row_is_refused_with_its_code_and_stops_no_other(conversions: ConversionsService) -> None:
    made, held = await sale(conversions), await sale(conversions, flags=ClickFlags.ROBOT)
    lead = {"event": "lead", "order_id": made["order_id"], "amount": None}
    offer_id = await conversions.publish()
    fields = {name: value for name, value in lead.items() if value is not None}
    assert (await conversions.postback({**fields, "click_id": conversions.click_id(offer_id=offer_id)})).is_success
    ref, reject = made["conversion_id"], {"action": "reject", "reason_code": "fraud"}
    adjust = {"ref": ref, "action": "adjust", "adjustment_id": "A", "reason_code": "fraud"}
    amount = {"amount": "1.00", "currency": EUR}
    wrong: list[tuple[Any, str]] = [
        ("no object", "row_malformed"),
        ({"ref": ref, "action": "approve", "colour": "red"}, "row_malformed"),
        ({"ref": ref, "action": "pay"}, "action_unknown"),
        ({"ref": "42", "action": "approve"}, "ref_malformed"),
        ({"ref": "x" * 36, "action": "approve"}, "ref_malformed"),
        ({"ref": "order:", "action": "approve"}, "text_length"),
        ({"ref": "order:a\u202eb", "action": "approve"}, "text_malformed"),
        ({"ref": ref, "action": "reject"}, "reason_code_required"),
        ({"ref": ref, "action": "reject", "reason_code": "mood"}, "reason_code_unknown"),
        ({"ref": ref, "action": "reject", "reason_code": "validation_passed"}, "reason_code_unknown"),
        ({"ref": ref, "action": "approve", "reason_code": "fraud"}, "reason_code_not_taken"),
        ({"ref": ref, "action": "approve", "refund_amount": amount}, "adjustment_not_taken"),
        ({"ref": ref, "action": "approve", "event": "No!"}, "event_malformed"),
        (adjust, "one_amount_expected"),
        ({**adjust, "refund_amount": amount, "new_amount": amount}, "one_amount_expected"),
        ({**adjust, "refund_amount": {"amount": 1, "currency": EUR}}, "amount_malformed"),
        ({**adjust, "refund_amount": {"amount": "1.001", "currency": EUR}}, "amount_too_precise"),
        ({**adjust, "refund_amount": {"amount": "1.00", "currency": "USD"}}, "currency_mismatch"),
        ({**adjust, "refund_amount": {"amount": "99.00", "currency": EUR}}, "adjustment_exceeds"),
        ({"ref": str(uuid4()), "action": "approve"}, "conversion_not_found"),
        ({"ref": "order:nobody-knows", "action": "approve"}, "conversion_not_found"),
        ({"ref": f"order:{made['order_id']}", "action": "approve"}, "event_ambiguous"),
        ({"ref": held["conversion_id"], "action": "approve"}, "role_not_allowed"),
        ({"ref": held["conversion_id"], **reject}, "role_not_allowed"),
    ]

    done = await done_with(conversions, [*(row for row, _ in wrong), {"ref": ref, "action": "approve"}])

    assert done == [*(("refused", code) for _, code in wrong), ("done", None)]
    assert await done_with(conversions, [{"ref": held["conversion_id"], **reject}], role="admin") == [("done", None)]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"rows": []}, "rows_count"),
        ({"rows": "all"}, "rows_expected"),
        ([], "rows_expected"),
        ({"rows": [{}], "more": 1}, "rows_expected"),
        (b"ref,colour,action\n1,2,3\n", "csv_columns"),
        (b"ref\n1\n", "csv_columns"),
        (b"ref,action,ref\n1,2,3\n", "csv_columns"),
        (b"", "csv_columns"),
        (b"ref,action\n", "rows_count"),
        (b"\xff\xfe", "csv_malformed"),
        (b'ref,action\n"open', "csv_malformed"),
        (b"ref,action\n" + b"1,approve\n" * 40_001, "rows_count"),
    ],
)
async def test_what_is_no_list_of_rows_is_refused_whole(conversions: ConversionsService, sent: Any, code: str) -> None:
    headers = conversions.as_role("merchant", MERCHANT)
    if isinstance(sent, bytes):
        answer = await conversions.client.post(BULK, content=sent, headers={**headers, "Content-Type": "text/csv"})
    else:
        answer = await conversions.client.post(BULK, json=sent, headers=headers)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)


async def test_another_kind_of_body_and_one_too_large_are_refused(conversions: ConversionsService) -> None:
    headers = conversions.as_role("merchant", MERCHANT)

    other = await conversions.client.post(BULK, content=b"<rows/>", headers={**headers, "Content-Type": "text/xml"})
    large = await conversions.client.post(
        BULK, content=b"x" * 8_388_609, headers={**headers, "Content-Type": "text/csv"}
    )

    assert (other.status_code, large.status_code) == (415, 413)


async def test_the_same_key_is_the_same_job(conversions: ConversionsService) -> None:
    made, key = await sale(conversions), uuid4().hex
    rows = [{"ref": made["conversion_id"], "action": "approve"}]

    first, again = await ask(conversions, rows, key=key), await ask(conversions, rows, key=key)
    other = await ask(conversions, [{**rows[0], "action": "reverse", "reason_code": "fraud"}], key=key)

    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 422
    await work(conversions)


async def test_no_job_touches_or_shows_another_merchants(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    rows = [
        {"ref": made["conversion_id"], "action": "approve"},
        {"ref": f"order:{made['order_id']}", "action": "approve"},
    ]

    done = await done_with(conversions, rows, party=OTHER_MERCHANT)
    own = await ask(conversions, rows[:1])

    assert done == [("refused", "conversion_not_found")] * 2
    assert len(await versions_of(conversions, made["conversion_id"])) == 1
    for path in ("", "/results", "/results?format=csv"):
        stranger = await conversions.client.get(
            f"/v1/bulk-jobs/{own.json()['id']}{path}", headers=conversions.as_role("merchant", OTHER_MERCHANT)
        )
        assert (stranger.status_code, stranger.json()["code"]) == (404, "bulk_job_not_found")
    named = await ask(conversions, rows, party=OTHER_MERCHANT, query=f"?merchant_id={MERCHANT}")
    affiliate = await conversions.client.post(
        BULK, json={"rows": rows}, headers=conversions.as_role("affiliate", AFFILIATE)
    )
    assert (named.status_code, affiliate.status_code) == (404, 403)
    await work(conversions)


async def test_an_admin_works_for_a_merchant_or_by_ids_for_all(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    by_order = [{"ref": f"order:{made['order_id']}", "action": "approve"}]

    for_all = await done_with(conversions, by_order, role="admin")
    for_one = await done_with(conversions, by_order, role="admin", query=f"?merchant_id={MERCHANT}")
    for_other = await done_with(
        conversions,
        [{"ref": made["conversion_id"], "action": "reverse", "reason_code": "fraud"}],
        role="admin",
        query=f"?merchant_id={OTHER_MERCHANT}",
    )

    assert (for_all, for_one) == ([("refused", "conversion_not_found")], [("done", None)])
    assert for_other == [("refused", "conversion_not_found")]
    assert (await versions_of(conversions, made["conversion_id"]))[1:] == [(2, "approved", "admin", None)]


async def test_each_changed_row_has_its_entry_in_the_audit_chain(
    conversions: ConversionsService, postgres: TestPostgres
) -> None:
    made = await sale(conversions)
    row = {"ref": made["conversion_id"], "action": "approve"}
    chain = Chain(postgres, "conversions")

    answer = await ask(conversions, [row, row, {**row, "action": "pay"}])
    await work(conversions)

    (asked,) = await chain.entries_of(answer.headers["X-Request-Id"])
    (entry,) = await chain.entries_of(answer.json()["id"].replace("-", ""))
    assert (asked["object_type"], asked["object_id"]) == ("bulk_job", answer.json()["id"])
    assert (entry["object_type"], entry["object_id"], entry["role"]) == (
        "conversion",
        made["conversion_id"],
        "merchant",
    )
    assert entry["merchant_id"] == MERCHANT
    assert entry["before_hash"] != entry["after_hash"]
    assert await chain.verify() > 0


async def test_jobs_take_turns(conversions: ConversionsService) -> None:
    large = await ask(conversions, [{"ref": str(uuid4()), "action": "approve"}] * (3 * CHUNK_ROWS))
    small = await ask(conversions, [{"ref": str(uuid4()), "action": "approve"}])

    for _ in range(2):
        async with conversions.worker.transaction() as session:
            await work_bulk_jobs(session, SystemClock())

    assert (await result_of(conversions, small))[0]["status"] == "finished"
    assert (await result_of(conversions, large))[0]["refused"] == CHUNK_ROWS
    await work(conversions)


async def test_a_party_may_not_pile_up_jobs(conversions: ConversionsService) -> None:
    row = {"ref": str(uuid4()), "action": "approve"}

    answers = [await ask(conversions, [row], party=OTHER_MERCHANT) for _ in range(21)]
    own = await ask(conversions, [row])

    assert [answer.status_code for answer in answers] == [202] * 20 + [409]
    assert (answers[-1].json()["code"], own.status_code) == ("bulk_jobs_open", 202)
    await work(conversions)


async def test_an_action_alone_still_refuses_what_it_refused(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    body = {"adjustment_id": "S", "reason_code": "fraud", "refund_amount": {"amount": "1.00", "currency": EUR}}

    first = await act(conversions, made["conversion_id"], "adjust", body)
    other = {**body, "refund_amount": {"amount": "2.00", "currency": EUR}}
    conflict = await act(conversions, made["conversion_id"], "adjust", other)
    bulk = await done_with(conversions, [{"ref": made["conversion_id"], "action": "adjust", **other}])

    assert (first.status_code, conflict.json()["code"]) == (200, "adjustment_conflict")
    assert bulk == [("refused", "adjustment_conflict")]
