"""Texts of many numbers, made without a call for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.units import Unit, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POSSIBLE = re.compile(r"-?[0-9.]*(e?[+-]?[0-9]*)[a-zµ%]{0,2}|.*(i|n|f|a){2,3}.*")
"""Matches any part of a number's text: digits, perhaps an exponent, and the unit."""


def may_be_part(word: str) -> bool:
    """Return whether a word in lower case may occur in the text of a number."""
    return _POSSIBLE.fullmatch(word) is not None


def text_of(value: Any, unit: Unit) -> str:
    """Return the text of a field's number."""
    if value == 0 and unit is not Unit.NUMBER:
        return "0"
    return show(value, unit)


def number_texts(numbers: NDArray[Any], unit: Unit) -> tuple[list[str], NDArray[np.intp]]:
    """Return the texts of numbers, and for each number the place of its own."""
    distinct, places = np.unique(numbers, return_inverse=True)
    listed = distinct.tolist()
    if unit is Unit.NUMBER:
        return list(map(str, listed)), places.reshape(-1)
    if distinct.dtype.kind != "f":
        texts, at = _stepwise(listed, unit)
        return texts, np.array(at, np.intp)[places.reshape(-1)]
    # 2.96 and 3.04 are "3.0", but what is between them is "3": whole numbers are apart.
    whole = distinct == np.floor(distinct)
    ours, mine = _stepwise(distinct[whole].tolist(), unit)
    texts, theirs = _stepwise(distinct[~whole].tolist(), unit)
    at_all = np.empty(len(listed), np.intp)
    at_all[whole] = mine
    at_all[~whole] = np.array(theirs, np.intp) + len(ours)
    return ours + texts, at_all[places.reshape(-1)]


def _stepwise(numbers: list[Any], unit: Unit) -> tuple[list[str], list[int]]:
    """Return the texts of ascending numbers, and the place of each one's.

    Between two numbers that look the same there is none that looks different.
    """
    texts: list[str] = []
    places: list[int] = []
    while len(places) < len(numbers):
        begin = len(places)
        text = text_of(numbers[begin], unit)
        step, end = 1, begin + 1  # `end` is the first that is not known to look the same
        while (
            end < len(numbers)
            and text_of(numbers[min(begin + step, len(numbers) - 1)], unit) == text
        ):
            end = min(begin + step, len(numbers) - 1) + 1
            step *= 2
        low, high = end, min(begin + step, len(numbers))
        while low < high:
            middle = (low + high) // 2
            if text_of(numbers[middle], unit) == text:
                low = middle + 1
            else:
                high = middle
        places += [len(texts)] * (low - begin)
        texts.append(text)
    return texts, places
