"""What looks personal is recognised however it is written, and what is an order number or a label never is."""

import string
import time
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.personal_values import Screen, personal_kind

SCREEN = Screen(b"s" * 32)
WORDS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jo@mail.example", "email"),
        ("Jo.Doe+shop@Mail.Example.COM", "email"),
        ("jo%40mail.example", "email"),
        ("mailto:jo@mail.example", "email"),
        ("order of jo@mail.example (2)", "email"),
        ("jo@b\u00fccher.example", "email"),
        ("198.51.100.7", "ip"),
        ("ip=198.51.100.7", "ip"),
        ("2001:db8::7", "ip"),
        ("fe80::7", "ip"),
        ("from 2001:db8::7.", "ip"),
        ("+4915112345678", "phone"),
        ("+49 151 1234-5678", "phone"),
        ("+1 (555) 010-0199", "phone"),
        ("(0555) 010 0199", "phone"),
        (" 4915112345678", "phone"),
        ("4111111111111111", "card"),
        ("4111 1111 1111 1111", "card"),
        ("5555-5555-5555-4444", "card"),
        ("378282246310005", "card"),
    ],
)
def test_personal_values_are_recognised(text: str, kind: str) -> None:
    assert personal_kind(text) == kind
    assert SCREEN.text(text).startswith(f"hashed_{kind}_")
    assert len(SCREEN.text(text)) <= 64


@pytest.mark.parametrize(
    "text",
    [
        "A-1001", "100245779912", "112-1234567-1234567", "2026-11-24T12:30:45", "20261124-000123", "555-123-4567",
        "newsletter", "summer sale", "EUR 1.234,56", "v1.2.3.4.5", "1.2.3", "12:30", "a@b", "@handle", "C++", "+5",
        "sub+label", "10.00", "4111111111111112", "9999999999999995", "#4711", "Foo::Bar", "a::b", "utm|x:y:z",
        "550e8400-e29b-41d4-a716-446655440000", "04035bo6e9tpdqkhnk000001000000o007tj", "0000000000000000",
        "gclid.EAIaIQobChMI-4111", "(2024) 11", "x" * 255, "1" * 255,
    ],
)  # fmt: skip
def test_order_numbers_and_labels_are_left_alone(text: str) -> None:
    assert personal_kind(text) is None
    assert SCREEN.text(text) == text


@given(st.from_regex(r"[0-9]{1,13}", fullmatch=True))
def test_no_number_of_up_to_thirteen_digits_is_personal(text: str) -> None:
    assert personal_kind(text) is None


@given(st.from_regex(r"[A-Z]{0,4}[-_#/]?[0-9]{1,12}([-_/.][0-9]{1,6})?", fullmatch=True))
def test_no_common_order_id_is_personal(text: str) -> None:
    assert personal_kind(text) is None


@given(WORDS, WORDS, st.sampled_from(["", " ", "id="]), st.sampled_from(["", " ", ";x"]))
def test_an_address_is_found_wherever_it_stands(user: str, host: str, before: str, after: str) -> None:
    assert personal_kind(f"{before}{user}@{host}.example{after}") == "email"


@given(st.ip_addresses(v=4).map(str))
def test_every_ip_address_is_found(address: str) -> None:
    assert personal_kind(str(IPv4Address(address))) == "ip"


@given(st.ip_addresses(v=6, network="2001::/16").filter(lambda address: str(address).count(":") >= 3))
def test_every_ipv6_address_of_the_net_is_found(address: IPv6Address) -> None:
    assert personal_kind(str(address)) == "ip"


@given(st.text(max_size=300))
def test_anything_at_all_is_judged_and_never_judged_twice(text: str) -> None:
    once = SCREEN.text(text)

    assert SCREEN.text(once) == once


def test_the_same_value_gives_the_same_hash_and_only_under_the_same_key() -> None:
    assert SCREEN.text("jo@mail.example") == SCREEN.text("jo@mail.example ")
    assert SCREEN.text("jo@mail.example") != Screen(b"t" * 32).text("jo@mail.example")
    assert SCREEN.customer(merchant_id=1, reference="c1") == SCREEN.customer(merchant_id=1, reference="c1")
    assert SCREEN.customer(merchant_id=1, reference="c1") != SCREEN.customer(merchant_id=2, reference="c1")


def _seconds(text: str) -> float:
    def once() -> float:
        started = time.perf_counter()
        personal_kind(text)
        return time.perf_counter() - started

    return min(once() for _ in range(7))


@pytest.mark.parametrize(
    "part", ["%40", "a%40", "a@", "@a", "9", "a:", ":", "f:.", "1.", "+1 ", "(0", "1-", "x" * 30 + ":::", "a.a@"]
)
def test_no_text_takes_time_out_of_proportion_to_its_length(part: str) -> None:
    short = part * (400 // len(part))

    assert _seconds(short * 10 + "@::") < 50 * _seconds(short + "@::")  # out of proportion is 100 times and more


def test_references_that_differ_in_case_stay_two() -> None:
    """Order ids tell capitals apart: taking two orders for one would pay for one of them only."""
    assert SCREEN.text("Jo@mail.example-1") != SCREEN.text("jo@mail.example-1")
