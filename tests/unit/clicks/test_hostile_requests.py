"""Whatever a request carries, the shopper arrives and the header stays one header."""

import asyncio
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories.clicks import NOON, RedirectHouse, enrolment_event, make_catalogue, offer_events

TEMPLATE = "https://shop.example/{sub1}?a={source}&b={sub2}#{sub3}"
NAMES = ["sub1", "sub2", "sub3", "source", "url", "gclid", "utm_x", "consent", "test", "aff_click_id", "creative", "zz"]
_LATIN = st.characters(min_codepoint=1, max_codepoint=255)
_PAIR = st.tuples(
    st.sampled_from(NAMES), st.text(_LATIN, max_size=30) | st.sampled_from(["1", "%00", "%0d%0a", "%", "%ff"])
)


@settings(deadline=None)
@given(
    st.lists(_PAIR, max_size=12),
    st.text(_LATIN, max_size=60),
    st.text(_LATIN, max_size=60),
    st.text(_LATIN, max_size=60),
    st.text(_LATIN, max_size=60),
)
def test_no_request_for_a_link_is_refused(
    pairs: list[tuple[str, str]], user_agent: str, referer: str, cookie: str, forwarded: str
) -> None:
    house = RedirectHouse(make_catalogue(*offer_events(landing_template=TEMPLATE), enrolment_event()))
    query = "&".join(f"{name}={value}" for name, value in pairs)

    async def ask() -> str:
        answer = await house.ask(
            f"/c/1/3?{query}", user_agent=user_agent, referer=referer, cookie=cookie, x_forwarded_for=forwarded
        )
        assert answer.status == 302
        return answer.location

    location = asyncio.run(ask())

    assert location.isascii()
    assert location.isprintable()
    assert " " not in location
    assert urlsplit(location).netloc in ("shop.example", "www.shop.example")
    (event,) = house.events
    assert event.occurred_at == NOON
    assert "\0" not in repr(event.subs) + repr(event.user_agent) + repr(event.source)
