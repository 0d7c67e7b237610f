"""Small steps through a bank's XML by local names, and the refusal that says where and not what."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, parse_money

REFERENCE_LENGTH_MAX: Final = 35
TEXT_LENGTH_MAX: Final = 140
_AMOUNT = re.compile(r"([0-9]{1,18})(?:\.([0-9]{0,17}))?", re.ASCII)
Element = Any


class BankFileInvalid(InvalidValue):
    """A bank's file that cannot be believed.

    field: `file`. The message names a line or a sum, never a value of a payee.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__("file", code, message)


def local_name(element: Element) -> str:
    """The element's name without its namespace; "" for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Element, name: str) -> Iterator[Element]:
    """The children called `name`."""
    return (child for child in element if local_name(child) == name)


def descend(element: Element, *names: str) -> Element | None:
    """The first element down the path, or None."""
    here = element
    for name in names:
        here = next(children(here, name), None)
        if here is None:
            return None
    return here


def text_at(element: Element, *names: str) -> str:
    """The text down the path, trimmed; "" where there is none."""
    here = descend(element, *names)
    return "" if here is None or here.text is None else str(here.text).strip()


def found_text(element: Element, *names: str) -> str:
    """The text down the path. Raises BankFileInvalid where there is none, or too much."""
    text = text_at(element, *names)
    if not text or len(text) > TEXT_LENGTH_MAX:
        raise BankFileInvalid("bank_file_malformed", f"lacks {'/'.join(names)} at line {element.sourceline}")
    return text


def money_at(element: Element, *names: str) -> Money | None:
    """The amount down the path with its `Ccy`; None where there is none. Zeros behind the currency's decimals are
    taken.

    Raises BankFileInvalid for what is no amount of its currency.
    """
    here = descend(element, *names)
    if here is None:
        return None
    spelt = _AMOUNT.fullmatch("" if here.text is None else str(here.text).strip())
    if spelt is None:
        raise BankFileInvalid("bank_file_malformed", f"has no amount in {names[-1]} at line {here.sourceline}")
    fraction = (spelt[2] or "").rstrip("0")
    plain = (spelt[1].lstrip("0") or "0") + (f".{fraction}" if fraction else "")
    try:
        return parse_money(plain, str(here.get("Ccy", "")))
    except InvalidValue:
        raise BankFileInvalid(
            "bank_file_malformed", f"has no amount of its currency in {names[-1]} at line {here.sourceline}"
        ) from None


def is_credit(element: Element) -> bool:
    """CRDT or DBIT of the element. Raises BankFileInvalid for neither."""
    indicator = text_at(element, "CdtDbtInd")
    if indicator not in ("CRDT", "DBIT"):
        raise BankFileInvalid("bank_file_malformed", f"says neither CRDT nor DBIT at line {element.sourceline}")
    return indicator == "CRDT"


def date_at(element: Element, *names: str) -> date:
    """The day of a `Dt` or `DtTm` below the path, as the bank writes it. Raises BankFileInvalid."""
    text = text_at(element, *names, "Dt") or text_at(element, *names, "DtTm")
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise BankFileInvalid(
            "bank_file_malformed", f"has no day in {names[-1]} at line {element.sourceline}"
        ) from None
