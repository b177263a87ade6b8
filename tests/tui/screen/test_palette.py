"""The palette, menus and presets: everything by name, and nothing shifts below the prompt."""

from __future__ import annotations

from typing import Any

import pytest

from probes.model import HookId, State
from tests.support.stage import playing, settle, text
from tui.config.presets import Preset, built_in
from tui.config.settings import Settings
from tui.screen.app import Monitor
from tui.table.fuzzy import rank

FREEZE = "Freeze the screen, or back to live; counting goes on; in a recording: pause"


def _status(app: Monitor, id: str) -> Any:
    return app.session.live.status(HookId.parse(id))


def _listed(app: Monitor) -> list[str]:
    return [r.name for r in app.table.rows]


async def _command(pilot: Any, letters: str) -> None:
    await pilot.press("colon", *["space" if c == " " else c for c in letters], "enter")
    await settle(pilot)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("frz", "Freeze"), ("th li", "Theme: light"), ("dark", "Theme: dark"),
        ("det dro", "Detach drops"), ("", "Freeze"), ("xyz", None),
    ],
)  # fmt: skip
def test_the_best_match_is_first(typed: str, first: str | None) -> None:
    """Beginnings of words before their middle, before letters in their order."""
    things = ["Freeze", "Theme: light", "Theme: dark", "Attach drops", "Detach drops"]
    found = rank(typed, things, lambda t: (t,))
    assert (found[0] if found else None) == first


async def test_everything_is_found_by_name() -> None:
    """Keys, panes, themes, presets, columns, hooks, rungs, rules, settings."""
    async with playing(size=(100, 40)) as (app, pilot):
        await pilot.press("ctrl+p")
        await settle(pilot)
        names = _listed(app)
        for wanted in (
            FREEZE, "Pane: RTT", "Theme: mono",
            "Preset: syscalls", "Sort by RX/s", "Attach xdp@eth0", "Detach drops",
            "Attach sources@INTERFACE...", "Pin drops on counters", "Drop on eth1...",
            "Setting: Units", "Save settings",
        ):  # fmt: skip
            assert wanted in names, wanted
        assert len(names) == len(set(names))
        await pilot.press("escape")
        assert app.place.mode == "pane"


async def test_commands_do_what_they_say_and_come_back_first() -> None:
    """The latest are at the top of the next palette."""
    async with playing() as (app, pilot):
        await _command(pilot, "pane rtt")
        assert app.place.pane.name == "rtt"
        await _command(pilot, "theme light")
        assert app.look.name == "light"
        await _command(pilot, "sort by srtt")
        assert app.table.sort == "srtt_us"
        await _command(pilot, "freeze")
        assert app.session.frozen
        await pilot.press("colon")
        assert _listed(app)[:3] == [
            FREEZE, "Sort by SRTT", "Theme: light",
        ]  # fmt: skip


async def test_up_and_down_choose_and_the_rest_is_typed() -> None:
    """No letter is a key while the palette is open."""
    async with playing() as (app, pilot):
        await pilot.press("colon", *"pane", "down", "down", "up", "enter")
        await settle(pilot)
        assert app.place.pane.name == "interfaces"
        await pilot.press("colon", *"qqq", "enter")
        assert app.is_running
        assert app.place.mode == "pane"


async def test_hooks_attach_and_detach_by_name_and_ask_where_they_must() -> None:
    """An identity, not a row; a data path needs a yes."""
    async with playing() as (app, pilot):
        await _command(pilot, "detach drops")
        assert _status(app, "drops").state is State.DETACHED
        await _command(pilot, "attach xdp@veth3f")
        assert "Attach xdp@veth3f2a1c to the data path" in text(app)
        app.table.select(0)
        await pilot.press("y")
        await settle(pilot)
        assert _status(app, "xdp@veth3f2a1c").state is State.ATTACHED


async def test_a_target_is_asked_for_where_it_is_needed() -> None:
    """And where there is none such, that is said."""
    async with playing() as (app, pilot):
        await _command(pilot, "attach sources@interface")
        assert "Attach sources to which interface?" in text(app)
        await pilot.press(*"eth1", "enter")
        await settle(pilot)
        assert _status(app, "sources@eth1").state is State.ATTACHED
        await _command(pilot, "attach sources@interface")
        await pilot.press(*"eth9", "enter")
        await settle(pilot)
        assert any("sources@eth9 not attached" in n.message for n in app._notifications)


async def test_a_rung_is_pinned_by_name() -> None:
    """On that rung and no other; one that reaches into a data path asks first."""
    async with playing() as (app, pilot):
        await _command(pilot, "pin tcp-connect on sock_ops")
        await settle(pilot)
        status = _status(app, "tcp-connect")
        assert status.pinned
        assert "sock_ops" in status.rung
        await _command(pilot, "attach sources@interface")
        await pilot.press(*"eth1", "enter")
        await settle(pilot)
        await _command(pilot, "pin sources@eth1 on xdp generic")
        assert "to the data path" in text(app)
        await pilot.press("n")


async def test_a_rule_is_ended_and_begun_by_name() -> None:
    """Begun as by D, with its sentence and its question."""
    async with playing() as (app, pilot):
        await _command(pilot, "drop on eth1")
        await pilot.press(*"icmp", "enter")
        assert "Drop every ICMP packet that arrives on eth1" in text(app)
        await pilot.press("y")
        await settle(pilot)
        assert len(app.session.source.rules()) == 1
        await _command(pilot, "end the drop rule")
        assert app.session.source.rules() == ()


# Undo


async def test_what_was_detached_last_comes_back() -> None:
    """U, again and again; in a data path only after a yes; what a person pinned stays pinned."""
    async with playing() as (app, pilot):
        await pilot.press("U")
        assert any("nothing to attach again" in n.message for n in app._notifications)
        await _command(pilot, "pin tcp-connect on sock_ops")
        await _command(pilot, "detach tcp-connect")
        app.table.select([r.name for r in app.table.rows].index("veth3f2a1c"))
        await pilot.press("a", "y")
        await settle(pilot)
        await pilot.press("d", "y")
        await settle(pilot)
        assert _status(app, "xdp@veth3f2a1c").state is State.DETACHED
        await pilot.press("U")
        assert "Attach xdp@veth3f2a1c to the data path" in text(app)
        await pilot.press("y")
        await settle(pilot)
        assert _status(app, "xdp@veth3f2a1c").state is State.ATTACHED
        await pilot.press("U")
        await settle(pilot)
        assert _status(app, "tcp-connect").pinned
        assert "sock_ops" in _status(app, "tcp-connect").rung


async def test_what_a_detail_borrowed_is_not_undone() -> None:
    """It was not a person who attached it."""
    async with playing(size=(100, 40)) as (app, pilot):
        await pilot.press("3", "enter")
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert app.session.collector.control.last_detached() is None


async def test_attaching_refusing_and_detaching_are_logged() -> None:
    """Lasting entries, for whoever comes later."""

    async with playing(size=(120, 50)) as (app, pilot):
        for name, keys in (("eth0", "ay"), ("eth1", "ay"), ("eth0", "dy")):
            app.table.select([r.name for r in app.table.rows].index(name))
            await pilot.press(*keys)
            await settle(pilot)
        log = [e.text for e in app.session.live.events]
        assert any("xdp@eth0 attached" in t and "EOPNOTSUPP" in t for t in log)
        assert any("xdp@eth1 not attached" in t for t in log)
        assert any("xdp@eth0 detached" in t for t in log)


# Presets


async def test_a_preset_brings_pane_sort_filter_units_and_zoom() -> None:
    """Ours by p and a number; a person's from the settings."""
    mine = Preset("night", "rtt", "-p99_us", "nginx", "bits", True)
    async with playing(size=(120, 40), settled=Settings(presets={"night": mine})) as (app, pilot):
        await pilot.press("p")
        await settle(pilot)
        assert "night" in text(app)
        await pilot.press(str(_listed(app).index("night") + 1))
        await settle(pilot)
        assert (app.place.pane.name, app.table.sort, app.table.reverse) == ("rtt", "p99_us", True)
        assert app.place.filters["rtt"] == "nginx"
        assert app.place.zoomed
        assert app.session.live.bits
        await pilot.press("p", str(1))
        await settle(pilot)
        assert app.place.pane is app.place.panes[0]
        assert not app.place.zoomed


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        (Preset("x", "rrt"), "preset x: there is no pane 'rrt'; similar names: rtt"),
        (Preset("x", "rtt", "-speed"), "preset x: RTT: there is no column 'speed'; columns are "),
        (Preset("x", "rtt", filter="rtt>50"), "preset x: give the unit of SRTT"),
    ],
)
async def test_what_a_preset_asks_for_that_is_not_there_is_said(preset: Preset, words: str) -> None:
    """In a sentence; the rest of it is done."""
    async with playing(settled=Settings(presets={"x": preset})) as (app, pilot):
        await _command(pilot, "preset: x")
        assert any(words in n.message for n in app._notifications)


async def test_every_preset_of_ours_goes_somewhere() -> None:
    """Its pane and column are there."""
    async with playing() as (app, pilot):
        for preset in built_in("overview"):
            await _command(pilot, f"preset: {preset.name}")
        assert not app._notifications


async def test_a_pane_is_saved_as_a_preset(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """P asks for a name; the file has it, and the menu."""
    from tui.config import settings

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with playing() as (app, pilot):
        await pilot.press("5", "slash", *"nginx", "enter", "P", *"mine", "enter")
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        assert "mine" in _listed(app)
    found = settings.load(settings.path()).presets["mine"]
    assert (found.pane, found.filter, found.sort) == ("rtt", "nginx", "-srtt_us")


# Themes


async def test_a_persons_theme_is_there_and_a_broken_one_is_said(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the menu, with the reason, and it cannot be taken."""
    from tui.config import theme

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "ebpftop" / "themes"
    folder.mkdir(parents=True)
    good = (theme.folder() / "dark.toml").read_text().replace("# For dark terminals.", "# Mine.")
    (folder / "amber.toml").write_text(good)
    (folder / "broken.toml").write_text(good.replace("good", "god"))
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("T")
        await settle(pilot)
        shown = text(app)
        assert "amber" in shown
        assert "Mine." in shown
        assert "'god' is not a role" in shown
        app.table.select(_listed(app).index("broken"))
        await pilot.press("enter")
        assert app.look.name == "dark"
        assert any("'god' is not a role" in n.message for n in app._notifications)


async def test_a_click_selects_and_the_next_one_opens() -> None:
    """The mouse does what the keys do: rows, headers, tabs."""
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.click("#table-interfaces", offset=(4, 2))
        await settle(pilot)
        assert app.table.index == 1
        assert app.place.mode == "pane"
        await pilot.click("#table-interfaces", offset=(4, 2))
        await settle(pilot)
        assert app.place.mode == "detail"
        await pilot.press("escape")
        edge = text(app).splitlines()[app.table.region.y].index("RX/s")
        await pilot.click("#table-interfaces", offset=(edge + 1, 0))
        await settle(pilot)
        assert (app.table.sort, app.table.reverse) == ("rx_bytes_per_s", True)
        await pilot.click("#table-interfaces", offset=(edge + 1, 0))
        assert app.table.reverse is False


@pytest.mark.parametrize("place", range(2, 7))
async def test_every_column_of_every_pane_sorts_by_key_and_by_click(place: int) -> None:
    """Whatever is in it, and the selected row stays selected."""
    async with playing(size=(200, 50)) as (app, pilot):
        await pilot.press(str(place), "down")
        chosen = app.table.key
        for field in app.table.fields:
            app.table.sort_by(field.name)
            assert app.table.key == chosen
        for _ in app.table.columns:
            await pilot.press("greater_than_sign")
            assert app.table.key == chosen
        head = text(app).splitlines()[next(
            i for i, row in enumerate(text(app).splitlines()) if "▼" in row or "▲" in row
        )]  # fmt: skip
        for field in app.table.columns:
            at = head.find(field.title)
            await pilot.click(f"#table-{app.place.pane.name}", offset=(max(at, 2), 0))
            assert app.table.key == chosen


async def test_a_hook_of_one_s_own_is_asked_for_and_refused_in_a_sentence_in_the_demo() -> None:
    async with playing(size=(120, 40)) as (app, pilot):
        await _command(pilot, "custom hook")
        assert "Tab completes" in text(app)
        await pilot.press(*"kprobe", "colon", *"vfs", "underscore", *"read", "enter")
        await settle(pilot)
        assert app.prompt.question is None
        assert "kprobe:vfs_read not attached" in text(app) or any(
            "kprobe:vfs_read not attached" in e.text for e in app.session.live.events
        )
