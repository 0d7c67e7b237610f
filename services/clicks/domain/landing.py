"""Where a click lands: an offer's landing template, compiled once, filled for every click."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote_plus

from services.clicks.domain.web_address import AddressRefused, WebAddress, read_web_address

SUB_NAMES: Final = tuple(f"sub{number}" for number in range(1, 11))
MACROS: Final = frozenset({"click_id", "affiliate_id", "offer_id", "source", "timestamp", *SUB_NAMES})

_MACRO = re.compile(r"\{([a-z_0-9]+)\}", re.ASCII)
_STAND_IN = re.compile(r"zqmacro([0-9]+)endzq", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Fixed texts with a macro between each two: texts[0] macros[0] texts[1] … texts[n]."""

    texts: tuple[str, ...]
    macros: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> str:
        filled = self.texts[0]
        for macro, text in zip(self.macros, self.texts[1:], strict=True):
            filled += quote(values.get(macro, ""), safe="") + text
        return filled


@dataclass(frozen=True, slots=True)
class Landing:
    """A compiled landing page. Its host is fixed: no value of a click can move it.

    click_id_lead: what comes before the click ID at the end of the query; "" where a macro carries it. joint: what
    joins one more parameter to the query. query_names: parameters the page has already, that of the click ID among
    them, which nothing passed through may repeat.
    """

    before_fragment: _Pattern
    fragment: _Pattern
    click_id_lead: str
    joint: str
    query_names: frozenset[str]

    @property
    def has_macros(self) -> bool:
        """True when filling needs values."""
        return bool(self.before_fragment.macros or self.fragment.macros)

    def with_click_id_parameter(self, click_id_parameter: str) -> "Landing":
        """The same page with another parameter for the click ID."""
        if not self.click_id_lead:
            return self
        return replace(
            self,
            click_id_lead=_lead(self.joint, click_id_parameter),
            query_names=self.query_names | {click_id_parameter},
        )

    def fill(self, values: Mapping[str, str], click_id: str, passed: Mapping[str, str]) -> str:
        """The page's address for one click, ASCII. click_id: "" leaves it out. passed: parameters to pass through."""
        tail = self.click_id_lead + click_id if click_id and self.click_id_lead else ""
        for name, value in passed.items():
            if name not in self.query_names:
                tail += f"{'&' if tail else self.joint}{quote(name, safe='')}={quote(value, safe='')}"
        if not self.has_macros:
            return self.before_fragment.texts[0] + tail + self.fragment.texts[0]
        return self.before_fragment.fill(values) + tail + self.fragment.fill(values)


def compile_landing(template: str, *, click_id_parameter: str, allow_loopback_http: bool) -> Landing:
    """The landing page of `template`; a click ID that stands in it already is taken out.

    Raises AddressRefused when it is no fixed-host https address.
    """
    macros: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        if match[1] not in MACROS:
            return match[0]
        macros.append(match[1])
        return f"zqmacro{len(macros) - 1}endzq"

    address = read_web_address(
        _MACRO.sub(stand_in, template), allow_loopback_http=allow_loopback_http, field="landing_template"
    )
    if _STAND_IN.search(address.origin):
        raise AddressRefused("landing_template", "url_malformed", "macros come after the host")
    if "click_id" not in macros:
        address = _without_parameter(address, click_id_parameter)
    return _compile(address, macros, click_id_parameter)


def landing_of_deep_link(address: WebAddress, *, click_id_parameter: str) -> Landing:
    """A deep link as a landing page; a click ID it carries already is taken out."""
    return _compile(_without_parameter(address, click_id_parameter), [], click_id_parameter)


def _without_parameter(address: WebAddress, parameter: str) -> WebAddress:
    """`address` with nothing in its query under `parameter`: of two click IDs a shop may read the wrong one."""
    pairs = address.query.removeprefix("?").split("&")
    kept = [pair for pair in pairs if pair and _name_of(pair) != parameter]
    return replace(address, query="?" + "&".join(kept) if kept else "")


def _compile(address: WebAddress, macros: list[str], click_id_parameter: str) -> Landing:
    query = address.query.removeprefix("?")
    joint = "?" if not address.query else "" if query == "" or query.endswith("&") else "&"
    lead = "" if "click_id" in macros else _lead(joint, click_id_parameter)
    names = {_name_of(pair) for pair in query.split("&") if pair}
    return Landing(
        before_fragment=_pattern(address.before_fragment, macros),
        fragment=_pattern(address.fragment, macros),
        click_id_lead=lead,
        joint=joint,
        query_names=frozenset(names | {click_id_parameter} if lead else names),
    )


def _lead(joint: str, click_id_parameter: str) -> str:
    return f"{joint}{quote(click_id_parameter, safe='')}="


def _pattern(text: str, macros: list[str]) -> _Pattern:
    if not macros:
        return _Pattern((text,), ())
    pieces = _STAND_IN.split(text)
    return _Pattern(tuple(pieces[0::2]), tuple(macros[int(number)] for number in pieces[1::2]))


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
