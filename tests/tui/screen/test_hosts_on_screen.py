"""Several hosts on one screen: a line of all, one that is looked at, and what a cut looks like."""

from __future__ import annotations

from typing import Any

import pytest

from probes.analysis.cases.ordinary import OrdinaryEntry
from probes.model import HookId, State
from probes.source import Feed
from probes.sources.demo.source import Demo
from tests.support.one_trouble import FAILING, LOSS, one_trouble
from tests.support.stage import settle, stage, text
from tui.screen.actions.hosts import HostActions, cut_words
from tui.session.past_view import beginnings

__all__ = ["one_trouble"]


class Far(Demo):
    """A demo that plays another host."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.name = name
        self.feed = Feed(0.0123)
        self.closed = False

    async def close(self) -> None:
        self.closed = True
        await super().close()


def _staged(*names: str) -> tuple[Any, list[Far]]:
    app: Any = stage(ticks=12)
    others = [Far(name, begin=39, pace=app.pace) for name in names]
    app.session.join(others)
    return app, others


def _hosts(app: Any) -> HostActions:
    """Return what looks at all of them once a second."""
    return next(group for group in app.groups if isinstance(group, HostActions))


async def test_one_host_has_no_line_of_hosts_and_no_key_for_it() -> None:
    app = stage()
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("H")
        assert "hosts (H" not in text(app)


async def test_a_key_goes_to_the_next_host_and_around() -> None:
    """Each host's numbers are its own; what is open and filtered here is not looked for there."""
    app, others = _staged("db2", "[red]web3")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        _hosts(app).note_worst()
        app.repaint()
        assert "[1 web1 !]" in text(app)
        assert " 2 db2 " in text(app)
        assert " 3 [red]web3 " in text(app)
        await pilot.press("H")
        await settle(pilot)
        assert app.session.source is others[0]
        assert "[2 db2 !]" in text(app), "readings do not take it away"
        assert "12.3ms" in text(app)
        await pilot.press("2", "enter", "H")
        await settle(pilot)
        assert app.session.source is others[1]
        assert app.place.mode == "pane"
        await pilot.press("H")
        await settle(pilot)
        assert app.session.source is not others[0]
        assert "[1 web1" in text(app)
    for other in others:
        assert other.statuses()


async def test_what_is_attached_is_attached_on_the_host_that_is_looked_at() -> None:
    app, _ = _staged("db2")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("H")
        await settle(pilot)
        await app.session.collector.control.attach(HookId("xdp", "eth0"))
        states = [
            next(s.state for s in source.statuses() if s.id == HookId("xdp", "eth0"))
            for source in app.session.sources
        ]
        assert states == [State.DETACHED, State.ATTACHED]


async def test_a_toast_says_whose_it_is_where_there_are_several_hosts() -> None:
    """Of each host, the first as well; of a single one it is nobody's question."""
    app, _ = _staged("db2")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        for host in ("web1", "db2"):
            await app.session.collector.control.attach(HookId("xdp", "eth0"))
            await settle(pilot)
            assert list(app._notifications)[-1].message.startswith(f"{host}: xdp@eth0 ")
            await pilot.press("H")
            await settle(pilot)
    app = stage(ticks=12)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await app.session.collector.control.attach(HookId("xdp", "eth0"))
        await settle(pilot)
        assert list(app._notifications)[-1].message.startswith("xdp@eth0 ")


async def test_marks_are_those_of_the_host_that_is_shown() -> None:
    """Also where its tape has as many moments as that of the host before."""
    app: Any = stage(ticks=12)
    app.session.join([Far("db2", begin=2, pace=app.pace)])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("space")
        here, marks = app.session.collector.tape, app.time.marks()
        await pilot.press("H")
        await settle(pilot)
        await pilot.press("space")
        there = app.session.collector.tape
        assert (here.first, here.end) == (there.first, there.end)
        assert marks == beginnings(here.marks())
        assert app.time.marks() == beginnings(there.marks()) != marks


async def test_a_theme_that_was_not_taken_is_taken_off_with_the_host() -> None:
    app, _ = _staged("db2")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        first = app.look.name
        await pilot.press("T", "end", "H")
        await settle(pilot)
        assert app.look.name == first


async def test_top_sources_are_given_back_where_they_were_taken() -> None:
    """The pane is left with the host: nothing that nobody looks at stays attached."""
    app, _ = _staged("db2")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("2", "t")
        await settle(pilot)
        first = app.session.source
        assert any(s.id.hook == "sources" for s in first.statuses())
        await pilot.press("H")
        await settle(pilot)
        assert not any(s.id.hook == "sources" for s in first.statuses())
        assert not app.place.pane.inner


async def test_a_frozen_screen_goes_on_with_the_next_host() -> None:
    app, others = _staged("db2")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("space", "H")
        await settle(pilot)
        assert app.session.source is others[0]
        assert not app.session.frozen


async def test_a_cut_is_said_on_every_pane_of_that_host_and_in_the_line_of_all() -> None:
    app, others = _staged("db2")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        others[0].feed = Feed(None, "db2 cannot be reached: [b]no route", 1.0, 0.0)
        _hosts(app).note_worst()
        app.repaint()
        assert "2 db2 cut" in text(app)
        await pilot.press("H", "3")
        await settle(pilot)
        assert " CUT" in text(app)
        assert "disconnected for" in text(app)
        assert "the numbers are from before" in text(app)
        assert "[b]no route" in text(app)


def test_a_cut_in_words() -> None:
    feed = Feed(None, "web1 cannot be reached: no route", 100.0, 130.0)
    assert cut_words(feed, 112.0) == (
        "disconnected for 12.0s, next attempt in 18 s; the numbers are from before."
        " web1 cannot be reached: no route"
    )
    assert "reconnecting" in cut_words(feed, 131.0)


async def test_many_hosts_on_a_small_screen() -> None:
    """The one that is looked at is always in the line."""
    app, _ = _staged(*(f"host-with-a-long-name-{n}" for n in range(12)))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for place in (1, 2, 9, 13):
            app.navigation.show_host(place - 1)
            await settle(pilot)
            assert f"[{place} " in text(app)


@pytest.mark.usefixtures("one_trouble")
async def test_each_host_has_its_own_cases() -> None:
    """And what is ordinary is so on all of them."""
    app, _others = _staged("db1")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("1")
        mine, theirs = (station.collector.view for station in app.session.stations)
        assert mine.log is not theirs.log
        for view in (mine, theirs):
            assert [f.id for f in view.findings()] == [LOSS, FAILING]
        app.session.use_ordinary([OrdinaryEntry("drops/*")])
        assert [view.hidden() for view in (mine, theirs)] == [1, 1]
