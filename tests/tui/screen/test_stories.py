"""What a person does at the screen, from the first key to what comes of it."""

from __future__ import annotations

import re
from typing import Any

from probes.model import HookId, State
from tests.support.stage import playing, settle, step, text
from tui.config import theme
from tui.screen.app import Monitor
from tui.widgets.live_table import LiveTable


def _rows(app: Monitor) -> list[str]:
    return [r.name for r in app.table.rows]


def _toasts(app: Monitor) -> list[str]:
    return [n.message for n in app._notifications]


def _status(app: Monitor, id: str) -> Any:
    return next(s for s in app.session.source.statuses() if str(s.id) == id)


async def test_the_opening_screen_says_what_is_wrong() -> None:
    """What drops most is named with its share, its interface's row marked and selected."""
    async with playing(size=(80, 24)) as (app, _):
        shown = text(app)
        assert "! XDP xdp_filter#412 drops at eth1, 32%, 6.6k/s" in shown.splitlines()[2]
        assert app.table.record is not None
        assert app.table.record.name == "eth1"


async def test_tabs_mark_every_pane_with_trouble() -> None:
    """From any pane one sees which others have something to say."""
    async with playing(size=(80, 24)) as (app, _):
        tabs = text(app).splitlines()[1]
        assert "[2 Ifaces!]" in tabs
        for pane in (r"4 Conn\w*!", r"5 RTT!"):
            assert re.search(pane, tabs)
        assert not re.search(r"6 Hook\w*!", tabs)


async def test_number_and_tab_keys_switch_panes() -> None:
    """Each pane has its number; Tab goes round."""
    async with playing() as (app, pilot):
        await pilot.press("4")
        await settle(pilot)
        assert "10.0.0.5:5432: no answer, 80.5% of connects" in text(app)
        await pilot.press("tab")
        await settle(pilot)
        assert "203.0.113.77:873 slow round trip" in text(app)
        await pilot.press("tab", "tab", "tab", "tab")
        await settle(pilot)
        assert "[1 Overview" in text(app)


async def test_filter_keeps_and_leaves_out() -> None:
    """Words must be there, !words must not; Esc while typing clears."""
    async with playing() as (app, pilot):
        await pilot.press("4", "slash", *"nginx")
        assert {r.text("comm") for r in app.table.rows} == {"nginx"}
        await pilot.press("space", *"!10.0.1.21", "enter")
        assert len(_rows(app)) == 2
        await settle(pilot)
        assert re.search(r" filter nginx !10.0.1.21   2 of \d+   Esc: clear", text(app))
        await pilot.press("escape")
        assert len(_rows(app)) > 10


async def test_filter_history_comes_back_with_up() -> None:
    """What was filtered by before need not be typed again."""
    async with playing() as (app, pilot):
        await pilot.press("3", "slash", *"open", "enter", "escape", "slash", "up", "enter")
        assert _rows(app) == ["openat"]


async def test_keys_typed_into_the_filter_do_nothing_else() -> None:
    """q is a letter there; Tab does not change the pane."""
    async with playing() as (app, pilot):
        await pilot.press("3", "slash", "q", "tab", "2")
        assert app.is_running
        assert app.place.pane.name == "syscalls"


async def test_freeze_stands_still_while_collecting_goes_on() -> None:
    """The frozen screen does not change; back in the present nothing is missing."""
    async with playing() as (app, pilot):
        await pilot.press("4", "space")
        await settle(pilot)
        before = text(app)
        assert "FROZEN at 00:00:50" in before
        await step(pilot, 5)
        # below the banner and the time bar, which tell how long ago that is by now
        body = [row for row in before.splitlines()[4:] if row.strip()]
        assert "0:05 ago" in text(app)
        assert [row for row in text(app).splitlines()[4:] if row.strip()] == body
        await pilot.press("space")
        await settle(pilot)
        assert "FROZEN" not in text(app)
        assert app.session.view.wall == app.session.live.wall > 0
        assert app.session.live.history.ticks["tcp-connect"] == 35


async def test_frozen_graphs_stand_still_for_other_rows_too() -> None:
    """Going to another row in the past shows that row's past."""
    async with playing() as (app, pilot):
        await pilot.press("space", "down")
        await settle(pilot)
        before = text(app).splitlines()[-20:-2]
        await step(pilot, 4)
        await pilot.press("up", "down")
        await settle(pilot)
        assert text(app).splitlines()[-20:-2] == before


async def test_selection_stays_on_its_row_while_rows_move() -> None:
    """The selected row is an identity, not a place."""
    async with playing() as (app, pilot):
        await pilot.press("3", "down", "down")
        chosen = app.table.record
        assert chosen is not None
        place = app.table.index
        await pilot.press("less_than_sign", "I")
        await step(pilot, 3)
        assert app.table.record is not None
        assert app.table.record.key == chosen.key
        assert app.table.index != place


async def test_sorting_by_keys_and_menu() -> None:
    """< and > take the neighbouring column, I reverses, s offers all by name."""
    async with playing() as (app, pilot):
        await pilot.press("3")
        assert app.table.sort == "calls_per_s"
        await pilot.press("greater_than_sign")
        assert app.table.sort == "errors_per_s"
        await pilot.press("I")
        assert app.table.reverse is False
        await pilot.press("s", "home", "enter")
        assert app.table.sort == "syscall"
        assert _rows(app) == sorted(_rows(app))


async def test_attaching_xdp_asks_attaches_counts_and_detaches() -> None:
    """Only y attaches; the row shows mode and program, the detail the verdicts; d undoes it."""
    async with playing(size=(160, 50)) as (app, pilot):
        app.table.select(_rows(app).index("veth3f2a1c"))
        await pilot.press("a")
        await settle(pilot)
        assert "Attach xdp@veth3f2a1c to the data path" in text(app)
        await pilot.press("x", "n")
        assert _status(app, "xdp@veth3f2a1c").state is State.DETACHED
        await pilot.press("a", "y")
        await settle(pilot)
        await step(pilot, 3)
        assert _status(app, "xdp@veth3f2a1c").state is State.ATTACHED
        row = next(r for r in app.table.rows if r.name == "veth3f2a1c")
        assert row.values["xdp_mode"] == "native"
        assert row.number("xdp_pass") > 100
        assert any("xdp@veth3f2a1c attached" in t for t in _toasts(app))
        await pilot.press("d", "y")
        await settle(pilot)
        assert _status(app, "xdp@veth3f2a1c").state is State.DETACHED


async def test_the_question_keeps_its_hook_while_rows_move() -> None:
    """What was asked about is what is attached, wherever the selection is by then."""
    async with playing() as (app, pilot):
        app.table.select(_rows(app).index("veth3f2a1c"))
        await pilot.press("a")
        app.table.select(0)
        await step(pilot, 2)
        await pilot.press("y")
        await settle(pilot)
        attached = [s.id for s in app.session.source.statuses() if s.state is State.ATTACHED]
        assert HookId("xdp", "veth3f2a1c") in attached
        assert HookId("xdp", "br0") not in attached


async def test_a_step_down_is_said_with_its_reason() -> None:
    """eth0 has no native XDP: generic it is, and the toast and the log say why."""
    async with playing() as (app, pilot):
        app.table.select(_rows(app).index("eth0"))
        await pilot.press("a", "y")
        await settle(pilot)
        assert _status(app, "xdp@eth0").degraded
        said = next(t for t in _toasts(app) if "xdp@eth0" in t)
        assert "EOPNOTSUPP" in said
        log = [e.text for e in app.session.live.events]
        assert any("xdp@eth0" in text and "EOPNOTSUPP" in text for text in log)


async def test_a_refused_attach_says_why_and_what_to_do() -> None:
    """Somebody else's program is never replaced: toast, log, and the failed hook in its pane."""
    async with playing() as (app, pilot):
        app.table.select(_rows(app).index("eth1"))
        await pilot.press("a", "y")
        await settle(pilot)
        said = next(t for t in _toasts(app) if "eth1" in t)
        assert "xdp_filter#412" in said
        assert "ip link set dev eth1 xdp off" in said
        await pilot.press("6")
        await settle(pilot)
        assert "! xdp@eth1 failed" in text(app)
        assert "EBUSY" in text(app)


async def test_the_ladder_shows_each_rungs_answer() -> None:
    """Enter on a degraded hook: refused with errno, reason and remedy; in use; not tried."""
    async with playing(size=(100, 40)) as (app, pilot):
        await pilot.press("6")
        app.table.select(_rows(app).index("tcp-connect"))
        await pilot.press("enter")
        await settle(pilot)
        shown = text(app)
        for words in (
            "refused    fentry  EPERM",
            "remedy",
            "in use     btf-tracepoint",
            "not tried",
            "kprobe  ENOENT",
        ):
            assert words in shown
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.table, LiveTable)
        assert app.table.record is not None
        assert app.table.record.name == "tcp-connect"


async def test_looking_on_hooks_detach_and_attach_without_a_question() -> None:
    """Only what sits in a data path asks first."""
    async with playing() as (app, pilot):
        await pilot.press("6")
        app.table.select(_rows(app).index("drops"))
        await pilot.press("d")
        await settle(pilot)
        assert _status(app, "drops").state is State.DETACHED
        await pilot.press("a")
        await settle(pilot)
        assert _status(app, "drops").state is State.ATTACHED


async def test_a_syscalls_detail_attaches_its_hook_and_takes_it_with_it() -> None:
    """By process, while it is looked at, and not a moment longer."""
    async with playing(size=(100, 50)) as (app, pilot):
        await pilot.press("3", "enter")
        await settle(pilot)
        await step(pilot, 3)
        name = str(app.place.opened.name) if app.place.opened else ""
        assert any(str(s.id) == f"syscall-processes@{name}" for s in app.session.source.statuses())
        assert "rsyslogd" in text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert not any(s.id.hook == "syscall-processes" for s in app.session.source.statuses())


async def test_help_names_every_key_and_only_keys_that_work() -> None:
    """Made from the key table; panes that are not there have no key."""
    async with playing(size=(100, 140)) as (app, pilot):
        await pilot.press("question_mark")
        await settle(pilot)
        shown = text(app)
        assert "freeze the screen, or back to live" in shown
        assert "pane 8" in shown
        assert "pane 9" not in shown
        assert "lost per second in the kernel" in shown


async def test_units_switch_between_bytes_and_bits() -> None:
    """Links are sold in bits."""
    async with playing() as (app, pilot):
        assert "MB" in text(app)
        await pilot.press("u")
        await settle(pilot)
        assert "Mb" in text(app)
        assert "MB" not in text(app).splitlines()[5]


async def test_graphs_show_two_five_or_fifteen_minutes() -> None:
    """x: on every graph, also of a frozen screen; without a graph it says so."""
    async with playing(size=(100, 36)) as (app, pilot):
        for minutes in ("-5m", "-15m", "-2m"):
            await pilot.press("2", "x")
            await settle(pilot)
            assert f" {minutes} " in text(app)
        await pilot.press("space", "x")
        await settle(pilot)
        assert " -5m " in text(app)
        await pilot.press("enter")
        await settle(pilot)
        app.report.move(1000)
        assert app.session.view.span == 300
        await pilot.press("escape", "z", "x")
        await settle(pilot)
        assert "no graph fits here" in text(app).splitlines()[-1]
        assert app.session.live.span == 300


async def test_a_connection_accepted_here_shows_its_own_port() -> None:
    """Not the port that its peer happens to have."""
    async with playing(size=(80, 24), pane="rtt") as (app, pilot):
        row = next(r for r in text(app).splitlines() if " sshd " in r)
        assert "> :22 sshd" in row
        assert "61022" not in row
        app.table.select_key(next(r.key for r in app.table.rows if r.text("comm") == "sshd"))
        await pilot.press("enter")
        await settle(pilot)
        assert "here, at port 22" in text(app)


async def test_interval_keys_change_the_sources_interval() -> None:
    """+ is slower, - is faster, and the status line says so."""
    async with playing() as (app, pilot):
        await pilot.press("plus")
        await settle(pilot)
        assert app.session.source.interval == 2.0
        assert " 2s " in text(app).splitlines()[0]
        await pilot.press("minus", "minus")
        assert app.session.source.interval == 0.5


async def test_zoom_gives_the_table_all_the_space() -> None:
    """z hides graph and log; Esc brings them back."""
    async with playing(size=(100, 40)) as (app, pilot):
        await pilot.press("4", "z")
        await settle(pilot)
        assert "Latest connects" not in text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert "Latest connects" in text(app)


async def test_escape_never_quits_and_q_does() -> None:
    """Esc closes what is open, and then nothing."""
    async with playing() as (app, pilot):
        await pilot.press("escape", "escape", "escape")
        assert app.is_running
        await pilot.press("q")
        await pilot.pause()
        assert app.return_code == 0


async def test_themes_are_worn_while_they_are_chosen() -> None:
    """T shows each as it is selected; Esc brings back what was worn, Enter keeps."""
    async with playing() as (app, pilot):
        first = app.look.name
        await pilot.press("T")
        seen = {app.look.name}
        await pilot.press("home")
        for _ in theme.names():
            seen.add(app.look.name)
            await pilot.press("down")
        assert seen == set(theme.names())
        await pilot.press("escape")
        assert app.look.name == first
        await pilot.press("T", "end", "enter")
        assert app.look.name == theme.names()[-1]
        assert app.place.mode == "pane"


async def test_the_footer_offers_seven_keys_at_most_and_fits() -> None:
    """Nothing is clipped in silence."""
    for width in (60, 80, 120):
        async with playing(size=(width, 24)) as (app, pilot):
            for key in "123456":
                await pilot.press(key)
                await settle(pilot)
                last = text(app).splitlines()[-1]
                assert last.rstrip().endswith("? Help")
