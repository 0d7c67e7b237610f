"""IBAN, BIC and the banks' character set: what is wrong is refused by name, and a text is rewritten by one rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commissions.domain.bank_details import is_sepa_iban, masked_iban, parse_bic, parse_iban
from services.commissions.domain.bank_text import bank_text, check_reference
from shared.kernel.errors import InvalidValue
from tests.factories.payout_files import IBAN_DE, IBAN_FR, IBAN_SA

ALLOWED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")


@pytest.mark.parametrize("spelling", [IBAN_DE, "DE89 3704 0044 0532 0130 00", " de89 3704 0044 0532 0130 00 "])
def test_an_iban_is_kept_in_its_electronic_form(spelling: str) -> None:
    assert parse_iban(spelling) == IBAN_DE


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("DE89370400440532013001", "iban_check_digits_wrong"),
        ("DE89370400440532010300", "iban_check_digits_wrong"),
        ("DE8937040044053201300", "iban_length_wrong"),
        ("ZZ89370400440532013000", "iban_country_unknown"),
        ("DE89-3704-0044-0532-0130-00", "iban_malformed"),
        ("DE8937040044053201300O", "iban_malformed"),
        ("", "iban_malformed"),
        ("D" * 10_000, "iban_malformed"),
        ("DE٨٩370400440532013000", "iban_malformed"),
    ],
)
def test_a_wrong_iban_is_refused_by_name_and_never_repeated(wrong: str, code: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_iban(wrong, field="bank.iban")

    assert (refused.value.field, refused.value.code) == ("bank.iban", code)
    assert wrong == "" or wrong not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.integers(0, len(IBAN_DE) - 1), st.sampled_from("0123456789"))
def test_one_wrong_digit_is_always_found(place: int, digit: str) -> None:
    if IBAN_DE[place] == digit or place < 2:
        return

    with pytest.raises(InvalidValue):
        parse_iban(IBAN_DE[:place] + digit + IBAN_DE[place + 1 :])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("COBADEFFX", "bic_length_wrong"), ("COBAZZFFXXX", "bic_country_unknown"), ("COBA-DEFF", "bic_malformed")],
)
def test_a_wrong_bic_is_refused_by_name(wrong: str, code: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_bic(wrong, field="bank.bic")

    assert (refused.value.field, refused.value.code) == ("bank.bic", code)
    assert wrong not in str(refused.value)


def test_a_bic_is_upper_case() -> None:
    assert parse_bic(" cobadeff ") == "COBADEFF"


def test_sepa_is_told_from_the_rest_of_the_world() -> None:
    assert is_sepa_iban(IBAN_DE)
    assert is_sepa_iban(IBAN_FR)
    assert not is_sepa_iban(IBAN_SA)


def test_a_shown_iban_gives_its_country_and_its_end_only() -> None:
    assert masked_iban(IBAN_DE) == "DE…3000"


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("Müller & Söhne GmbH", "Muller + Sohne GmbH"),
        ("Weiß", "Weiss"),
        ("Łukasz Żółć", "Lukasz Zolc"),
        ("Ærø Øl", "AEro Ol"),
        ("O’Brien “Ltd”", "O'Brien 'Ltd'"),
        ("Ωmega Ελλάς", "Omega Ellas"),
        ("Иван Жуков", "Ivan ZHukov"),
        ("a\u00a0 b\t\nc", "a b c"),
        ("50 % @ home_page", "50 . . home-page"),
        ("Ｆｕｌｌ", "Full"),
        ("ﬁne", "fine"),
    ],
)
def test_a_name_is_spelt_by_the_stated_rule(name: str, spelt: str) -> None:
    assert bank_text(name, length_max=70, field="name") == spelt


def test_a_name_is_cut_to_the_limit_without_a_blank_at_its_end() -> None:
    assert bank_text("ab cd", length_max=3, field="name") == "ab"
    assert bank_text("ß" * 70, length_max=70, field="name") == "s" * 70


@pytest.mark.parametrize("name", ["東京商事", "محمد", "ישראל", "A 東"])
def test_a_name_in_another_script_is_never_guessed(name: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        bank_text(name, length_max=70, field="lines.2.creditor_name")

    assert (refused.value.field, refused.value.code) == ("lines.2.creditor_name", "text_not_latin")
    assert name not in str(refused.value)


@given(st.text(max_size=300), st.integers(1, 140))
def test_whatever_is_written_a_bank_takes(text: str, length_max: int) -> None:
    try:
        spelt = bank_text(text, length_max=length_max, field="name")
    except InvalidValue:
        return

    assert 0 < len(spelt) <= length_max
    assert set(spelt) <= ALLOWED
    assert spelt == spelt.strip()
    assert bank_text(spelt, length_max=length_max, field="name") == spelt


@pytest.mark.parametrize("wrong", ["", "a" * 36, "/a", "a/", "a//b", "ä", " a", "a\n", "a_b"])
def test_a_reference_that_a_bank_might_change_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidValue):
        check_reference(wrong, field="end_to_end_id")
