"""Values that look personal, in fields that are not meant for them: recognised, and replaced by a keyed hash.

Affiliates label clicks and merchants name orders in free text, and some write an e-mail address there. What reaches an
event that is kept for ever can never be erased, so it is replaced before it is stored anywhere. The same value gives
the same hash, so that orders still match and reports still group. Decided in ADR 0009.
"""

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

PersonalKind = Literal["email", "phone", "ip", "card"]

_HASH_BYTES: Final = 12
"""96 bits: no two of an affiliate's labels meet by chance, and 'hashed_email_' with it fits every field."""

# Each looks at a bounded stretch from each place: strangers' texts take time that grows with their length, no faster.
_AT = re.compile(r"@|%40")
_EMAIL_BOUNDARY = re.compile(r"[\s,;<>()\[\]\"'&=?/]")
_EMAIL_END = re.compile(r"[^\W_]\.[^\W\d_]{2,}")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:])[0-9a-f:.]{2,46}(?![\w:])", re.IGNORECASE | re.ASCII)
# Digits alone are an order number: only what is written as a telephone number is one. A "+" in a query arrives as a
# blank, hence the blank at the beginning.
_PHONE = re.compile(
    r"(?:(?<![\w+])\+|^ )(?:[ ().-]{0,2}\d){8,15}(?!\w)|(?<!\w)\(0?\d{2,4}\)[ ]?\d{3,4}[ .-]?\d{3,5}(?!\w)", re.ASCII
)
_CARD = re.compile(r"(?<![\w-])(?:\d[ -]?){13,18}\d(?![\w-])", re.ASCII)
_CARD_NUMBER = re.compile(
    r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[068]\d{12}|35\d{14}|6(?:011|4[4-9]\d|5\d\d)\d{12}",
    re.ASCII,
)
_SUSPECT = re.compile(r"[@:(+]|%40|^ |\d\.\d{1,3}\.\d|\d[\d -]{12}\d", re.ASCII | re.MULTILINE)


def personal_kind(text: str) -> PersonalKind | None:
    """What personal value `text` is or holds; None for none that can be told from a label or an order number.

    Telephone numbers count only in their written form (`+` and 8 to 15 digits, or an area code in brackets): national
    numbers as bare digits cannot be told from order numbers. Payment cards count by prefix, length (14 digits or more)
    and check digit, so that no number of up to 13 digits is ever taken for one.
    """
    if _SUSPECT.search(text) is None:
        return None
    if any(_holds_email(run) for run in _EMAIL_BOUNDARY.split(text)):
        return "email"
    if any(_is_address(found) for found in (*_IPV4.findall(text), *_with_colons(text))):
        return "ip"
    if _PHONE.search(text) is not None:
        return "phone"
    if any(_is_card(found) for found in _CARD.findall(text)):
        return "card"
    return None


def may_be_personal(texts: Iterable[str]) -> bool:
    """False when none of `texts`, of one line each, can be personal: one look at all of them, for the hot doors."""
    return _SUSPECT.search("\n".join(texts)) is not None


class Screen:
    """Replaces what looks personal by hashes under one secret: the same in every process that has it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def text(self, text: str) -> str:
        """`text`, or `hashed_{kind}_{24 hexadecimal digits}` where it holds a personal value."""
        kind = personal_kind(text)
        return text if kind is None else f"hashed_{kind}_{self._digest('value', text.strip())}"

    def optional(self, text: str | None) -> str | None:
        """The same, None for None."""
        return None if text is None else self.text(text)

    def mapping(self, texts: Mapping[str, str]) -> dict[str, str]:
        """The same for every value."""
        return {name: self.text(text) for name, text in texts.items()}

    def customer(self, *, merchant_id: int, reference: str) -> str:
        """What stands for a merchant's customer: `customer_` and 24 hexadecimal digits, another at each merchant."""
        return f"customer_{self._digest(f'customer:{merchant_id}', reference)}"

    def click(self, click_id: str) -> str:
        """What stands for a click in the record that it was erased: `click_` and 24 hexadecimal digits."""
        return f"click_{self._digest('click', click_id.lower())}"

    def _digest(self, purpose: str, text: str) -> str:
        return hmac.digest(self._secret, f"{purpose}:{text}".encode("utf-8", "replace"), "sha256")[:_HASH_BYTES].hex()


def _holds_email(run: str) -> bool:
    """Whether `run`, without blanks and other boundaries, has something, an @, and the end of a host name after it."""
    name, *hosts = _AT.split(run)
    has_name = bool(name)
    for host in hosts:
        if has_name and _EMAIL_END.search(host) is not None:
            return True
        has_name = has_name or bool(host)
    return False


def _with_colons(text: str) -> Iterable[str]:
    return () if text.count(":") < 2 else (found for found in _IPV6.findall(text) if found.count(":") >= 2)


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.rstrip("."))
    except ValueError:
        return False
    return address.version == 4 or text.count(":") >= 3 or address.is_link_local  # `a::b` is somebody's label


def _is_card(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")
    return _CARD_NUMBER.fullmatch(digits) is not None and _passes_check_digit(digits)


def _passes_check_digit(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
