"""Themes: every one whole, broken ones said in a sentence, NO_COLOR by its convention."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.color import ColorSystem

from tui.config import theme
from tui.config.contrast import FEW, MANY, contrast, shown

GOOD = (theme.folder() / "dark.toml").read_text()


@pytest.mark.parametrize("name", theme.names())
def test_every_theme_has_every_role(name: str) -> None:
    """Loading validates."""
    look = theme.load(name)
    for role in theme.ROLES:
        for ground in ("", "selection", "banner"):
            assert look.style(role, ground) is not None


def test_the_promised_themes_are_there() -> None:
    """Dark, light, colour-blind safe, few colours, none."""
    promised = {
        "dark",
        "light",
        "sixteen",
        "sixteen-light",
        "deuteranopia",
        "tritanopia",
        "high-contrast",
        "mono",
    }
    assert promised <= set(theme.names())


def test_mono_has_no_colour_and_sixteen_no_other() -> None:
    """What NO_COLOR asks for, and what an old terminal can show."""
    for role in theme.ROLES:
        for ground in ("", "selection", "banner"):
            style = theme.load("mono").style(role, ground)
            for colour in (style.color, style.bgcolor):
                assert colour is None or colour.is_default
            style = theme.load("sixteen").style(role, ground)
            for colour in (style.color, style.bgcolor):
                assert colour is None or colour.is_default or (colour.number or 0) < 16


@pytest.mark.parametrize("name", ["dark", "light", "deuteranopia", "tritanopia", "high-contrast"])
@pytest.mark.parametrize("role", ["foreground", "accent", "good", "warn", "bad", "header"])
def test_text_can_be_read(name: str, role: str) -> None:
    """Contrast of at least 4.5:1 (WCAG AA) on the theme's background."""
    style = theme.load(name).style(role)
    assert style.color is not None
    assert style.bgcolor is not None
    light, dark = sorted((_luminance(style.color), _luminance(style.bgcolor)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("name", ["dark", "light", "deuteranopia", "tritanopia", "high-contrast"])
@pytest.mark.parametrize("system", [*MANY, *FEW], ids=lambda system: system.name.lower())
def test_every_role_can_be_read_on_any_ground(name: str, system: ColorSystem) -> None:
    """On the selected row and in a banner, too, and as the nearest of 256 or sixteen colours."""
    look = theme.load(name)
    look.use_few_colours(system in FEW)
    for role in set(theme.ROLES) - {"background", "selection", "banner"}:
        for ground in ("", "selection", "banner"):
            style = look.style(role, ground)
            assert style.color is not None
            assert style.bgcolor is not None
            text, behind = shown(style.color, system), shown(style.bgcolor, system)
            assert text is not None
            assert behind is not None
            least = 3.0 if role.startswith("graph") else 4.5
            assert contrast(text, behind) >= least, (role, ground)


def _luminance(colour: object) -> float:
    linear = [
        c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4
        for c in colour.triplet  # type: ignore[attr-defined]
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + 'glow = "red"\n', "'glow' is not a role"),
        (GOOD.replace("warn", "warm"), "'warm' is not a role"),
        ("\n".join(r for r in GOOD.splitlines() if not r.startswith("bad")), "'bad' is missing"),
        (GOOD.replace('good = "#57c38a"', 'good = "grellow"'), "'good' is not a style: 'grellow'"),
        (GOOD.replace('good = "#57c38a"', "good = 3"), "'good' is missing or not a string"),
        ("background = ", "theme"),
    ],
)
def test_broken_themes_name_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    """One sentence that says where to look."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(theme.ThemeError) as caught:
        theme.read(path)
    assert words in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_an_unknown_theme_names_those_there_are() -> None:
    """So that the next try is right."""
    with pytest.raises(theme.ThemeError, match=r"there is no theme 'drak'; similar names: dark"):
        theme.load("drak")


def test_no_color_counts_only_when_it_is_not_empty() -> None:
    """no-color.org."""
    assert theme.default_name({}) == "dark"
    assert theme.default_name({"NO_COLOR": ""}) == "dark"
    assert theme.default_name({"NO_COLOR": "1"}) == "mono"
