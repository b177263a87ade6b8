"""Themes, with a preview of each."""

from __future__ import annotations

from collections.abc import Iterator

from tui.config import theme
from tui.config.theme import Theme, ThemeError
from tui.screen.context import Actions
from tui.screen.key import TEXT, Key
from tui.screen.menu import Choice, Menu


class ThemeActions(Actions):
    """Key for themes."""

    order = 120
    keys = (
        Key("theme", "T,shift+t", "T", "choose", "Theme", "choose a theme", "View", modes=TEXT),
    )

    def choose(self) -> None:
        """Choose a theme from a menu; each is applied while selected."""
        before = self.screen.appearance.look
        choices = [self._choice(name) for name in theme.names()]
        at = next((i for i, c in enumerate(choices) if c.title == before.name), 0)
        self.screen.menu.open(Menu("Theme", choices, at, self._preview, lambda: self._wear(before)))

    def _choice(self, name: str) -> Choice:
        try:
            look = theme.load(name)
        except ThemeError as wrong:
            why = str(wrong).partition(".toml: ")[2] or str(wrong)
            return Choice(name, lambda: None, f"broken: {why}", ready=False)
        return Choice(name, lambda: self._wear(look), look.about)

    def _preview(self, choice: Choice) -> None:
        if choice.ready and choice.title != self.screen.appearance.look.name:
            choice.do()

    def _wear(self, look: Theme) -> None:
        self.screen.appearance.wear(look)
        self.screen.repaint()

    def commands(self) -> Iterator[Choice]:
        for name in theme.names():
            choice = self._choice(name)
            yield choice._replace(title=f"Theme: {name}", section="themes")
        title, keys = "Theme: choose, with a preview of each", self.screen.keymap.shown("theme")
        yield Choice(title, self.choose, "", keys, section="themes")
