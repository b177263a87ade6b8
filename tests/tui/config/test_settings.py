"""Settings: read, said where they are wrong, saved without harm to what is in the file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from probes.analysis.cases.ordinary import MOST_ORDINARY, OrdinaryEntry
from tests.support.stage import playing, settle, text
from tui.config import settings
from tui.config.settings import (
    Settings,
    SettingsError,
    forget_ordinary,
    load,
    save,
    save_ordinary,
)

WHOLE = """\
# mine
theme = "light"   # for the balcony
interval = 2.5
units = "bits"
mouse = false
pane = "rtt"
panes = ["rtt", "hooks"]

[sort]
rtt = "-p99_us"

[keys]
"sort.menu" = ["o", "F7"]
filter = "f"

[presets.night]
pane = "rtt"
filter = "rtt>50ms"
zoom = true
"""


def _file(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text)
    return file


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    """Most people have none."""
    assert load(tmp_path / "settings.toml") == Settings()


def test_everything_is_read(tmp_path: Path) -> None:
    """Each setting as it is written."""
    found = load(_file(tmp_path, WHOLE))
    assert found.problems == ()
    assert (found.theme, found.interval, found.units, found.mouse) == ("light", 2.5, "bits", False)
    assert found.panes == ("rtt", "hooks")
    assert found.sort == {"rtt": "-p99_us"}
    assert found.keys == {"sort.menu": ("o", "F7"), "filter": ("f",)}
    assert found.presets["night"].filter == "rtt>50ms"
    assert found.presets["night"].zoom is True


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("theme = \n", "at line 1"),
        ('\n\ninterval = "soon"\n', "line 3: 'interval' must be a number of seconds from 0.1"),
        ("interval = 0.01", "line 1: 'interval' must be a number"),
        ("mouse = 1", "line 1: 'mouse' must be true or false, not 1"),
        ('units = "octets"', "'units' must be 'bytes' or 'bits', not 'octets'"),
        ('panes = "rtt"', "'panes' must be a list of panes' names"),
        ('hooks = ["xdp@eth0"]', "'hooks' must be a list of custom hooks"),
        ("[sort]\n\nrtt = 3\n", "line 3: 'sort.rtt' must be a column"),
        ('[keys]\n"sort.menu" = 3\n', "line 2: 'keys.sort.menu' must be a key"),
        ("[presets]\nnight = 1\n", "line 2: 'presets.night' must be a table"),
        ("[presets.night]\nzoom = 1\n", "line 2: 'presets.night.zoom' must be true or false"),
        ("[presets.night]\nzom = true\n", "line 2: 'presets.night.zom' is not a key of a preset"),
        ("sort = 1", "'sort' must be a table"),
        ("ordinary = 1", "'ordinary' must be a table"),
        ('[ordinary]\n"dns/webapp" = true\n', "line 2: 'ordinary.dns/webapp' must be a table"),
        ('[ordinary."dns/webapp"]\nwho = 3\n', "line 2: 'ordinary.dns/webapp.who' must be a name"),
        ('[ordinary."dns/webapp"]\nuntil = "May"\n', "line 2: 'ordinary.dns/webapp.until' must be"),
        (
            '[ordinary."dns/webapp"]\nwhy = "x"\n',
            "'ordinary.dns/webapp.why' is not a key of this table",
        ),
        (
            "".join(f'[ordinary."dns/{n}"]\nwho = []\n' for n in range(MOST_ORDINARY + 2)),
            "'ordinary.dns/100' is beyond the limit: only the first 100 of 102 count",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_left_alone(
    tmp_path: Path, written: str, words: str
) -> None:
    """A sentence; the rest holds; and nothing is written over it."""
    file = _file(tmp_path, written)
    found = load(file)
    assert len(found.problems) == 1
    assert words in found.problems[0]
    assert found.problems[0].startswith(str(file))
    with pytest.raises(SettingsError, match=r"not saved: .*fix or remove the file first"):
        save(file, {"theme": "dark"})
    assert file.read_text() == written


def test_one_mistake_costs_one_setting(tmp_path: Path) -> None:
    """Everything else in the file holds."""
    found = load(_file(tmp_path, WHOLE.replace("2.5", '"often"')))
    assert found.interval is None
    assert found.theme == "light"
    assert len(found.problems) == 1


def test_an_unknown_key_is_said_and_kept(tmp_path: Path) -> None:
    """A newer version's, or a slip."""
    file = _file(tmp_path, 'them = "light"\nfuture = 1\n')
    said = load(file).problems
    assert "line 1: 'them' is not a setting; did you mean 'theme'?" in said[0]
    assert "line 2: 'future' is not a setting; settings are theme" in said[1]
    save(file, {"units": "bits"})
    assert file.read_text() == 'them = "light"\nfuture = 1\nunits = "bits"\n'


def test_saving_keeps_comments_order_and_mode(tmp_path: Path) -> None:
    """Only what changed is another."""
    file = _file(tmp_path, WHOLE)
    file.chmod(0o640)
    save(file, {"theme": "dark", "interval": 2.5, "ascii": False, "sort": {"hooks": "-cpu"}})
    wanted = WHOLE.replace('"light"', '"dark"').replace(
        'rtt = "-p99_us"\n', 'rtt = "-p99_us"\nhooks = "-cpu"\n'
    )
    assert file.read_text() == wanted
    assert file.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["settings.toml"]
    assert load(file).problems == ()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """People keep such files elsewhere."""
    kept = _file(tmp_path, "")
    link = tmp_path / "linked" / "settings.toml"
    link.parent.mkdir()
    link.symlink_to(kept)
    save(link, {"theme": "light"})
    assert link.is_symlink()
    assert load(kept).theme == "light"


def test_a_new_file_is_its_owners_and_what_goes_without_saying_is_not_in_it(tmp_path: Path) -> None:
    """Mode 0600, and only what is another than it would be."""
    file = tmp_path / "ebpftop" / "settings.toml"
    save(file, {"interval": 1.0, "mouse": True, "units": "bits", "theme": None, "sort": {}})
    assert file.stat().st_mode & 0o777 == 0o600
    assert 'units = "bits"' in file.read_text()
    assert load(file) == Settings(units="bits")


def test_what_is_ordinary_is_read_with_its_end(tmp_path: Path) -> None:
    """A date counts to its end; a time has its zone, or this host's."""
    written = """
        [ordinary."drops/eth1/*"]
        who = "scanner"
        until = 2026-12-24
        [ordinary."dns/webapp"]
        until = 2026-12-24T01:00:00+01:00
        [ordinary."syscalls/openat/EMFILE"]
    """
    found = load(_file(tmp_path, written))
    assert found.problems == ()
    day, time, ever = found.ordinary
    assert (day.what, day.who) == ("drops/eth1/*", ("scanner",))
    assert datetime.fromtimestamp(day.until or 0) == datetime(2026, 12, 24, 23, 59, 59)
    assert time == OrdinaryEntry("dns/webapp", (), datetime(2026, 12, 24, tzinfo=UTC).timestamp())
    assert ever == OrdinaryEntry("syscalls/openat/EMFILE")


def test_what_is_said_to_be_ordinary_is_written_and_taken_back(tmp_path: Path) -> None:
    """Comments stay; what has expired goes."""
    file = _file(tmp_path, WHOLE)
    soon = OrdinaryEntry("dns/webapp", ("webapp",), 2000.0)
    odd = OrdinaryEntry('tcp-connect/[fe80::1%a"b]:80\x1b')
    save_ordinary(file, soon, 1000.0)
    save_ordinary(file, soon._replace(who=()), 1000.0)
    assert load(file).ordinary == (soon._replace(who=()),)
    save_ordinary(file, odd, 1999.0)
    assert load(file).ordinary == (soon._replace(who=()), odd)
    save_ordinary(file, odd, 2000.0)
    assert load(file).ordinary == (odd,)
    forget_ordinary(file, odd.what)
    assert load(file).ordinary == ()
    assert file.read_text().startswith(WHOLE)


def test_there_are_only_so_many_ordinary_cases(tmp_path: Path) -> None:
    """By the key: one sentence; those that are there can be changed."""
    file = _file(tmp_path, "")
    for n in range(MOST_ORDINARY):
        file.write_text(f'{file.read_text()}[ordinary."dns/{n}"]\nwho = []\n')
    with pytest.raises(SettingsError, match="100 entries are ordinary already"):
        save_ordinary(file, OrdinaryEntry("dns/more"), 0.0)
    save_ordinary(file, OrdinaryEntry("dns/7", ("x",)), 0.0)
    assert len(load(file).ordinary) == MOST_ORDINARY


def test_what_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A folder is in the way."""
    (tmp_path / "settings.toml").mkdir()
    with pytest.raises(SettingsError, match="not saved"):
        save(tmp_path / "settings.toml", {"units": "bits"})


# On the screen


async def test_settings_are_what_the_screen_begins_with(tmp_path: Path) -> None:
    """Theme, panes, first pane, sort, units, keys."""
    settled = load(_file(tmp_path, WHOLE))
    async with playing(size=(120, 40), settled=settled, pane=None) as (app, pilot):
        assert app.look.name == "light"
        assert [p.name for p in app.place.panes] == ["rtt", "hooks"]
        assert app.place.pane.name == "rtt"
        assert (app.table.sort, app.table.reverse) == ("p99_us", True)
        assert app.session.live.bits
        await pilot.press("f", *"nginx", "enter")
        assert app.place.filters["rtt"] == "nginx"
        await pilot.press("o")
        assert app.place.mode == "menu"


async def test_flags_win_over_settings(tmp_path: Path) -> None:
    """What is said on the command line is meant now."""
    settled = load(_file(tmp_path, WHOLE + "\n"))
    async with playing(settled=settled, theme_name="mono", mouse=True, pane=None) as (app, _):
        assert app.look.name == "mono"
        assert app.mouse


async def test_problems_are_told_and_stay_in_the_log() -> None:
    """A pane, a column, a theme, a key that are not there; the screen comes all the same."""
    settled = Settings(
        theme="drak", pane="rrt", sort={"rtt": "-nothing"}, keys={"opne": ("x",)},
        problems=("settings.toml, line 1: it is wrong",),
    )  # fmt: skip
    async with playing(size=(120, 60), settled=settled) as (app, pilot):
        told = [n.message for n in app._notifications]
        for words in ("line 1: it is wrong", "no theme 'drak'", "no pane 'rrt'",
                      "no column 'nothing'", "no binding 'opne'; did you mean open?"):  # fmt: skip
            assert any(words in t for t in told), words
            assert any(words in e.text for e in app.session.live.events), words
        await pilot.press("f2")
        await settle(pilot)
        assert "Problem" in text(app)


async def test_settings_are_changed_and_saved_from_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F2, change, save: the next start has it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with playing(size=(120, 40)) as (app, pilot):
        await pilot.press("f2", *["down"] * 3, "enter")  # units; the menu is still there
        assert app.place.mode == "menu"
        assert app.session.live.bits
        await pilot.press("home", "down", "down", "enter", "backspace", *"9999", "enter")
        await settle(pilot)
        assert app.prompt.question is not None, "that is no interval"
        await pilot.press("ctrl+u", "5", "enter", "home", "enter")
        await settle(pilot)
        assert any("saved in" in n.message for n in app._notifications)
    found = load(settings.path())
    assert (found.units, found.interval, found.theme) == ("bits", 5.0, None)
