"""The scale of a graph: a round greatest value, and the values that are written beside it."""

from __future__ import annotations

import re
from math import ceil
from typing import NamedTuple

from probes import units
from probes.units import Unit

_STEPS = (1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0)
"""Round numbers whose quarters are written with one digit after the point at most."""
_LEAST = {Unit.NS: 1000.0, Unit.BYTES: 1024.0}
"""The least value at the top, so that a quiet row is not magnified; of other units 1."""
_TRAILING = re.compile(r"(?<=\d)\.?0+(?=\D*$)")


class Scale(NamedTuple):
    """A scale from zero. top: the value at full height. marks: a text by line, from the bottom."""

    top: float
    marks: dict[int, str]


def scale_for(
    most: float, height: int, unit: Unit, *, bits: bool = False, least: float = 0.0
) -> Scale:
    """Return the scale of a graph of so many lines, the greatest value being `most`."""
    top = _round_up(max(most, least, _LEAST.get(unit, 1.0)), unit, bits=bits)
    parts = _parts(height, top)
    marks = {ceil(part * height) - 1: _written(part * top, unit, bits=bits) for part in parts}
    return Scale(top, {**marks, **({0: "0"} if height > 1 else {})})


def _written(value: float, unit: Unit, *, bits: bool) -> str:
    """Return a value in five cells at most, without zeros after the point."""
    if unit is Unit.PERCENT and value >= 10_000:  # of a hundred CPUs
        text = f"{units.count(value)}%"
    else:
        text = units.show(value, unit, bits=bits)
    return _TRAILING.sub("", text) if "." in text else text


def _parts(height: int, top: float) -> tuple[float, ...]:
    """Return which parts of the height have a text beside them."""
    if height < 3:
        return (1.0,)
    return (0.25, 0.5, 0.75, 1.0) if height >= 8 and top > 1 else (0.5, 1.0)


def _round_up(value: float, unit: Unit, *, bits: bool) -> float:
    """Return the next round number, as it is written: in bits, or in kB of 1024 bytes."""
    if unit is Unit.BYTES and bits:
        return _decimal(value * 8) / 8
    if unit is Unit.BYTES:
        factor = 1024.0
        while value > 800 * factor:
            factor *= 1024
        return max(_decimal(value / factor), 1.0) * factor
    return _decimal(value)


def _decimal(value: float) -> float:
    power = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 1.0
    return next(step * power for step in _STEPS if step * power >= value * 0.9999)
