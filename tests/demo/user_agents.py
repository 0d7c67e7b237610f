"""Who clicks: user agents taken from the crawler-user-agents and ua-parser packages' own data.

Robots are the list's own instances. People are (a) the browsers that robots dress up as, with the robot's mark cut
off, and (b) the browser families ua-parser knows, spelt as those browsers spell themselves. Whatever either package
still takes for a robot is left out.
"""

import re
from dataclasses import dataclass
from random import Random

import ua_parser
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, is_crawler
from ua_parser_builtins.matchers import MATCHERS

_MARKS = (
    re.compile(r"\s*\(compatible;[^)]*\)\s*$"),
    re.compile(r"\s*\(\+?https?:[^)]*\)\s*$"),
    re.compile(r"\s+\S*(?:[Bb]ot|[Cc]rawler|[Ss]pider)\S*.*$"),
)
_BROWSER = re.compile(
    r"Mozilla/5\.0 \([A-Za-z][^()]+\) (?:AppleWebKit/[\d.]+ \(KHTML, like Gecko\)|Gecko/\d+)"
    r"(?: [A-Za-z]+(?:/[A-Za-z0-9.]+)?)+"
)
_FAMILY = re.compile(r"\(([A-Za-z]+(?:\|[A-Za-z]+)*)\)/\(\\d\+\)", re.ASCII)
_MOBILE = (
    "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "{}/12.3 Chrome/131.0.0.0 Mobile Safari/537.36"
)


@dataclass(frozen=True, slots=True)
class UserAgents:
    """people and robots: distinct user agents, in a seeded order."""

    people: tuple[str, ...]
    robots: tuple[str, ...]


def read_user_agents(random: Random) -> UserAgents:
    """All user agents of the two packages that can stand in an HTTP header."""
    instances = [text for entry in CRAWLER_USER_AGENTS_DATA for text in entry["instances"] if _fits_a_header(text)]
    robots = sorted({text for text in instances if is_crawler(text)})
    undressed = {mark.sub("", text).strip() for text in instances for mark in _MARKS}
    spelt = {_MOBILE.format(family) for family in _browser_families()}
    people = sorted(text for text in undressed | spelt if _BROWSER.fullmatch(text) and not _looks_like_a_robot(text))
    random.shuffle(people)
    random.shuffle(robots)
    return UserAgents(tuple(people), tuple(robots))


def _fits_a_header(text: str) -> bool:
    return text.isascii() and text.isprintable() and text == text.strip()


def _browser_families() -> set[str]:
    user_agent_matchers, _, _ = MATCHERS
    found = (_FAMILY.match(matcher.regex) for matcher in user_agent_matchers)
    return {family for match in found if match for family in match[1].split("|")}


def _looks_like_a_robot(text: str) -> bool:
    if is_crawler(text, case_sensitive=False):
        return True
    device = ua_parser.parse(text).device
    return device is not None and device.family == "Spider"
