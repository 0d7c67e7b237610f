"""What is kept of a shopper depends on consent; what affiliates write into links is screened."""

import pytest

from tests.factories.clicks import RedirectHouse, enrolment_event, make_catalogue, offer_events


async def test_consent_sets_a_first_party_cookie_once_and_keeps_only_its_keyed_hash() -> None:
    house = RedirectHouse()

    first = await house.ask("/c/1/3?consent=1")
    cookie = first.header("set-cookie") or ""
    token = cookie.partition("=")[2].partition(";")[0]
    second = await house.ask("/c/1/3?consent=1", cookie=f"a=b; trb_visitor={token}")

    assert cookie.endswith("; HttpOnly; SameSite=Lax; Secure")
    assert second.header("set-cookie") is None
    keys = [event.visitor_key for event in house.events]
    assert keys[0] == keys[1] is not None
    assert token not in repr(house.events)


async def test_without_consent_there_is_no_cookie_no_address_and_no_user_agent() -> None:
    house = RedirectHouse()

    refused = await house.ask("/c/1/3?consent=0&gclid=g1")
    await house.ask("/c/1/3", cookie="trb_visitor=" + "a" * 32)

    assert refused.header("set-cookie") is None
    assert "gclid=g1" in refused.location
    no, unasked = house.events
    assert (no.consent, no.ip_hash, no.user_agent, no.visitor_key) == (False, None, None, None)
    assert no.ad_click_ids == {}
    assert (unasked.consent, unasked.visitor_key) == (None, None)
    assert unasked.ip_hash is not None


async def test_withdrawn_consent_takes_the_cookie_back_and_nothing_of_it_is_kept() -> None:
    house = RedirectHouse()

    withdrawn = await house.ask("/c/1/3?consent=0", cookie="trb_visitor=" + "a" * 32)

    assert (withdrawn.header("set-cookie") or "").startswith("trb_visitor=; Path=/; Max-Age=0;")
    assert house.events[0].visitor_key is None


async def test_without_consent_the_process_remembers_nobody() -> None:
    house = RedirectHouse()

    for _ in range(3):
        await house.ask("/c/1/3?consent=0", peer="198.51.100.77", user_agent="Planted/1.0")

    assert len(house.desk.recent) == 0
    assert "198.51.100.77" not in repr(house.desk)
    assert "Planted" not in repr(house.desk)
    assert [event.flags for event in house.events] == [0, 0, 0]


@pytest.mark.parametrize("signal", ["sec_gpc", "dnt"])
async def test_a_browser_that_opts_out_is_as_good_as_no_unless_the_link_says_yes(signal: str) -> None:
    house = RedirectHouse()

    for target in ("/c/1/3", "/c/1/3?consent=1", "/c/1/3?consent=0"):
        await house.ask(target, **{signal: "1"})
    await house.ask("/c/1/3", **{signal: "0"})

    assert [event.consent for event in house.events] == [False, True, False, None]
    assert [event.ip_hash is None for event in house.events] == [True, False, True, False]
    assert [event.user_agent is None for event in house.events] == [True, False, True, False]


async def test_labels_that_look_personal_never_leave_the_door_as_they_are() -> None:
    house = RedirectHouse(
        make_catalogue(*offer_events(landing_template="https://shop.example/?s={sub1}"), enrolment_event())
    )

    target = "/c/1/3?sub1=jo%40mail.example&sub2=evening&aff_click_id=%2B4915112345678&source=198.51.100.7&creative=ok"
    answer = await house.ask(target)
    preview = await house.ask(target, method="HEAD")

    (event,) = house.events
    assert event.subs["sub1"].startswith("hashed_email_")
    assert event.subs["sub2"] == "evening"
    assert (event.aff_click_id or "").startswith("hashed_phone_")
    assert (event.source or "").startswith("hashed_ip_")
    assert event.creative == "ok"
    assert event.subs["sub1"] in answer.location
    assert event.subs["sub1"] in preview.location
    assert "jo%40" not in answer.location


async def test_a_deep_link_with_something_personal_is_followed_and_kept_without_its_query() -> None:
    house = RedirectHouse()

    answer = await house.ask("/c/1/3?url=https%3A%2F%2Fshop.example%2Fa%3Fmail%3Djo%2540mail.example")

    assert answer.location.startswith("https://shop.example/a?mail=jo%40mail.example&click_id=")
    assert house.events[0].deep_link == "https://shop.example/a"
