"""The screen's appearance: the theme, and how much is sent to the terminal."""

from __future__ import annotations

from collections.abc import Callable

from tui.config import theme
from tui.config.look import textual_theme
from tui.config.settings import Settings
from tui.config.theme import Theme
from tui.terminal.app_base import TerminalApp

_FEW = {"dark": "sixteen", "light": "sixteen-light"}
"""Themes where nobody has chosen one: the same for a terminal of sixteen colours."""


class Appearance:
    """The appearance.

    look: the theme; usual: the name of that which nobody has chosen. slow: fewer bytes: 256
    colours, no graphs, at most two updates a second. chosen: whether somebody has named a theme.
    """

    def __init__(
        self,
        look: Theme,
        app: TerminalApp,
        repaint: Callable[[], None],
        *,
        slow: bool,
        chosen: bool,
    ) -> None:
        self.look, self.slow = look, slow
        self.usual = theme.default_name()
        self._app, self._repaint = app, repaint
        app.use_fewer_colours(slow)
        self._free = not chosen and self.usual in _FEW
        if self._free:
            app.ask_background(self._suit)

    def begin(self) -> None:
        """Apply the first theme: one of sixteen colours if there are no more and none was named."""
        if self._free and self._app.has_few_colours:
            self.usual = _FEW[self.usual]
            self.look = theme.load(self.usual)
        self.wear(self.look)

    def _suit(self, light: bool) -> None:
        """Take a light theme on a light background, unless another was chosen meanwhile."""
        if light and self.look.name == self.usual:
            self.usual = _FEW["light"] if self.usual == _FEW["dark"] else "light"
            self.wear(theme.load(self.usual))
            self._repaint()

    def wear(self, look: Theme) -> None:
        """Apply a theme, also to what Textual draws itself (toasts)."""
        self.look = look
        look.use_few_colours(self._app.has_few_colours)
        name = f"ebpftop-{look.name}"
        if name not in self._app.available_themes:
            self._app.register_theme(textual_theme(name, look))
        self._app.theme = name
        self._app.drawn.forget()

    def toggle_slow_link(self) -> None:
        self.slow = not self.slow
        self._app.use_fewer_colours(self.slow)

    @property
    def mouse(self) -> bool:
        """Whether the terminal reports the mouse."""
        return self._app.mouse

    def toggle_mouse(self) -> None:
        self._app.want_mouse(not self._app.mouse)


def first_look(name: str | None, settled: Settings, problem: Callable[[str], None]) -> Theme:
    """Return the theme to begin with. Raises ThemeError for one requested by name."""
    if name is None and settled.theme is not None:
        try:
            return theme.load(settled.theme)
        except theme.ThemeError as wrong:
            problem(f"settings: {wrong}")
    return theme.load(name or theme.default_name())
