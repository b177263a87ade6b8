"""Every pane and state as it looks in the middle of the incident."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.support.stage import settle, stage, step

SIZES = ((80, 24), (160, 50))
PANES = ("interfaces", "syscalls", "connects", "rtt", "hooks")


def _keys(*keys: str) -> Callable[[Pilot[Any]], Any]:
    """Presses them; "+3": three ticks go by; "!": toasts go."""

    async def before(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        for key in keys:
            if key.startswith("+"):
                await step(pilot, int(key))
            elif key == "!":
                pilot.app.clear_notifications()
            else:
                await pilot.press(key)
            await settle(pilot)

    return before


@pytest.mark.parametrize(
    ("place", "size"),
    [
        pytest.param(i, size, id=f"{pane}-{size[0]}x{size[1]}")
        for i, pane in enumerate(PANES, 2)
        for size in SIZES
    ],
)
def test_pane_shows_the_incident(snap_compare: Any, place: int, size: tuple[int, int]) -> None:
    """Each pane names what is wrong and marks the row."""
    assert snap_compare(stage(), terminal_size=size, run_before=_keys(str(place)))


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
def test_state(snap_compare: Any, keys: tuple[str, ...]) -> None:
    """Details, help, and what the screen says while it asks or stands still."""
    assert snap_compare(stage(), terminal_size=(100, 36), run_before=_keys(*keys))


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
    snap_compare: Any, keys: tuple[str, ...], size: tuple[int, int], monkeypatch: Any
) -> None:
    """What hands do: choosing, filtering, searching; and on small screens."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    assert snap_compare(stage(), terminal_size=size, run_before=_keys(*keys))


OVERVIEW_SIZES = ((60, 20), (80, 24), (120, 40), (200, 60))


@pytest.mark.parametrize(
    "size", [pytest.param(s, id=f"overview-{s[0]}x{s[1]}") for s in OVERVIEW_SIZES]
)
def test_overview(snap_compare: Any, size: tuple[int, int]) -> None:
    """What is wrong at a glance, at every size."""
    app = stage(pane="overview", ticks=49)
    assert snap_compare(app, terminal_size=size, run_before=_keys("!"))


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
    snap_compare: Any, options: dict[str, Any], keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    """What is unusual, heat over time, and a screen that was rewound."""
    app = stage(**{"pane": "overview", **options})
    assert snap_compare(app, terminal_size=size, run_before=_keys(*keys, "!"))


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
def test_who_drops(snap_compare: Any, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    """From the interface that drops to its sources, to a rule and what it drops."""
    assert snap_compare(stage(), terminal_size=size, run_before=_keys(*keys))


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        pytest.param(keys, size, id=f"{name}-{size[0]}x{size[1]}")
        for name, keys in {"programs": _PROGRAMS, "program": (*_PROGRAMS, "enter")}.items()
        for size in SIZES
    ],
)
def test_programs(snap_compare: Any, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    """Which program costs most, whose it is, and everything about it."""
    assert snap_compare(stage(), terminal_size=size, run_before=_keys(*keys))


@pytest.mark.parametrize(
    "theme",
    [
        pytest.param(name, id=f"theme-{name}")
        for name in ("light", "sixteen", "deuteranopia", "tritanopia", "high-contrast", "mono")
    ],
)
def test_theme(snap_compare: Any, theme: str) -> None:
    """The connect incident in every theme."""
    app = stage(theme_name=theme)
    assert snap_compare(app, terminal_size=(80, 24), run_before=_keys("4"))


@pytest.mark.parametrize("ascii", [pytest.param(True, id="ascii")])
def test_without_utf8(snap_compare: Any, ascii: bool) -> None:
    """Nothing but ASCII on the screen."""
    assert snap_compare(stage(ascii=ascii), terminal_size=(80, 24), run_before=_keys("5"))
