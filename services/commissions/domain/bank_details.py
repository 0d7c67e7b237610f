"""Where a bank pays to: IBAN and BIC, checked before they are kept. A refusal names the field and never repeats the
value.

Formats and countries are those of the IBAN registry as the library `schwifty` carries it. An IBAN of a country that is
not in the official registry is refused: banks do not take it, and an account number with a BIC says the same.
"""

from typing import Final

from schwifty import BIC, IBAN
from schwifty.exceptions import InvalidChecksumDigits, InvalidCountryCode, InvalidLength, SchwiftyException

from shared.kernel.errors import InvalidValue

_TEXT_LENGTH_MAX: Final = 64
"""An IBAN has at most 34 characters, 42 with blanks: what is longer is not looked at."""


def parse_iban(text: str, *, field: str = "iban") -> str:
    """The IBAN in its electronic form: upper case, no blanks. Blanks and lower case are accepted on the way in.

    Checks country, length, structure and check digits (ISO 7064 mod 97-10); national check digits within it are the
    bank's. Raises InvalidValue naming `field`: iban_malformed, iban_country_unknown, iban_length_wrong,
    iban_check_digits_wrong.
    """
    compact = _compact(text)
    if not compact.isascii() or not compact.isalnum() or len(compact) > _TEXT_LENGTH_MAX:
        raise InvalidValue(field, "iban_malformed", "must be letters A to Z and digits, blanks between them")
    try:
        iban = IBAN(compact)
    except InvalidCountryCode:
        raise _unknown_country(field) from None
    except InvalidLength:
        raise InvalidValue(field, "iban_length_wrong", "has not the length that its country prescribes") from None
    except InvalidChecksumDigits:
        raise InvalidValue(
            field, "iban_check_digits_wrong", "has wrong check digits: probably a typing error"
        ) from None
    except SchwiftyException:
        raise InvalidValue(field, "iban_malformed", "has not the structure that its country prescribes") from None
    if iban.is_aspirational:
        raise _unknown_country(field)
    return str(iban)


def parse_bic(text: str, *, field: str = "bic") -> str:
    """The BIC (SWIFT code) in upper case without blanks: 8 or 11 characters.

    Raises InvalidValue naming `field`: bic_malformed, bic_length_wrong, bic_country_unknown.
    """
    compact = _compact(text)
    if not compact.isascii() or not compact.isalnum() or len(compact) > _TEXT_LENGTH_MAX:
        raise InvalidValue(field, "bic_malformed", "must be 8 or 11 letters A to Z and digits")
    try:
        return str(BIC(compact))
    except InvalidLength:
        raise InvalidValue(field, "bic_length_wrong", "must have 8 or 11 characters") from None
    except InvalidCountryCode:
        raise InvalidValue(field, "bic_country_unknown", "names no country at its fifth and sixth place") from None
    except SchwiftyException:
        raise InvalidValue(field, "bic_malformed", "must be a bank, a country, a place and perhaps a branch") from None


def is_sepa_iban(iban: str) -> bool:
    """True when the account is kept in the Single Euro Payments Area. iban: as parse_iban gives it."""
    return IBAN(iban, allow_invalid=True).in_sepa_zone


def masked_iban(iban: str) -> str:
    """What may be shown of an IBAN: its country and its last four characters, `DE…3000`."""
    return f"{iban[:2]}…{iban[-4:]}"


def _compact(text: str) -> str:
    return "".join(text.split()).upper()


def _unknown_country(field: str) -> InvalidValue:
    return InvalidValue(field, "iban_country_unknown", "begins with no country that has IBANs")
