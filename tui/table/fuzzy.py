"""Fuzzy search: things by a few of their letters, words in any order.

Textual's own takes words in their order alone, and prefers letters that are scattered over two
words to the beginning of one: `tests/tui/table/test_fuzzy.py` ranks both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


def rank(
    text: str, things: Sequence[Thing], names: Callable[[Thing], Sequence[str]]
) -> list[Thing]:
    """Return those that match every word, the best first; equals keep their order.

    names: of a thing, the most telling first.
    """
    words = text.lower().split()
    scored = [(score, i, t) for i, t in enumerate(things) if (score := _score(words, names(t)))]
    return [t for _, _, t in sorted(scored, key=lambda s: (-s[0], s[1]))]


def _score(words: Sequence[str], names: Sequence[str]) -> float:
    """Score a thing; 0 if some word matches nowhere."""
    score = 1.0
    for word in words:
        best = max(
            (_match(word, name.lower()) / (1 + place) for place, name in enumerate(names)),
            default=0.0,
        )
        if not best:
            return 0
        score += best
    return score


def _match(word: str, name: str) -> float:
    """Score a word: as the beginning of a word, inside one, or by letters in order."""
    at = name.find(word)
    late = at / 10
    while at > 0 and name[at - 1].isalnum():  # a beginning of a word is better
        at = name.find(word, at + 1)
        if at < 0:
            return max(20 - late, 11)
    return max(40 - late, 21) if at >= 0 else _letters(word, name)


def _letters(word: str, name: str) -> float:
    """Score letters in order, minus each jump; the first must begin a word."""
    at, jumps = -1, 0
    for letter in word:
        found = name.find(letter, at + 1)
        if found < 0:
            return 0
        if at < 0:
            while found > 0 and name[found - 1].isalnum():
                found = name.find(letter, found + 1)
                if found < 0:
                    return 0
        elif found > at + 1:
            jumps += 1
        at = found
    return max(10 - 3 * jumps, 0.5) if len(word) > 1 else 0
