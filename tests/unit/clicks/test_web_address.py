"""Nobody is sent off an offer's allowed hosts (open redirect, T48)."""

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.clicks.domain.landing import compile_landing, landing_of_deep_link
from services.clicks.domain.web_address import AddressRefused, AllowedHosts, read_web_address
from tests.factories.clicks import RedirectHouse, enrolment_event, make_catalogue, offer_events

HOSTS = AllowedHosts(["shop.example", "www.shop.example", "ports.example:8443"], allow_loopback_http=False)

REFUSED = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/path",
    "https:evil.example",
    "https:shop.example",
    "https:/shop.example",
    "http:///evil.example",
    "https:///shop.example",
    "https://evil.example\\@shop.example",
    "https://evil.example/\\shop.example",
    "https://shop.example@evil.example",
    "https://shop.example:pw@evil.example",
    "https://user@shop.example/",
    "https://user:pw@shop.example/",
    "https://@shop.example/",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://shop.example%2eevil.example",
    "https://evil.example%2fshop.example",
    "https://shop.example%00.evil.example",
    "https://sh\top.example/",
    "https://shop.example\n/",
    "https://shop.example/a\r\nset-cookie:x",
    " https://shop.example/",
    "https://shop.example/ x",
    "https://shop.example/\u2028",
    "https://shop.example/\ud800",
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    "JavaScript://shop.example/%0aalert(1)",
    "data:text/html,x",
    "ftp://shop.example/",
    "http://shop.example/",
    "https://shop.example:444/",
    "https://shop.example:99999/",
    "https://ports.example/",
    "https://sh\u043ep.example/",
    "https://xn--shp-7ed.example/",
    "https://sub.shop.example/",
    "https://127.0.0.1/",
    "https://0x7f000001/",
    "https://[::1]/",
    "https://2130706433/",
    "https%3A%2F%2Fshop.example",
    "https://",
    "https://?",
    "https://#shop.example",
    "",
    "https://shop.example/" + "a" * 2_048,
]

ACCEPTED = {
    "https://shop.example": "https://shop.example/",
    "HTTPS://SHOP.EXAMPLE/A": "https://shop.example/A",
    "https://shop.example:443/a?b=c#d": "https://shop.example/a?b=c#d",
    "https://shop.example./a": "https://shop.example/a",
    "https://www.shop.example/\u00e9?x=\u00fc": "https://www.shop.example/%C3%A9?x=%C3%BC",
    "https://shop.example/%0d%0aset-cookie:x": "https://shop.example/%0d%0aset-cookie:x",
    "https://shop\u3002example/": "https://shop.example/",
    "https://\uff53\uff48\uff4f\uff50.example/": "https://shop.example/",
    "https://shop%2eexample/": "https://shop.example/",
    "https://shop.example/https://evil.example": "https://shop.example/https://evil.example",
    "https://shop.example//evil.example": "https://shop.example//evil.example",
    "https://ports.example:8443/a": "https://ports.example:8443/a",
}


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_off_the_list_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        HOSTS.read_deep_link(text)


@pytest.mark.parametrize("text", ACCEPTED)
def test_an_address_on_the_list_is_spelt_canonically(text: str) -> None:
    assert str(HOSTS.read_deep_link(text)) == ACCEPTED[text]


@pytest.mark.parametrize("text", [text for text in REFUSED if "\ud800" not in text])
async def test_a_refused_deep_link_lands_on_the_landing_page(text: str) -> None:
    house = RedirectHouse()

    once = await house.ask("/c/1/3?url=" + quote(text, safe=""))
    twice = await house.ask("/c/1/3?url=" + quote(quote(text, safe=""), safe=""))
    raw = await house.ask("/c/1/3?url=" + text.encode("utf-8").decode("latin-1"))

    for answer in (once, twice):
        assert answer.location == f"https://shop.example/landing?click_id={answer.click_id}"
    assert urlsplit(raw.location).netloc == "shop.example"
    assert all(event.deep_link is None for event in house.events[:2])


async def test_a_deep_link_is_followed_and_recorded() -> None:
    house = RedirectHouse()

    answer = await house.ask("/c/1/3?url=" + quote("https://www.shop.example/shoe?size=9&click_id=stale#top"))

    assert answer.location == f"https://www.shop.example/shoe?size=9&click_id={answer.click_id}#top"
    assert house.events[0].deep_link == "https://www.shop.example/shoe?size=9&click_id=stale#top"


@given(st.text(max_size=60), st.sampled_from(["https://", "https://shop.example", "//", "", "http://", "HTTPS:"]))
def test_whatever_is_accepted_stays_on_the_list(text: str, lead: str) -> None:
    try:
        address = HOSTS.read_deep_link(lead + text)
    except AddressRefused:
        return

    spelt = str(address)
    landed = landing_of_deep_link(address, click_id_parameter="click_id").fill({}, "c" * 56, {})
    for url in (spelt, landed):
        assert url.isascii()
        assert url.startswith(("https://shop.example/", "https://www.shop.example/", "https://ports.example:8443/"))


@given(st.dictionaries(st.sampled_from([f"sub{n}" for n in range(1, 11)] + ["source"]), st.text(max_size=40)))
def test_no_value_moves_the_host_of_a_landing_page(values: dict[str, str]) -> None:
    landing = compile_landing(
        "https://shop.example/{sub1}/{sub2}?a={sub3}{sub4}&b={source}#{sub5}",
        click_id_parameter="click_id",
        allow_loopback_http=False,
    )

    url = landing.fill(values, "c" * 56, {"utm_source": values.get("sub6", "")})

    assert url.isascii()
    assert not set(url) & set("\r\n\t \\")
    assert str(read_web_address(url[:2048], allow_loopback_http=False)).startswith("https://shop.example/")


LOOSE_TEMPLATES = [
    "https://{sub1}/x",
    "https://shop.{sub1}/x",
    "https://shop.example{sub1}",
    "https://{sub1}@shop.example/",
    "{sub1}",
    "https://shop.example:{sub1}/",
    "http://shop.example/",
    "javascript:{sub1}",
    "//shop.example/{sub1}",
]


@pytest.mark.parametrize("template", LOOSE_TEMPLATES)
def test_a_template_whose_host_is_not_fixed_is_refused(template: str) -> None:
    with pytest.raises(AddressRefused):
        compile_landing(template, click_id_parameter="click_id", allow_loopback_http=False)


async def test_a_template_that_cannot_be_used_is_no_link() -> None:
    house = RedirectHouse(make_catalogue(*offer_events(landing_template="https://{sub1}/"), enrolment_event()))

    assert (await house.ask("/c/1/3?sub1=evil.example")).status == 404


def test_plain_http_is_for_this_machine_and_never_in_production() -> None:
    local = AllowedHosts(["127.0.0.1", "localhost"], allow_loopback_http=True)
    production = AllowedHosts(["127.0.0.1", "localhost"], allow_loopback_http=False)

    assert str(local.read_deep_link("http://127.0.0.1:9000/a")) == "http://127.0.0.1:9000/a"
    assert str(local.read_deep_link("http://localhost/a")) == "http://localhost/a"
    for text in ("http://127.0.0.1:9000/a", "http://localhost/a", "http://shop.example/"):
        with pytest.raises(AddressRefused):
            production.read_deep_link(text)
    with pytest.raises(AddressRefused):
        local.read_deep_link("http://shop.example/")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("https://shop.example", "https://shop.example/?cid=ID"),
        ("https://shop.example/a", "https://shop.example/a?cid=ID"),
        ("https://shop.example/a?", "https://shop.example/a?cid=ID"),
        ("https://shop.example/a?b=c", "https://shop.example/a?b=c&cid=ID"),
        ("https://shop.example/a?b=c#d", "https://shop.example/a?b=c&cid=ID#d"),
        ("https://shop.example/{click_id}", "https://shop.example/ID"),
        ("https://shop.example/a#{click_id}", "https://shop.example/a#ID"),
        ("https://shop.example/{affiliate_id}/{sub1}?o={offer_id}", "https://shop.example/3/%2F..%26%20?o=1&cid=ID"),
        ("https://shop.example/?x={unknown}", "https://shop.example/?x={unknown}&cid=ID"),
    ],
)
def test_the_click_id_travels_by_macro_or_at_the_end(template: str, expected: str) -> None:
    landing = compile_landing(template, click_id_parameter="cid", allow_loopback_http=False)

    values = {"click_id": "ID", "affiliate_id": "3", "offer_id": "1", "sub1": "/..& "}

    assert landing.fill(values, "ID", {}) == expected
