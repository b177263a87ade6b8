"""Contrast of a text with its ground, as WCAG 2 defines it, in the colours that a terminal has."""

from __future__ import annotations

from collections.abc import Sequence

from rich.color import Color, ColorSystem, blend_rgb
from rich.color_triplet import ColorTriplet

READABLE = 4.5
"""Contrast from which on a text can be read (WCAG, AA)."""
MANY, FEW = (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT), (ColorSystem.STANDARD,)
"""What terminals show: all colours or 256 of them, or sixteen."""
_STEPS = 10
_BLACK, _WHITE = ColorTriplet(0, 0, 0), ColorTriplet(255, 255, 255)
_XTERM = (
    *(0x000000, 0xCD0000, 0x00CD00, 0xCDCD00, 0x0000EE, 0xCD00CD, 0x00CDCD, 0xE5E5E5),
    *(0x7F7F7F, 0xFF0000, 0x00FF00, 0xFFFF00, 0x5C5CFF, 0xFF00FF, 0x00FFFF, 0xFFFFFF),
)
"""The sixteen colours as xterm has them: each terminal chooses its own."""


def contrast(text: ColorTriplet, ground: ColorTriplet) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    low, high = sorted((_luminance(text), _luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def shown(color: Color, system: ColorSystem) -> ColorTriplet | None:
    """Return what a terminal shows for a colour; None: that of its own text or ground."""
    nearest = color.downgrade(system)
    if nearest.triplet is not None:
        return nearest.triplet
    if nearest.number is None:
        return None
    if nearest.number < len(_XTERM):
        rgb = _XTERM[nearest.number]
        return ColorTriplet(rgb >> 16, rgb >> 8 & 0xFF, rgb & 0xFF)
    return nearest.get_truecolor()


def readable(
    color: Color,
    ground: Color,
    other: Color,
    systems: Sequence[ColorSystem] = MANY,
    least: float = READABLE,
) -> Color:
    """Return the colour, with as much of the other one as it takes to be read on the ground.

    On each of those kinds of terminal. A colour that the terminal chooses is returned as it is.
    """
    if color.triplet is None or ground.triplet is None or other.triplet is None:
        return color
    for step in range(_STEPS):
        mixed = Color.from_triplet(blend_rgb(color.triplet, other.triplet, step / _STEPS))
        if all(_told_apart(mixed, ground, system) >= least for system in systems):
            return mixed
    return other


def black_or_white(ground: Color, system: ColorSystem) -> Color:
    """Return that of the two which is read better on a ground."""
    pair = Color.from_triplet(_BLACK), Color.from_triplet(_WHITE)
    return max(pair, key=lambda color: _told_apart(color, ground, system))


def _told_apart(text: Color, ground: Color, system: ColorSystem) -> float:
    above, below = shown(text, system), shown(ground, system)
    return 1.0 if above is None or below is None else contrast(above, below)


def _luminance(color: ColorTriplet) -> float:
    parts = [part / 255 for part in color]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
