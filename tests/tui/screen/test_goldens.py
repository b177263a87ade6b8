"""Every pane and state as it looks in the middle of the incident.

CONTRIBUTING.md has the command that keeps what is shown now.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import papers
from tests.support.goldens import PICTURES, SCREENS, Golden
from tests.support.stage import stage

SIZES = ((80, 24), (160, 50))
PANES = ("interfaces", "syscalls", "connects", "rtt", "hooks")


@pytest.mark.parametrize(
    ("place", "size"),
    [
        pytest.param(i, size, id=f"{pane}-{size[0]}x{size[1]}")
        for i, pane in enumerate(PANES, 2)
        for size in SIZES
    ],
)
def test_pane_shows_the_incident(golden: Golden, place: int, size: tuple[int, int]) -> None:
    """Each pane names what is wrong and marks the row."""
    golden(stage(ticks=49), size, str(place))


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(("enter",), id="interface-detail"),
        pytest.param(("3", "enter"), id="syscall-detail-by-process"),
        pytest.param(("4", "enter"), id="connect-detail"),
        pytest.param(("5", "enter"), id="rtt-detail"),
        pytest.param(("6", "enter"), id="hook-ladder"),
        pytest.param(("question_mark",), id="help"),
        pytest.param(("space",), id="frozen"),
        pytest.param(("s",), id="sort-menu"),
        pytest.param(("a",), id="attach-asks-first"),
    ],
)
def test_state(golden: Golden, keys: tuple[str, ...]) -> None:
    """Details, help, and what the screen says while it asks or stands still."""
    golden(stage(ticks=49), (100, 36), *keys)


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        pytest.param(keys, size, id=f"{name}-{size[0]}x{size[1]}")
        for name, keys, *sizes in (
            ("palette", ("colon", *"det"), (80, 24), (120, 40)),
            ("settings", ("f2",), (80, 24)),
            ("themes", ("T", "end"), (80, 24)),
            ("presets", ("p",), (80, 24)),
            ("help-searched", ("5", "question_mark", "slash", *"filter"), (80, 24)),
            ("filter-read", ("5", "slash", *"rtt>50ms ", "exclamation_mark", *"curl"), (80, 24)),
            ("filter-wrong", ("5", "slash", *"nginx rtt>50"), (80, 24)),
            ("small", (), (60, 20), (36, 9)),
            ("too-small", (), (24, 5)),
        )
        for size in sizes
    ],
)
def test_hands(
    golden: Golden, keys: tuple[str, ...], size: tuple[int, int], monkeypatch: Any
) -> None:
    """What hands do: choosing, filtering, searching; and on small screens."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    golden(stage(), size, *keys)


OVERVIEW_SIZES = ((60, 20), (80, 24), (120, 40), (200, 60))


@pytest.mark.parametrize(
    "size", [pytest.param(s, id=f"overview-{s[0]}x{s[1]}") for s in OVERVIEW_SIZES]
)
def test_overview(golden: Golden, size: tuple[int, int]) -> None:
    """What is wrong at a glance, at every size."""
    app = stage(pane="overview", ticks=49)
    golden(app, size, "!")


@pytest.mark.parametrize(
    ("options", "keys", "size"),
    [
        pytest.param({"until": 20, "ticks": 19}, (), (120, 40), id="overview-calm-120x40"),
        pytest.param({"ticks": 5}, (), (80, 24), id="overview-since-start-80x24"),
        pytest.param({"ascii": True, "ticks": 49}, (), (80, 24), id="overview-ascii-80x24"),
        pytest.param({"theme_name": "mono", "ticks": 49}, (), (80, 24), id="overview-mono-80x24"),
        pytest.param({"ticks": 79, "until": 80}, ("5", "enter"), (120, 40), id="heat-120x40"),
        pytest.param({"ticks": 79, "until": 80}, ("3", "home", "slash", *"fsync", "enter", "enter"),
                     (80, 50), id="heat-of-a-syscall-80x50"),
        pytest.param({"ticks": 79, "until": 80, "ascii": True}, ("5", "enter"), (100, 36),
                     id="heat-ascii-100x36"),
        pytest.param({"ticks": 69, "until": 70},
                     ("left_square_bracket", *["left_curly_bracket"] * 2), (80, 24),
                     id="rewound-80x24"),
        pytest.param({"ticks": 109, "until": 110}, ("left_parenthesis",), (120, 40),
                     id="rewound-120x40"),
        pytest.param({"ticks": 69, "until": 70}, ("left_curly_bracket", "4", "enter"),
                     (100, 36), id="rewound-detail-100x36"),
        pytest.param({"ticks": 49}, ("3",), (160, 50), id="unusual-160x50"),
    ],
)  # fmt: skip
def test_over_time(
    golden: Golden, options: dict[str, Any], keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    """What is unusual, heat over time, and a screen that was rewound."""
    app = stage(**{"pane": "overview", **options})
    golden(app, size, *keys, "!")


_PROGRAMS = ("7", "+3")
_SOURCES = ("t", "+3")
_ASKED = (*_SOURCES, "D", "enter")
_DROPPING = (*_ASKED, "y", "+4")


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        pytest.param(keys, size, id=f"{name}-{size[0]}x{size[1]}")
        for name, keys in {
            "who-drops": (),
            "funnel": ("enter",),
            "sources": _SOURCES,
            "rule-written": (*_SOURCES, "D"),
            "rule-wrong": (*_SOURCES, "D", "x"),
            "rule-asks": _ASKED,
            "rule-drops": (*_DROPPING, "!"),
            "rule-in-funnel": (*_DROPPING, "escape", "enter", "!"),
            "rules-list": (*_DROPPING, "L", "!"),
            "rule-on-every-pane": (*_DROPPING, "4", "!"),
        }.items()
        for size in ((80, 24), (120, 40))
    ],
)
def test_who_drops(golden: Golden, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    """From the interface that drops to its sources, to a rule and what it drops."""
    golden(stage(ticks=49), size, *keys)


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        pytest.param(keys, size, id=f"{name}-{size[0]}x{size[1]}")
        for name, keys in {"programs": _PROGRAMS, "program": (*_PROGRAMS, "enter")}.items()
        for size in SIZES
    ],
)
def test_programs(golden: Golden, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    """Which program costs most, whose it is, and everything about it."""
    golden(stage(), size, *keys)


@pytest.mark.parametrize(
    "theme",
    [
        pytest.param(name, id=f"theme-{name}")
        for name in ("light", "sixteen", "deuteranopia", "tritanopia", "high-contrast", "mono")
    ],
)
def test_theme(golden: Golden, theme: str) -> None:
    """The connect incident in every theme."""
    app = stage(theme_name=theme, ticks=49)
    golden(app, (80, 24), "4")


@pytest.mark.parametrize("ascii", [pytest.param(True, id="ascii")])
def test_without_utf8(golden: Golden, ascii: bool) -> None:
    """Nothing but ASCII on the screen."""
    golden(stage(ascii=ascii, ticks=49), (80, 24), "5")


def test_what_is_kept_is_what_is_compared() -> None:
    """No golden is left of a test that has gone; what the papers show is a picture."""
    tests = (f for name, f in globals().items() if name.startswith("test_"))
    marks = [mark for test in tests for mark in getattr(test, "pytestmark", ())]
    names = {case.id for mark in marks for case in mark.args[1]}
    kept = {f"{name}.{'svg' if name in PICTURES else 'txt'}" for name in names}
    assert kept == {path.name for path in SCREENS.iterdir()}
    text = "".join(page.read_text() for page in papers.PAGES)
    shown = re.findall(r"snapshots/screens/([\w-]+)\.svg", text)
    assert shown
    assert set(shown) <= PICTURES
