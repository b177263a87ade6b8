"""Converts our themes to Textual's, for what Textual draws itself: toasts."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES
from textual.theme import Theme as TextualTheme

from tui.config.theme import Theme


def textual_theme(name: str, look: Theme) -> TextualTheme:
    """Return the theme as one of Textual's, under that name."""

    def colour(role: str) -> str:
        found = look.style(role).color
        if found is None or found.is_default:
            return "ansi_default"
        return found.name if found.triplet else f"ansi_{found.name}"

    return TextualTheme(
        name=name,
        primary=colour("accent"),
        secondary=colour("accent"),
        warning=colour("warn"),
        error=colour("bad"),
        success=colour("good"),
        accent=colour("accent"),
        foreground=colour("foreground"),
        background=look.background or "ansi_default",
        surface=look.background or "ansi_default",
        panel=look.background or "ansi_default",
        dark=look.dark,
        ansi=look.native,
        variables=BUILTIN_THEMES["ansi-dark"].variables if look.native else {},
    )
