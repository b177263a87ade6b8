"""Themes: the style of each role. Widgets name roles only.

One TOML file each, in `themes/` and in `themes/` below the configuration directory; there, a file
of the same name replaces ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.color import ColorType
from rich.errors import StyleSyntaxError
from rich.style import Style

from probes.units import no_such
from tui.config import settings, toml
from tui.config.contrast import FEW, READABLE, black_or_white, readable

ROLES = (
    "background",
    "foreground",
    "muted",
    "accent",
    "good",
    "warn",
    "bad",
    "header",
    "selection",
    "banner",
    "graph1",
    "graph2",
    "graph3",
)
_GRAPHS = 3.0
"""Contrast that is asked of graphs (WCAG)."""


class ThemeError(ValueError):
    """A theme that is missing or broken; one sentence with the file and the key."""


class Theme:
    """The roles as styles. `style(role, ground)` is the role's style on that ground.

    about: the comment at the top of the file, for menus. few: the terminal shows sixteen colours.
    """

    def __init__(self, name: str, roles: Mapping[str, Style], about: str = "") -> None:
        self.name, self.about, self.few = name, about, False
        self._roles = roles
        self._styles: dict[tuple[str, str], Style] = {}
        color = roles["background"].color
        self.background = color.name if color and not color.is_default else ""
        color = roles["foreground"].color
        self.foreground = color.name if color and not color.is_default else ""

    @property
    def native(self) -> bool:
        """Whether it uses the terminal's own colours."""
        return not self.background

    @property
    def dark(self) -> bool:
        """Whether the background is dark, as far as it is known."""
        color = self._roles["background"].color
        return not (color and color.triplet and sum(color.triplet) > 384)

    def use_few_colours(self, few: bool) -> None:
        """Choose colours that can be read where the terminal shows the nearest of sixteen."""
        if few != self.few:
            self.few = few
            self._styles.clear()

    def style(self, role: str, ground: str = "") -> Style:
        style = self._styles.get((role, ground))
        if style is None:
            style = self._mix(role, ground)
            if self.few:
                style = _of_few(style, _GRAPHS if role.startswith("graph") else READABLE)
            self._styles[role, ground] = style
        return style

    def _mix(self, role: str, ground: str) -> Style:
        bare = Style(bgcolor=self.background or None)
        style = bare + self._roles["foreground"] + self._roles[role or "foreground"]
        if not ground:
            return style
        base = self._roles[ground]
        if base.bgcolor is None or (role in ("bad", "warn") and not self.native):
            return _readable(style, base) + Style(bgcolor=base.bgcolor, reverse=base.reverse)
        return bare + base + Style(bold=style.bold, underline=style.underline)


def _readable(style: Style, base: Style) -> Style:
    """Return the style with a colour that can be read on the ground of another one."""
    if style.color is None or base.color is None or base.bgcolor is None:
        return style
    return style + Style(color=readable(style.color, base.bgcolor, base.color))


def _of_few(style: Style, least: float) -> Style:
    """Return the style with a colour that can be read also as the nearest of sixteen."""
    color, ground = style.color, style.bgcolor
    if color is None or ground is None:
        return style
    other = black_or_white(ground, *FEW)
    return style + Style(color=readable(color, ground, other, FEW, least))


def folder() -> Path:
    """Return the directory of the themes that come with the program."""
    return Path(__file__).resolve().parents[2] / "themes"


def _files() -> dict[str, Path]:
    """Return every theme's file by its name."""
    folders = (folder(), settings.folder() / "themes")
    return {p.stem: p for f in folders for p in sorted(f.glob("*.toml"))}


def names() -> list[str]:
    """Return the names of all themes."""
    return sorted(_files())


def default_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return `mono` if NO_COLOR is set and not empty (no-color.org), else `dark`."""
    return "mono" if environ.get("NO_COLOR") else "dark"


def load(name: str) -> Theme:
    """Load the theme of that name. Raises ThemeError."""
    found = _files().get(name)
    if found is None:
        raise ThemeError(no_such("theme", name, names()))
    return read(found)


def read(path: Path) -> Theme:
    """Read a theme from a file. Raises ThemeError."""
    try:
        text, values = toml.read(path)
    except FileNotFoundError:
        raise ThemeError(f"theme {path}: it has gone") from None
    except toml.NotToml as why:
        raise ThemeError(f"theme {path}: {why}") from None
    about = text.partition("\n")[0].removeprefix("#").strip() if text.startswith("#") else ""
    return Theme(path.stem, dict(_roles(path, values)), about)


def _roles(path: Path, values: Mapping[str, object]) -> Iterator[tuple[str, Style]]:
    for key in values:
        if key not in ROLES:
            raise ThemeError(f"theme {path}: {key!r} is not a role; roles are {', '.join(ROLES)}")
    for role in ROLES:
        value = values.get(role)
        if not isinstance(value, str):
            raise ThemeError(f"theme {path}: {role!r} is missing or not a string")
        try:
            style = Style.parse(value)
        except StyleSyntaxError as error:
            raise ThemeError(f"theme {path}: {role!r} is not a style: {value!r}") from error
        if role == "background" and (style.bgcolor or not style.color or _named(style)):
            raise ThemeError(f"theme {path}: 'background' must be a colour (#rrggbb) or 'default'")
        yield role, style


def _named(style: Style) -> bool:
    color = style.color
    return color is not None and color.type not in (ColorType.TRUECOLOR, ColorType.DEFAULT)
