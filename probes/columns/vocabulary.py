"""The texts of a column of many rows, and their order, kept from one reading to the next.

    words = vocabulary.read(cells)
    words.texts[words.places]                # the text of each row
    words.ranks[words.places]                # the same in the order of `natural`

A text is made of a value that was not there in the reading before, and of no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells, NumberCells, ObjectCells
from probes.columns.groups import hashed
from probes.model import Value

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

_DIGITS = re.compile(r"(\d+)")
_WIDE = 12
_SPARE = 2048
"""Texts that are kept beyond twice those that are in use."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A column's texts. texts: in the order of `naturals`. ranks: equal where these are.

    places: where each row's text is.
    """

    texts: NDArray[Any]
    naturals: NDArray[Any]
    ranks: NDArray[np.intp]
    places: NDArray[np.intp]

    @property
    def order(self) -> NDArray[np.intp]:
        """The rank of each row's text."""
        return self.ranks[self.places]

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which texts some row has."""
        found = np.zeros(len(self.texts), bool)
        found[self.places] = True
        return found


class Vocabulary:
    """Texts of values. text: makes one of a value."""

    def __init__(self, text: Callable[[Value], str] = str) -> None:
        self._text = text
        self._space: Hashable = None
        self._raw: NDArray[np.uint64] | None = None
        self._codes: NDArray[np.uint64] = np.empty(0, "u8")
        self._words = _words([], [])

    def read(self, cells: Cells) -> Words:
        """Return a column's texts; the very same ones if nothing has changed."""
        kind = type(cells), cells.space
        if not isinstance(cells, CodedCells | NumberCells | ObjectCells) or kind[1] is None:
            return self._spelled(cells)
        raw = cells.words()
        if kind != self._space:
            self._space, self._raw, self._codes = kind, None, np.empty(0, "u8")
            self._words = _words([], [])
        if self._raw is None or not np.array_equal(raw, self._raw):
            found = self._taken(cells, raw)
            if found is None:
                return self._spelled(cells)
            self._raw, self._words = raw, found
        return self._words

    def _spelled(self, cells: Cells) -> Words:
        """Return the texts of values that have no words, made again."""
        every = list(map(self._text, cells.values()))
        texts = list(dict.fromkeys(every))
        keys = naturals(texts)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        texts, keys = [texts[n] for n in order], [keys[n] for n in order]
        where = {text: n for n, text in enumerate(texts)}
        return _words(texts, keys, np.array([where[text] for text in every], np.intp))

    def _taken(self, cells: Cells, raw: NDArray[np.uint64]) -> Words | None:
        """Return the texts, those of new values among them; None if two have the same hash."""
        codes, first, each = np.unique(hashed(raw), return_index=True, return_inverse=True)
        each = each.reshape(-1)
        if not np.array_equal(raw[first][each], raw):
            return None
        if len(self._codes) > 2 * len(codes) + _SPARE:
            self._keep(np.isin(self._codes, codes))
        new = ~np.isin(codes, self._codes)
        if new.any():
            self._learn(codes[new], cells.at(first[new]))
        sorter = np.argsort(self._codes)
        at = sorter[np.searchsorted(self._codes, codes, sorter=sorter)]
        known = self._words
        return Words(known.texts, known.naturals, known.ranks, at[each])

    def _keep(self, wanted: NDArray[np.bool_]) -> None:
        known = self._words
        self._codes = self._codes[wanted]
        self._words = _words(known.texts[wanted].tolist(), known.naturals[wanted].tolist())

    def _learn(self, codes: NDArray[np.uint64], cells: Cells) -> None:
        texts = list(map(self._text, cells.values()))
        every = [*self._words.texts.tolist(), *texts]
        keys = [*self._words.naturals.tolist(), *naturals(texts)]
        order = sorted(range(len(keys)), key=keys.__getitem__)  # most of it is in order
        at = np.array(order, np.intp)
        self._codes = np.concatenate([self._codes, codes])[at]
        self._words = _words([every[n] for n in order], [keys[n] for n in order])


def _words(texts: list[str], keys: list[str], places: NDArray[np.intp] | None = None) -> Words:
    """Return words of which the keys are in order. places: of each row."""
    where = np.empty(0, np.intp) if places is None else places
    later = [a != b for a, b in pairwise(keys)]
    ranks = np.cumsum(np.array([False, *later], bool))[: len(keys)]
    return Words(_objects(texts), _objects(keys), ranks, where)


def _objects(texts: list[str]) -> NDArray[Any]:
    made = np.empty(len(texts), object)
    made[:] = texts
    return made


@lru_cache(4096)
def natural(text: str) -> str:
    """Return a sort key: eth2 comes before eth10, and 10.0.0.9 before 10.0.0.10."""
    return re.sub(r"\d+", lambda number: number[0].zfill(_WIDE), text.lower())


def naturals(texts: list[str]) -> list[str]:
    """Return `natural` of each text."""
    lower = "\0".join(texts).lower()
    if lower.count("\0") != len(texts) - 1:
        return list(map(natural, texts))
    parts = _DIGITS.split(lower)
    parts[1::2] = [digits.zfill(_WIDE) for digits in parts[1::2]]
    return "".join(parts).split("\0")


def lowered(texts: list[str]) -> list[str]:
    """Return each text in lower case."""
    lower = "\0".join(texts).lower().split("\0")
    return lower if len(lower) == len(texts) else [text.lower() for text in texts]
