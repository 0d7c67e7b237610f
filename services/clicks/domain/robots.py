"""Is this user agent a robot's? The answer of a list of regular expressions, at the price of one scan.

Nearly all of them are plain words: those go into one automaton. Of the rest, each has a word it cannot match
without: where that word occurs the expression itself decides.
"""

import re
from collections.abc import Sequence
from typing import Final

from ahocorasick_rs import AhoCorasick

_PLAIN = re.compile(r"(?:[A-Za-z0-9 _\-:;,@!&%=~#'\"<>/]|\\[^A-Za-z0-9])+", re.ASCII)
_TOKENS = re.compile(
    r"(?P<kept>\\[^A-Za-z0-9](?![*?]))|"  # an escaped character that stands for itself
    r"\\[A-Za-z0-9]|\([^()]*\)[*+?]?|\[[^\]]*\][*+?]?|\\?.[*?]|[\^$.+|()]"  # what stands for others, or for none
)
_ANYTHING: Final = re.compile("")
"""What verifies a plain word: finding it was enough."""

VERDICTS_MAX: Final = 5_000
"""Verdicts kept: the automaton is larger than a processor's cache, and most shoppers share few user agents."""

_WORD_CHARACTERS_MIN: Final = 3
"""Shorter words occur in every user agent and would save nothing."""


class RobotMatcher:
    """Tells robots by their user agent, exactly as the given regular expressions would (case-sensitive search)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._verifiers: dict[str, list[re.Pattern[str]]] = {}
        unguarded: list[str] = []
        for pattern in patterns:
            if _PLAIN.fullmatch(pattern):
                self._verifiers.setdefault(_unescaped(pattern), []).append(_ANYTHING)
            elif (guards := _guard_words(pattern)) is not None:
                for guard in guards:
                    self._verifiers.setdefault(guard, []).append(re.compile(pattern))
            else:
                unguarded.append(pattern)
        self._words = AhoCorasick(list(self._verifiers))
        self._unguarded = [re.compile(pattern) for pattern in unguarded]
        self._verdicts: dict[str, bool] = {}

    def is_robot(self, user_agent: str) -> bool:
        """True for a robot. No user agent at all is one: every browser sends it."""
        verdict = self._verdicts.get(user_agent)
        if verdict is None:
            verdict = not user_agent or self._judge(user_agent)
            if len(self._verdicts) >= VERDICTS_MAX:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[user_agent] = verdict
        return verdict

    def _judge(self, user_agent: str) -> bool:
        for word in self._words.find_matches_as_strings(user_agent, overlapping=True):
            for pattern in self._verifiers[word]:
                if pattern.search(user_agent):
                    return True
        return any(pattern.search(user_agent) for pattern in self._unguarded)


def _unescaped(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern)


def _kept(token: re.Match[str]) -> str:
    return token["kept"] or "\n"


def _guard_words(pattern: str) -> list[str] | None:
    """For each alternative of `pattern` a word without which it cannot match; None when one has no such word."""
    guards = []
    for alternative in _alternatives(pattern):
        if "(?" in alternative or "{" in alternative:
            return None
        words = [_unescaped(piece) for piece in _TOKENS.sub(_kept, alternative).split("\n")]
        longest = max(words, key=len)
        if len(longest) < _WORD_CHARACTERS_MIN:
            return None
        guards.append(longest)
    return guards


def _alternatives(pattern: str) -> list[str]:
    """`pattern` cut at each `|` outside of groups and classes."""
    found, depth, start = [], 0, 0
    for place, character in enumerate(pattern):
        if place and pattern[place - 1] == "\\":
            continue
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "|" and depth == 0:
            found.append(pattern[start:place])
            start = place + 1
    return [*found, pattern[start:]]
