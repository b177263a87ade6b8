"""Contrast of a text with its ground, as WCAG 2 defines it."""

from __future__ import annotations

from rich.color import Color, blend_rgb
from rich.color_triplet import ColorTriplet

READABLE = 4.5
"""Contrast from which on a text can be read (WCAG, AA)."""
_STEPS = 10


def contrast(text: ColorTriplet, ground: ColorTriplet) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    low, high = sorted((_luminance(text), _luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def readable(color: Color, ground: Color, other: Color) -> Color:
    """Return the colour, with as much of the other one as it takes to be read on the ground.

    A colour that the terminal chooses is returned as it is.
    """
    if color.triplet is None or ground.triplet is None or other.triplet is None:
        return color
    for step in range(_STEPS):
        mixed = blend_rgb(color.triplet, other.triplet, step / _STEPS)
        if contrast(mixed, ground.triplet) >= READABLE:
            return Color.from_triplet(mixed)
    return other


def _luminance(color: ColorTriplet) -> float:
    parts = [part / 255 for part in color]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
