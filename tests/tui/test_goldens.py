"""Every pane and state as it looks in the middle of the incident."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stage import settle, stage, step
from textual.pilot import Pilot

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
        for i, pane in enumerate(PANES, 1)
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
        pytest.param(("2", "enter"), id="syscall-detail-by-process"),
        pytest.param(("3", "enter"), id="connect-detail"),
        pytest.param(("4", "enter"), id="rtt-detail"),
        pytest.param(("5", "end", "up", "up", "up", "enter"), id="hook-ladder"),
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
            ("help-searched", ("4", "question_mark", "slash", *"filter"), (80, 24)),
            ("filter-read", ("4", "slash", *"rtt>50ms ", "exclamation_mark", *"curl"), (80, 24)),
            ("filter-wrong", ("4", "slash", *"nginx rtt>50"), (80, 24)),
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
            "rule-on-every-pane": (*_DROPPING, "3", "!"),
        }.items()
        for size in ((80, 24), (120, 40))
    ],
)
def test_who_drops(snap_compare: Any, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    """From the interface that drops to its sources, to a rule and what it drops."""
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
    assert snap_compare(app, terminal_size=(80, 24), run_before=_keys("3"))


@pytest.mark.parametrize("ascii", [pytest.param(True, id="ascii")])
def test_without_utf8(snap_compare: Any, ascii: bool) -> None:
    """Nothing but ASCII on the screen."""
    assert snap_compare(stage(ascii=ascii), terminal_size=(80, 24), run_before=_keys("4"))
