"""Robots are known by the public list, and browsers are not taken for robots."""
# ruff: noqa: E501  (user agents are as long as they are)

import re

import crawleruseragents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.clicks.domain.robots import RobotMatcher
from tests.factories.clicks import ROBOTS

PATTERNS = [entry["pattern"] for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA]
INSTANCES = [agent for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA for agent in entry.get("instances", [])]
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_ANDROIDS = (
    "Pixel 9",
    "Pixel 7",
    "SM-S928B",
    "SM-A546E",
    "2201117TG",
    "M2102J20SG",
    "CPH2581",
    "RMX3085",
    "K",
    "moto g54",
)
_SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; CrOS x86_64 14541.0.0",
)
BROWSERS = [
    *(f"Mozilla/5.0 ({system}) {_WEBKIT} Chrome/{v}.0.0.0 Safari/537.36" for system in _SYSTEMS for v in range(118, 143)),
    *(f"Mozilla/5.0 ({system}) {_WEBKIT} Chrome/{v}.0.0.0 Safari/537.36 Edg/{v}.0.0.0" for system in _SYSTEMS for v in (128, 140)),
    *(f"Mozilla/5.0 ({system}) {_WEBKIT} Chrome/130.0.0.0 Safari/537.36 OPR/116.0.0.0" for system in _SYSTEMS),
    *(f"Mozilla/5.0 ({system}; rv:{v}.0) Gecko/20100101 Firefox/{v}.0" for system in _SYSTEMS for v in (115, 128, 145)),
    *(f"Mozilla/5.0 (Linux; Android 14; {d}) {_WEBKIT} Chrome/{v}.0.0.0 Mobile Safari/537.36" for d in _ANDROIDS for v in range(125, 141, 3)),
    *(f"Mozilla/5.0 (Linux; Android 13; {d} Build/TQ3A.230805.001; wv) {_WEBKIT} Version/4.0 Chrome/130.0.6723.58 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/490.0.0.63.82;]" for d in _ANDROIDS),
    *(f"Mozilla/5.0 (Linux; Android 14; {d}) {_WEBKIT} SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36" for d in _ANDROIDS),
    *(f"Mozilla/5.0 (Android 14; Mobile; rv:{v}.0) Gecko/{v}.0 Firefox/{v}.0" for v in (128, 132, 145)),
    *(f"{_IPHONE} Version/{v} Mobile/15E148 Safari/604.1" for v in ("16.6", "17.6", "18.1")),
    *(f"{_IPHONE} CriOS/{v}.0.6723.90 Mobile/15E148 Safari/604.1" for v in (128, 130)),
    *(f"{_IPHONE} FxiOS/{v}.0 Mobile/15E148 Safari/605.1.15" for v in (131, 132)),
    *(f"{_IPHONE} GSA/{v}.0.687710298 Mobile/15E148 Safari/604.1" for v in (340, 345)),
    f"{_IPHONE} Mobile/15E148 Instagram 358.0.0.28.95 (iPhone14,5; iOS 18_1; de_DE; de; scale=3.00; 1170x2532; 661284421)",
    f"{_IPHONE} Mobile/22B83 [FBAN/FBIOS;FBAV/489.0.0.50.110;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/18.1;FBLC/de_DE]",
    f"{_IPHONE} Mobile/15E148 musical_ly_36.8.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/de",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    *(
        f"Mozilla/5.0 (Linux; Android 14; {d} Build/AP2A.240905.003; wv) {_WEBKIT} Version/4.0 Chrome/129.0.6668.70 Mobile "
        f"Safari/537.36 Instagram 351.1.0.42.97 Android (34/14; 420dpi; 1080x2209; Google/google; {d}; p; p; en_US; 1)"
        for d in _ANDROIDS
    ),
]  # fmt: skip


def test_every_robot_of_the_list_is_found() -> None:
    assert len(INSTANCES) > 2_000

    assert [agent for agent in INSTANCES if not ROBOTS.is_robot(agent)] == []


def test_no_browser_is_taken_for_a_robot() -> None:
    assert len(BROWSERS) >= 200

    assert [agent for agent in BROWSERS if ROBOTS.is_robot(agent)] == []


def test_no_user_agent_is_a_robot() -> None:
    assert ROBOTS.is_robot("")


@pytest.mark.parametrize(
    "text", ["curl/8.5.0", "xcurl", "Silk/1", "x Silk/1", " sentry/1", "xsentry/1", "a SSL Labs", "SSL Labs b"]
)
def test_anchored_patterns_stay_anchored(text: str) -> None:
    assert ROBOTS.is_robot(text) == crawleruseragents.is_crawler(text)


_SEARCHES = [re.compile(pattern) for pattern in PATTERNS]


@given(st.sampled_from(INSTANCES + BROWSERS), st.sampled_from(INSTANCES), st.integers(0, 40), st.integers(0, 40))
def test_the_answer_is_that_of_the_expressions_themselves(first: str, second: str, cut: int, offset: int) -> None:
    mixed = first[cut:] + second[offset : offset + 30].swapcase() + second[offset + 30 :]

    assert ROBOTS.is_robot(mixed) == (not mixed or any(pattern.search(mixed) for pattern in _SEARCHES))


def test_expressions_without_a_certain_word_are_still_obeyed() -> None:
    matcher = RobotMatcher([r"a{2}b", r"(?i)wanderer", r"x|yy", r"plain\.word", r"foo.?bar\.com$"])

    assert [matcher.is_robot(agent) for agent in ("aab", "WANDERER", "x", "yy", "plain.word", "fooxbar.com")] == [
        True
    ] * 6
    assert [matcher.is_robot(agent) for agent in ("ab", "plainword", "z", "foobar.com.", "foo..bar.com")] == [False] * 5
