"""The redirect's rules, through the ASGI door."""

import json
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.kernel.click_id import ClickFlags
from shared.kernel.trace import trace_of_click
from tests.factories.clicks import (
    FIREFOX,
    NOON,
    MemorySink,
    RedirectHouse,
    SettableKey,
    enrolment_event,
    make_catalogue,
    offer_events,
    suspended_affiliate,
    suspended_merchant,
)
from tests.factories.tracing import keeping_traces


async def test_a_click_is_redirected_with_a_click_id_that_says_what_happened() -> None:
    house = RedirectHouse()

    answer = await house.ask("/c/1/3?sub1=a&sub10=j&aff_click_id=mine&source=mail&creative=b1")

    assert answer.status == 302
    assert answer.header("cache-control") == "no-store"
    assert answer.header("referrer-policy") == "no-referrer-when-downgrade"
    assert answer.header("x-robots-tag") == "noindex"
    assert answer.header("content-length") == "0"
    click = house.verify(answer.click_id)
    assert (click.offer_id, click.affiliate_id, click.offer_version) == (1, 3, 1)
    assert (click.clicked_at, click.flags) == (NOON, ClickFlags.NONE)
    (event,) = house.events
    assert event.click_id == answer.click_id
    assert event.occurred_at == NOON
    assert event.subs == {"sub1": "a", "sub10": "j"}
    assert (event.aff_click_id, event.source, event.creative) == ("mine", "mail", "b1")
    assert event.user_agent == FIREFOX


async def test_two_clicks_never_share_a_click_id() -> None:
    house = RedirectHouse()

    answers = [await house.ask() for _ in range(50)]

    assert len({answer.click_id for answer in answers}) == 50


NO_LINKS = [
    "/c/9/3",
    "/c/1/0",
    "/c/0/3",
    "/c/01/3",
    "/c/1/3/",
    "/c/1",
    "/c/",
    "/c/1/3x",
    "/c/-1/3",
    "/c/1/2147483648",
    "/c/99999999999/3",
    "/c/١/3",
    "/c/1/²",
]


@pytest.mark.parametrize("path", NO_LINKS)
async def test_no_such_link_is_404_and_no_click(path: str) -> None:
    house = RedirectHouse()

    answer = await house.ask(path)

    assert answer.status == 404
    assert answer.header("content-type") == "application/problem+json"
    assert json.loads(answer.body)["code"] == "link_not_found"
    assert house.events == []


async def test_other_methods_are_405() -> None:
    answer = await RedirectHouse().ask(method="POST")

    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


async def test_head_is_redirected_and_is_no_click() -> None:
    house = RedirectHouse()

    answer = await house.ask("/c/1/3?gclid=g", method="HEAD")

    assert (answer.status, answer.location) == (302, "https://shop.example/landing?gclid=g")
    assert house.events == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sec_purpose", "prefetch"),
        ("sec_purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("purpose", "Prefetch"),
    ],
)
async def test_a_prefetch_gets_503_and_no_click_id(name: str, value: str) -> None:
    house = RedirectHouse()

    answer = await house.ask(**{name: value})

    assert (answer.status, answer.header("cache-control"), answer.header("location")) == (503, "no-store", None)
    assert house.events == []


async def test_json_answers_click_id_and_landing_url() -> None:
    house = RedirectHouse()

    answer = await house.ask("/c/1/3?format=json")

    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    document = json.loads(answer.body)
    assert document["landing_url"] == f"https://shop.example/landing?click_id={document['click_id']}"
    assert house.events[0].click_id == document["click_id"]


async def flags_of(house: RedirectHouse, target: str = "/c/1/3", user_agent: str = FIREFOX) -> ClickFlags:
    answer = await house.ask(target, user_agent=user_agent)
    flags = house.verify(answer.click_id).flags
    assert house.events[-1].flags == flags
    return flags


async def test_robots_arrive_flagged() -> None:
    assert await flags_of(RedirectHouse(), user_agent="Googlebot/2.1") == ClickFlags.ROBOT
    assert await flags_of(RedirectHouse(), user_agent="") == ClickFlags.ROBOT


async def test_an_unknown_affiliate_arrives_flagged() -> None:
    assert await flags_of(RedirectHouse(), "/c/1/4711") == ClickFlags.UNENROLLED


async def test_test_clicks_are_flagged() -> None:
    assert await flags_of(RedirectHouse(), "/c/1/3?test=1") == ClickFlags.TEST


async def test_enrolment_is_judged_at_the_instant_of_the_click() -> None:
    house = RedirectHouse(
        make_catalogue(*offer_events(), enrolment_event(start_at=NOON, end_at=NOON + timedelta(hours=1)))
    )

    found = {}
    for minutes in (-1, 0, 59, 60):
        house.clock.instant = NOON + timedelta(minutes=minutes)
        found[minutes] = await flags_of(house)

    enrolled, not_enrolled = ClickFlags.NONE, ClickFlags.UNENROLLED
    assert found == {-1: not_enrolled, 0: enrolled, 59: enrolled, 60: not_enrolled}


@pytest.mark.parametrize("status", ["paused", "ended"])
async def test_an_inactive_offer_sends_to_its_fallback_or_else_its_landing_page(status: str) -> None:
    plain = RedirectHouse(make_catalogue(*offer_events(status=status), enrolment_event()))
    falling = RedirectHouse(
        make_catalogue(*offer_events(status=status, fallback_url="https://else.example/?a=1"), enrolment_event())
    )

    landed, fell = await plain.ask(), await falling.ask("/c/1/3?url=https://shop.example/x")

    assert landed.location.startswith("https://shop.example/landing?click_id=")
    assert fell.location.startswith("https://else.example/?a=1&click_id=")
    assert plain.verify(landed.click_id).flags == ClickFlags.INACTIVE
    assert falling.verify(fell.click_id).flags == ClickFlags.INACTIVE


async def test_suspended_parties_do_not_count() -> None:
    affiliate = make_catalogue(*offer_events(), enrolment_event(), suspended_affiliate())
    merchant = make_catalogue(*offer_events(), enrolment_event(), suspended_merchant())

    assert await flags_of(RedirectHouse(affiliate)) == ClickFlags.UNENROLLED
    assert await flags_of(RedirectHouse(merchant)) == ClickFlags.INACTIVE


async def test_a_second_click_within_ten_seconds_is_a_duplicate() -> None:
    house = RedirectHouse()

    first = await flags_of(house)
    house.clock.instant += timedelta(seconds=10)
    second = await flags_of(house)
    house.clock.instant += timedelta(seconds=10, milliseconds=1)
    third = await flags_of(house)
    other_shopper = await flags_of(house, user_agent=FIREFOX + " other")

    assert (first, second, third, other_shopper) == (0, ClickFlags.DUPLICATE, 0, 0)


async def test_a_click_carries_the_current_version_of_the_offer() -> None:
    events = [*offer_events(version=1), *offer_events(version=2, landing_template="https://shop.example/two")]
    house = RedirectHouse(make_catalogue(*events, enrolment_event()))

    answer = await house.ask()

    assert answer.location.startswith("https://shop.example/two?")
    assert house.verify(answer.click_id).offer_version == 2


async def test_a_rotated_key_signs_and_old_clicks_still_verify() -> None:
    house = RedirectHouse()
    old = house.keyring.signing
    before = await house.ask()
    house.keyring.signing = SettableKey(2, b"n" * 32)

    after = await house.ask()

    house.verify(after.click_id)
    house.keyring.signing = old
    house.verify(before.click_id)


async def test_addresses_are_shortened_before_they_are_hashed() -> None:
    house = RedirectHouse()

    for peer in (
        "203.0.113.9",
        "203.0.113.77",
        "::ffff:203.0.113.1",
        "203.0.114.9",
        "2001:db8:1:2::1",
        "2001:db8:1:3::9",
    ):
        await house.ask(peer=peer)

    hashes = [event.ip_hash for event in house.events]
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]
    assert hashes[4] == hashes[5] != hashes[3]
    assert "203.0.113" not in repr(house.events)


async def test_forwarded_addresses_are_believed_from_our_own_proxies_only() -> None:
    house = RedirectHouse(trusted=[ip_network("10.0.0.0/8")])

    await house.ask(peer="203.0.113.9")
    await house.ask(peer="10.1.1.1", x_forwarded_for="198.51.100.1, 203.0.113.9, 10.2.2.2")
    await house.ask(peer="203.0.114.1", x_forwarded_for="203.0.113.9")

    direct, through_us, through_them = (event.ip_hash for event in house.events)
    assert direct == through_us != through_them


async def test_hostile_text_ends_as_one_clean_header() -> None:
    house = RedirectHouse(
        make_catalogue(*offer_events(landing_template="https://shop.example/{sub1}?s={source}"), enrolment_event())
    )

    answer = await house.ask(
        "/c/1/3?sub1=a%0d%0aset-cookie:x%00b&source=%E2%80%A8%1b[31m\xff&gclid=%0d%0aX&utm_source=%F0%9F%98%80",
        user_agent="Mozilla\x1b[0m\x85x",
        referer="https://news.example:8443/a?b#c",
    )

    assert answer.location.isascii()
    assert not set(answer.location) & set("\r\n\0 ")
    assert answer.location.startswith("https://shop.example/aset-cookie%3Axb?s=%5B31m")
    (event,) = house.events
    assert event.subs["sub1"] == "aset-cookie:xb"
    assert event.user_agent == "Mozilla[0mx"
    assert event.referrer_host == "news.example"


async def test_what_is_too_long_is_cut_and_the_shopper_arrives() -> None:
    house = RedirectHouse()

    answer = await house.ask(f"/c/1/3?sub1={'x' * 300}&url=https://shop.example/{'y' * 2048}&sub1=second")

    assert answer.status == 302
    assert answer.location.startswith("https://shop.example/landing?click_id=")
    assert house.events[0].subs == {"sub1": "x" * 255}


async def test_ad_click_ids_and_utm_travel_on_and_never_replace_the_merchants_own() -> None:
    house = RedirectHouse(
        make_catalogue(*offer_events(landing_template="https://shop.example/?utm_source=own"), enrolment_event())
    )

    answer = await house.ask("/c/1/3?gclid=g1&fbclid=f&utm_source=theirs&utm_campaign=c%26d&other=no")

    tail = answer.location.partition(answer.click_id)[2]
    assert tail == "&gclid=g1&fbclid=f&utm_campaign=c%26d"
    assert house.events[0].ad_click_ids == {"gclid": "g1", "fbclid": "f"}


@pytest.mark.parametrize("page", ["landing_template", "fallback_url"])
async def test_nothing_passed_through_poses_as_the_click_id(page: str) -> None:
    fields: dict[str, Any] = {"click_id_parameter": "utm_content", page: "https://shop.example/?a=1"}
    status: Any = "active" if page == "landing_template" else "paused"
    house = RedirectHouse(make_catalogue(*offer_events(status=status, **fields), enrolment_event()))

    answer = await house.ask("/c/1/3?utm_content=another&utm_term=t")

    named = [pair for pair in answer.location.partition("?")[2].split("&") if pair.startswith("utm_content=")]
    assert len(named) == 1
    assert named[0] != "utm_content=another"
    assert answer.location.endswith("&utm_term=t")


async def test_a_click_id_that_stands_in_the_template_already_is_taken_out() -> None:
    template = "https://shop.example/?click_id=x&a={sub1}&click%5Fid={sub2}&b="
    house = RedirectHouse(make_catalogue(*offer_events(landing_template=template), enrolment_event()))

    answer = await house.ask("/c/1/3?sub1=one&sub2=two")

    assert answer.location == f"https://shop.example/?a=one&b=&click_id={answer.click_id}"


async def test_the_shopper_arrives_while_no_home_takes_clicks() -> None:
    sink = MemorySink(fault=ConnectionError())
    house = RedirectHouse(sink=sink)

    answer = await house.ask()
    sink.fault = None
    await house.recorder.close()

    house.verify(answer.click_id)
    assert [event.click_id for event in house.events] == [answer.click_id]


async def test_a_click_of_a_kept_trace_is_logged_without_its_click_id_and_told_to_the_gateway() -> None:
    house = RedirectHouse()

    with keeping_traces(0.0), capture_logs() as logs:
        answer = await house.ask()
    assert (logs, answer.header("tributary-trace")) == ([], None)

    with keeping_traces(1.0), capture_logs() as logs:
        answers = [await house.ask(), await house.ask("/c/1/3?format=json")]

    click_ids = [answers[0].click_id, json.loads(answers[1].body)["click_id"]]
    traces = [trace_of_click(click_id).trace_id for click_id in click_ids]
    assert [answer.header("tributary-trace") for answer in answers] == traces
    assert [(line["event"], line["trace_id"], line["recorded"]) for line in logs] == [
        ("click_answered", trace_id, "durable") for trace_id in traces
    ]
    assert not any(click_id in str(logs) for click_id in click_ids)
