"""Which rate holds, exactly, and what the central bank's files say of it."""

import contextlib
import io
import zipfile
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commissions.clients.ecb_file import FILE_BYTES_MAX, UNPACKED_BYTES_MAX, RateFileInvalid, read_rate_file
from services.commissions.domain.exchange_rates import ExchangeRate, RateBook, exchange_rate, parse_rate, rate_text
from shared.kernel.errors import InvalidValue
from shared.kernel.money import convert, round_half_up_exact

DAY = date(2026, 11, 23)
TODAY = date(2026, 11, 24)
RATES = st.decimals(min_value="0.000001", max_value="1000000", places=6)


def ecb(quote: str, rate: str, day: date = DAY) -> ExchangeRate:
    return ExchangeRate("EUR", quote, Decimal(rate), "ecb", day)


def test_the_pairs_own_rate_its_inverse_and_the_cross() -> None:
    book = RateBook([ecb("USD", "1.25"), ecb("GBP", "0.8")])

    found = [book.find(*pair, DAY, days_max=7) for pair in (("EUR", "USD"), ("USD", "EUR"), ("USD", "GBP"))]

    assert [each and rate_text(each.rate) for each in found] == ["1.25", "0.8", "0.64"]
    assert {each and (each.source, each.as_of) for each in found} == {("ecb", DAY)}


def test_of_one_day_the_pairs_own_rate_comes_before_a_cross() -> None:
    own = ExchangeRate("GBP", "USD", Decimal("2"), "house_bank", DAY)
    book = RateBook([ecb("USD", "1.25"), ecb("GBP", "0.8"), own])

    assert book.find("GBP", "USD", DAY, days_max=7) == own


def test_a_cross_names_both_sources() -> None:
    book = RateBook([ecb("USD", "1.25"), ExchangeRate("GBP", "EUR", Decimal("1.2"), "house_bank", DAY)])

    found = book.find("GBP", "USD", DAY, days_max=7)

    assert found == ExchangeRate("GBP", "USD", Decimal("1.5"), "house_bank+ecb", DAY)


@pytest.mark.parametrize(("age", "holds"), [(0, True), (7, True), (8, False), (-1, False)])
def test_a_rate_holds_from_its_day_on_and_for_so_many_days(age: int, holds: bool) -> None:
    found = RateBook([ecb("USD", "1.25")]).find("EUR", "USD", DAY + timedelta(days=age), days_max=7)

    assert (found is not None) is holds


def test_the_newest_day_wins_over_the_better_way() -> None:
    old = ExchangeRate("GBP", "USD", Decimal("2"), "house_bank", DAY - timedelta(days=1))
    book = RateBook([ecb("USD", "1.25"), ecb("GBP", "0.8"), old])

    found = book.find("GBP", "USD", DAY, days_max=7)

    assert found is not None
    assert rate_text(found.rate) == "1.5625"


def test_legs_of_two_days_are_not_crossed() -> None:
    book = RateBook([ecb("USD", "1.25"), ecb("GBP", "0.8", DAY - timedelta(days=1))])

    assert book.find("GBP", "USD", DAY, days_max=7) is None


def test_a_missing_rate_is_never_one() -> None:
    assert RateBook().find("USD", "EUR", DAY, days_max=31) is None


@given(RATES, RATES, st.integers(0, 10**15))
def test_a_cross_is_right_far_below_a_minor_unit(usd: Decimal, gbp: Decimal, amount_minor: int) -> None:
    found = RateBook([ecb("USD", str(usd)), ecb("GBP", str(gbp))]).find("USD", "GBP", DAY, days_max=0)

    assert found is not None
    exact = Fraction(gbp) / Fraction(usd)
    assert abs(Fraction(found.rate) - exact) <= exact / 10**23
    converted = convert(Fraction(amount_minor), base="USD", quote="GBP", rate=found.rate)
    assert abs(converted.amount_minor - amount_minor * exact) <= Fraction(1, 2) + amount_minor * exact / 10**23


@given(RATES, st.integers(-(10**12), 10**12), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_there_and_back_loses_no_more_than_the_roundings(rate: Decimal, amount_minor: int, quote: str) -> None:
    book = RateBook([ExchangeRate("USD", quote, rate, "ecb", DAY)])
    back = book.find(quote, "USD", DAY, days_max=0)
    assert back is not None

    there = convert(Fraction(amount_minor), base="USD", quote=quote, rate=rate)
    again = convert(Fraction(there.amount_minor), base=quote, quote="USD", rate=back.rate)

    half_there = Fraction(1, 2) * Fraction(100, {"EUR": 100, "JPY": 1, "KWD": 1000}[quote]) / Fraction(rate)
    assert abs(again.amount_minor - amount_minor) <= half_there + Fraction(1, 2) + 1


@given(st.fractions())
def test_the_exact_rounding_is_half_up_away_from_zero(amount: Fraction) -> None:
    rounded = round_half_up_exact(amount)

    assert abs(rounded - amount) <= Fraction(1, 2)
    assert round_half_up_exact(-amount) == -rounded
    if abs(rounded - amount) == Fraction(1, 2):
        assert abs(rounded) > abs(amount)


@pytest.mark.parametrize(
    ("amount_minor", "base", "quote", "rate", "expected"),
    [
        (10_000, "USD", "EUR", "0.9216", 9_216),
        (10_000, "EUR", "JPY", "160.5", 16_050),
        (1_005, "JPY", "EUR", "0.00623", 626),
        (1_000, "KWD", "EUR", "3", 300),
        (-50, "USD", "EUR", "0.5", -25),
        (1, "USD", "EUR", "0.5", 1),
        (-1, "USD", "EUR", "0.5", -1),
    ],
)
def test_a_conversion_knows_each_currencys_decimals(
    amount_minor: int, base: str, quote: str, rate: str, expected: int
) -> None:
    assert convert(Fraction(amount_minor), base=base, quote=quote, rate=Decimal(rate)).amount_minor == expected


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "+1", "1e3", "1,5", " 1", "", ".5", "5.", "01", "NaN", "1" * 13])
def test_a_rate_is_a_plain_decimal_above_zero(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_rate(text)


@given(st.decimals(min_value="0.000000000001", max_value="999999999999", places=12).filter(bool))
def test_a_rate_is_spelt_without_loss(rate: Decimal) -> None:
    assert Decimal(rate_text(rate)) == rate
    assert parse_rate(rate_text(rate)) == rate


@pytest.mark.parametrize(
    "wrong",
    [{"base": "EUX"}, {"quote": "usd"}, {"quote": "EUR"}, {"source": "ECB"}, {"as_of": date(2026, 11, 25)}],
)
def test_a_rate_from_outside_is_judged(wrong: dict[str, object]) -> None:
    given_rate = {"base": "EUR", "quote": "USD", "rate": "1.1", "source": "ecb", "as_of": DAY, "today": TODAY}

    exchange_rate(**given_rate)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue) as refused:
        exchange_rate(**{**given_rate, **wrong})  # type: ignore[arg-type]

    assert refused.value.field in wrong


HISTORY = "Date,USD,JPY,CYP,\n2026-11-23,1.0842,160.55,N/A,\n2026-11-20, 1.0901 ,,N/A,\n\n"
DAILY = "Date, USD, JPY, \n23 November 2026, 1.0842, 160.55, \n"
XML = """<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
    xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
<gesmes:subject>Reference rates</gesmes:subject>
<gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
<Cube><Cube time='2026-11-23'><Cube currency='USD' rate='1.0842'/><Cube currency='JPY' rate='160.55'/></Cube></Cube>
</gesmes:Envelope>"""


def zipped(*contents: str | bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"eurofxref{number}.csv", content)
    return written.getvalue()


@pytest.mark.parametrize("content", [DAILY.encode(), b"\xef\xbb\xbf" + DAILY.encode(), XML.encode(), zipped(DAILY)])
def test_a_days_file_in_each_form(content: bytes) -> None:
    file = read_rate_file(content, today=TODAY)

    assert list(file.rates) == [ecb("JPY", "160.55"), ecb("USD", "1.0842")]


@pytest.mark.parametrize("content", [HISTORY.encode(), zipped(HISTORY)])
def test_the_history_with_its_blanks_and_what_was_not_quoted(content: bytes) -> None:
    file = read_rate_file(content, today=TODAY)

    friday = DAY - timedelta(days=3)
    assert list(file.rates) == [ecb("USD", "1.0901", friday), ecb("JPY", "160.55"), ecb("USD", "1.0842")]
    assert file.unknown == frozenset()


def test_a_currency_of_the_past_is_left_out_and_named() -> None:
    file = read_rate_file(HISTORY.replace("160.55,N/A", "160.55,0.58").encode(), today=TODAY)

    assert file.unknown == {"CYP"}
    assert "CYP" not in {each.quote for each in file.rates}


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\xff\xfe",
        b"Date,USD,\n",
        b"Day,USD,\n2026-11-23,1.1,\n",
        b"Date,USD,USD,\n2026-11-23,1.1,1.1,\n",
        b"Date,Usd,\n2026-11-23,1.1,\n",
        b"Date,USD,\n2026-11-23,1.1\n2026-11-23,1.2\n",
        b"Date,USD,\n2026-11-23,1.1,2,\n",
        b"Date,USD,JPY,\n2026-11-23,1.1\n",
        b"Date,USD,\n23.11.2026,1.1,\n",
        b"Date,USD,\n31 November 2026,1.1,\n",
        b"Date,USD,\n2026-11-25,1.1,\n",
        b"Date,USD,\n2026-11-23,0,\n",
        b"Date,USD,\n2026-11-23,-1.1,\n",
        b"Date,USD,\n2026-11-23,1e3,\n",
        b"Date,USD,\n2026-11-23,n/a,\n",
        b"Date,EUR,\n2026-11-23,1,\n",
        b'Date,USD,\n2026-11-23,"1.1\nx,\n',
        XML.replace("<gesmes:Envelope", f"{BOMB}<gesmes:Envelope").encode(),
        XML.replace("1.0842", "&a;").encode(),
        XML.replace("<Cube>", "<?php ?><Cube>").encode(),
        XML.replace("Sender", "Script").encode(),
        XML.replace("rate='1.0842'", "rate='1.0842' bid='1'").encode(),
        XML.replace("time='2026-11-23'", "").encode(),
        XML.replace("<Cube currency='USD' rate='1.0842'/>", "<Cube currency='JPY' rate='1'/>").encode(),
        XML.replace("</gesmes:Envelope>", "").encode(),
        zipped(),
        zipped(DAILY, DAILY),
        zipped(DAILY)[:-30],
        zipped(b"0" * (UNPACKED_BYTES_MAX + 1)),
        b"D" * (FILE_BYTES_MAX + 1),
    ],
)
def test_anything_else_refuses_the_whole_file(content: bytes) -> None:
    with pytest.raises(RateFileInvalid) as refused:
        read_rate_file(content, today=TODAY)

    assert "1.1" not in str(refused.value)


@given(st.binary(max_size=400))
def test_no_octets_do_worse_than_be_refused(content: bytes) -> None:
    for prefix in (b"", b"<", b"PK\x03\x04", b"Date,USD\n2026-11-23,"):
        with contextlib.suppress(RateFileInvalid):
            read_rate_file(prefix + content, today=TODAY)


@given(st.integers(0, len(XML) - 1), st.integers(0, 255))
def test_a_file_with_one_octet_changed_is_read_or_refused(place: int, octet: int) -> None:
    for whole in (XML.encode(), zipped(HISTORY), HISTORY.encode()):
        broken = bytearray(whole)
        broken[place % len(broken)] = octet
        with contextlib.suppress(RateFileInvalid):
            read_rate_file(bytes(broken), today=TODAY)
