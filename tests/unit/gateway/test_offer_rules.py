"""What an offer may say, and what it is told when it may not."""

import contextlib
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.offer_rules import VersionDraft, read_version
from services.gateway.domain.term_drafts import TermDraft
from services.gateway.domain.web_addresses import check_address, check_landing_template
from services.gateway.storage.term_codec import decode_terms, encode_terms
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money

GOOD = VersionDraft(
    landing_template="https://shop.example/p?cid={click_id}&s={sub1}#x{timestamp}",
    allowed_hosts=["shop.example"],
    window_min_seconds=0,
    window_max_seconds=86_400,
    late_hours=48,
    validation_days=14,
    hold_days=30,
    click_id_parameter="click_id",
    referrer_policy="no-referrer",
    terms=[TermDraft(event="sale", kind="percentage", rate_percent="10", margin_percent="2")],
)
FLAT = TermDraft(event="lead", kind="flat", amount=("5.00", "EUR"), margin=("0.50", "EUR"))
PERCENTAGE = GOOD.terms[0]


def _refused_field(*, allow_loopback_http: bool = False, **changes: Any) -> str:
    with pytest.raises(InvalidValue) as refusal:
        read_version(replace(GOOD, **changes), allow_loopback_http=allow_loopback_http)
    return refusal.value.field


def test_a_good_draft_is_read() -> None:
    content = read_version(replace(GOOD, terms=[PERCENTAGE, FLAT]), allow_loopback_http=False)

    assert content.landing_template == GOOD.landing_template
    assert content.terms[0].rate_percent == Decimal(10)
    assert (content.terms[1].flat_amount, content.terms[1].margin_amount) == (Money(500, "EUR"), Money(50, "EUR"))


def test_terms_survive_being_stored() -> None:
    terms = read_version(
        replace(GOOD, terms=[PERCENTAGE, FLAT, TermDraft(event="install", kind="flat", amount=("300", "JPY"))]),
        allow_loopback_http=False,
    ).terms

    assert decode_terms(encode_terms(terms)) == terms


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"window_min_seconds": -1}, "window.min_seconds"),
        ({"window_max_seconds": 90 * 86_400 + 1}, "window.max_seconds"),
        ({"window_min_seconds": 5, "window_max_seconds": 4}, "window.max_seconds"),
        ({"late_hours": 2_161}, "late_hours"),
        ({"late_hours": -1}, "late_hours"),
        ({"validation_days": 181}, "validation_days"),
        ({"hold_days": 181}, "hold_days"),
        ({"click_id_parameter": "click id"}, "click_id_parameter"),
        ({"click_id_parameter": ""}, "click_id_parameter"),
        ({"click_id_parameter": "a&b"}, "click_id_parameter"),
        ({"referrer_policy": "anything\r\nSet-Cookie: a"}, "referrer_policy"),
        ({"allowed_hosts": ["shop.example", "shop.example"]}, "allowed_hosts.1"),
        ({"allowed_hosts": ["x.example"] * 101}, "allowed_hosts"),
        ({"terms": []}, "terms"),
        ({"terms": [replace(FLAT, event=f"e{n}") for n in range(21)]}, "terms"),
        ({"terms": [FLAT, FLAT]}, "terms.1.event"),
        ({"terms": [replace(FLAT, event="Sale")]}, "terms.0.event"),
        ({"terms": [replace(FLAT, event="")]}, "terms.0.event"),
        ({"terms": [replace(FLAT, event="x" * 33)]}, "terms.0.event"),
        ({"terms": [PERCENTAGE, replace(FLAT, event="refund")]}, "terms.1.event"),
        ({"terms": [replace(FLAT, kind="tiered")]}, "terms.0.kind"),
        ({"terms": [replace(FLAT, amount=None)]}, "terms.0.amount"),
        ({"terms": [replace(FLAT, rate_percent="1")]}, "terms.0.rate_percent"),
        ({"terms": [replace(FLAT, margin=("1", "USD"))]}, "terms.0.margin.currency"),
        ({"terms": [replace(FLAT, amount=("1", "XXX"))]}, "terms.0.amount.currency"),
        ({"terms": [replace(FLAT, amount=("1.001", "EUR"))]}, "terms.0.amount.amount"),
        ({"terms": [replace(FLAT, amount=("1.5", "JPY"), margin=None)]}, "terms.0.amount.amount"),
        ({"terms": [PERCENTAGE, replace(PERCENTAGE, event="b", rate_percent=None)]}, "terms.1.rate_percent"),
        ({"terms": [replace(PERCENTAGE, amount=("1", "EUR"))]}, "terms.0.amount"),
        ({"terms": [replace(PERCENTAGE, rate_percent="99", margin_percent="1.000001")]}, "terms.0.margin_percent"),
    ],
)
def test_what_breaks_a_rule_is_named(changes: dict[str, Any], field: str) -> None:
    assert _refused_field(**changes) == field


HOSTILE_NUMBERS = [
    "", " ", " 5 ", "5 ", "-5", "+5", "-0", "1e2",
    "1e400", "NaN", "Infinity", "0x10", "1_000", "1,5", "١٢", "５", "101",
    "100.0000001", "0.0000001", "05", ".5", "5.", "5..0", "9" * 400, "5\x00", "5\n", "½",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE_NUMBERS)
def test_hostile_rates_are_refused(text: str) -> None:
    assert _refused_field(terms=[replace(PERCENTAGE, rate_percent=text)]) == "terms.0.rate_percent"


@pytest.mark.parametrize("text", [t for t in HOSTILE_NUMBERS if t != "101"] + ["1000000000000000.00"])
def test_hostile_amounts_are_refused(text: str) -> None:
    assert _refused_field(terms=[replace(FLAT, amount=(text, "EUR"))]) == "terms.0.amount.amount"


@pytest.mark.parametrize("code", ["", "eur", "EURO", "EU", "€", "XAU", "XXX", "EUR ", "ＥＵＲ", "EUR\x00"])
def test_hostile_currencies_are_refused(code: str) -> None:
    assert _refused_field(terms=[replace(FLAT, amount=("1", code), margin=None)]) == "terms.0.amount.currency"


HOSTILE_ADDRESSES = [
    "", " ", "shop.example", "//shop.example/", "/p", "https:shop.example", "https:/shop.example", "https:///shop.example",
    "http://shop.example/", "ftp://shop.example/", "javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x",
    "HTTPS://shop.example/", "https://Shop.example/", "https://shop.example./", "https://user@shop.example/",
    "https://user:pw@shop.example/", "https://@shop.example/", "https://shop.example@evil.example/",
    "https://evil.example\\@shop.example/", "https:\\\\shop.example/", "https://shop.example\\.evil.example/",
    "https://shop.example%2eevil.example/", "https://shop.example。evil.example/", "https://ｓhop.example/",
    "https://shöp.example/", "https://shop.example/ü", "https://shop.example/a b", "https://shop.example/\t",
    "https://shop.example/\n", "https://shop.example/\x00", "https://shop.example/\u2028", "https://127.0.0.1/",
    "https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://0177.0.0.1/", "https://1.2.3.4/", "https://[::1]/",
    "https://[2001:db8::1]/", "https://localhost/", "https://shop/", "https://-shop.example/", "https://shop-.example/",
    "https://shop..example/", "https://.shop.example/", "https://shop_x.example/", "https://xn--a/",
    "https://xn--zzzzzzzzzz-.example/", "https://shop.example:/", "https://shop.example:0/", "https://shop.example:065/",
    "https://shop.example:65536/", "https://shop.example:80a/", "https://?x", "https://#", "https://", "blob:https://shop.example/",
    "https://shop.example/" + "a" * 2_048, "https://" + "a." * 130 + "example/", "https://" + "a" * 64 + ".example/",
]  # fmt: skip


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
def test_hostile_addresses_are_refused(address: str) -> None:
    assert _refused_field(landing_template=address) == "landing_template"
    with pytest.raises(InvalidValue):
        check_address(address, allow_loopback_http=False, field="fallback_url")


@pytest.mark.parametrize(
    "template",
    [
        "{click_id}",
        "https://{sub1}/",
        "https://{sub1}.shop.example/",
        "https://shop.example{sub1}/",
        "https://shop.example:{sub1}/",
        "https://{source}@shop.example/",
        "{source}://shop.example/",
        "https://shop.example/{payout}",
        "https://shop.example/{sub11}",
        "https://shop.example/{CLICK_ID}",
        "https://shop.example/{click_id",
        "https://shop.example/click_id}",
        "https://shop.example/{{click_id}}",
        "https://shop.example/{}",
        "https://shop.example/{ click_id }",
    ],
)
def test_macros_stand_after_the_host_and_are_known(template: str) -> None:
    assert _refused_field(landing_template=template) == "landing_template"


@pytest.mark.parametrize(
    "template",
    [
        "https://shop.example",
        "https://shop.example/",
        "https://shop.example?x={click_id}",
        "https://xn--shp-sna.example/p",
        "https://shop.example:8443/{affiliate_id}/{offer_id}",
        "https://a-b.c-d.shop.example/%7E/?q=%20&r={sub10}#f{source}",
    ],
)
def test_good_templates_are_taken_as_written(template: str) -> None:
    assert check_landing_template(template, allow_loopback_http=False) == template


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "localhost:8123", "localhost", "[::1]:8123"])
def test_plain_http_is_for_this_machine_and_where_allowed(host: str) -> None:
    template = f"http://{host}/p?cid={{click_id}}"

    assert check_landing_template(template, allow_loopback_http=True) == template
    assert _refused_field(landing_template=template) == "landing_template"
    assert _refused_field(landing_template="http://shop.example/", allow_loopback_http=True) == "landing_template"


@pytest.mark.parametrize(
    "name",
    ["", "Shop.example", "shop", "shop.example.", ".shop.example", "*.shop.example", "shop.example:443", "https://shop.example",
     "shop.example/", "1.2.3.4", "127.1", "[::1]",
     "localhost", "shöp.example", "ｓhop.example", "shop。example", "shop.example ",
     "shop_x.example", "a" * 64 + ".example", "a." * 127 + "example", "shop.example\n"],
)  # fmt: skip
def test_hostile_host_names_are_refused(name: str) -> None:
    assert _refused_field(allowed_hosts=[name]) == "allowed_hosts.0"


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_break(text: str) -> None:
    for template in (
        text,
        f"https://shop.example/{text}",
        f"https://{text}.shop.example/",
        f"https://shop.example{text}",
    ):
        with contextlib.suppress(InvalidValue):
            assert check_landing_template(template, allow_loopback_http=False) == template
