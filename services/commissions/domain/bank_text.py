"""Names and texts as banks take them: the SEPA character set, by one stated rule, the same for ever.

Allowed: a to z, A to Z, 0 to 9, blank and / - ? : ( ) . , ' + (EPC217-08). The rule, in this order:

1. compatibility decomposition (Unicode NFKD, which is stable between versions) and combining marks fall away: É → E, Ä
   → A;
2. letters that do not decompose, Greek and Cyrillic by the table below: ß → ss, Ø → O, Ж → ZH;
3. `&` → `+`, quotation marks → `'`, dashes and `_` → `-`, `[ ] { }` → round brackets;
4. a letter or digit of any other script is refused: nobody's name is guessed, finance asks for its Latin spelling;
5. everything else → `.`; runs of blanks → one, none at the ends; cut to the limit.
"""

import re
import unicodedata
from typing import Final

from shared.kernel.errors import InvalidValue

NAME_LENGTH_MAX_SEPA: Final = 70
NAME_LENGTH_MAX: Final = 140
REMITTANCE_LENGTH_MAX: Final = 140
REFERENCE_LENGTH_MAX: Final = 35
_REFERENCE = re.compile(r"[A-Za-z0-9?:().,'+\-/ ]{1,35}", re.ASCII)
_ALLOWED: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")
_READ_AT_MOST: Final = 1_000
"""Characters of a text that are looked at: far above any limit it is cut to."""

_LATIN = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ı": "i", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T",
    "ŋ": "n", "Ŋ": "N", "ĸ": "k", "ə": "a", "Ə": "A",
}  # fmt: skip
_GREEK = {
    "α": "a", "β": "v", "γ": "g", "δ": "d", "ε": "e", "ζ": "z", "η": "i", "θ": "th", "ι": "i", "κ": "k", "λ": "l",
    "μ": "m", "ν": "n", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s", "ς": "s", "τ": "t", "υ": "y", "φ": "f",
    "χ": "ch", "ψ": "ps", "ω": "o",
}  # fmt: skip
_CYRILLIC = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ж": "zh", "з": "z", "и": "i", "к": "k", "л": "l",
    "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "х": "h", "ц": "ts",
    "ч": "ch", "ш": "sh", "щ": "sht", "ъ": "a", "ы": "y", "ь": "y", "э": "e", "ю": "yu", "я": "ya", "є": "ye",
    "і": "i", "ґ": "g", "ј": "j", "љ": "lj", "њ": "nj", "ћ": "c", "ђ": "dj", "џ": "dz", "ѕ": "dz",
}  # fmt: skip
_SIGNS = {
    "&": "+", "_": "-", "[": "(", "{": "(", "]": ")", "}": ")", '"': "'", "`": "'", "´": "'", "ʼ": "'", "ʻ": "'",
    "ʹ": "'", "‘": "'", "’": "'", "‚": "'", "“": "'", "”": "'", "„": "'", "«": "'", "»": "'", "‐": "-", "‑": "-",
    "‒": "-", "–": "-", "—": "-", "−": "-",
}  # fmt: skip
_TABLE: Final[dict[str, str]] = {
    **_SIGNS,
    **_LATIN,
    **{letter: latin for table in (_GREEK, _CYRILLIC) for letter, latin in table.items()},
    **{letter.upper(): latin.upper() for table in (_GREEK, _CYRILLIC) for letter, latin in table.items()},
}


def bank_text(text: str, *, length_max: int, field: str) -> str:
    """`text` in the SEPA character set, at most `length_max` characters, by the rule of this module.

    Raises InvalidValue naming `field`: text_not_latin (rule 4), text_empty when nothing that can be read is left.
    """
    spelt = "".join(_spelt(character, field) for character in _decomposed(text[:_READ_AT_MOST]))
    cut = " ".join(spelt.split())[:length_max].rstrip()
    if not any(character.isalnum() for character in cut):
        raise InvalidValue(field, "text_empty", "must have a letter or a digit")
    return cut


def check_reference(text: str, *, field: str) -> str:
    """`text` when it may be a reference between banks.

    1 to 35 characters of the set, no blank or slash at an end, no `//`. It is never rewritten: it must come back as it
    went. Raises InvalidValue naming `field`: reference_malformed.
    """
    if not _REFERENCE.fullmatch(text) or text.strip(" /") != text or "//" in text:
        raise InvalidValue(field, "reference_malformed", "must be 1 to 35 characters that every bank carries unchanged")
    return text


def _decomposed(text: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", text) if not unicodedata.combining(part))


def _spelt(character: str, field: str) -> str:
    if character in _ALLOWED:
        return character
    known = _TABLE.get(character)
    if known is not None:
        return known
    if character.isspace():
        return " "
    if unicodedata.category(character)[0] in "LN":
        raise InvalidValue(field, "text_not_latin", "has letters that banks do not carry: give its Latin spelling")
    return "."
