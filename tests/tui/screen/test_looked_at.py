"""What was seen when every pane was looked at, at each size and in each state, and mended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from probes import units
from probes.model import Refusal, Sample, State, Status
from probes.sources.demo.source import Demo
from tests.support.stage import playing, settle, step, text
from tui.panes.overview import case_rows
from tui.panes.overview.selected import drawn
from tui.table.lines import cut, line, width_of


class Empty(Demo):
    """A host on which nothing happens: hooks read, and find nothing."""

    prepared = False

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        async for samples in super().samples(hook):
            yield tuple(replace(s, rows={}, log=()) for s in samples)


class Refused(Empty):
    """The same where tcp-connect is refused."""

    async def start(self) -> None:
        await super().start()
        why = Refusal("kprobe", "EPERM", "needs CAP_BPF", "run it as root")
        for id in self._statuses:
            if id.hook == "tcp-connect":
                self._statuses[id] = Status(id, State.FAILED, None, (why,))


async def _press(pilot: Any, *keys: str) -> str:
    for key in keys:
        await pilot.press(key)
        await settle(pilot)
    return text(pilot.app)


@pytest.mark.parametrize("size", [(30, 12), (60, 20), (80, 24)])
async def test_an_empty_pane_says_what_there_is_not(size: tuple[int, int]) -> None:
    """To the end of the sentence, on as many rows as it takes."""
    async with playing(size=size, source=Empty, ticks=5) as (_, pilot):
        for key, said in (
            ("2", "there is no network interface"),
            ("3", "no system call was made yet"),
            ("4", "no process has tried to connect yet"),
            ("5", "no connection is open whose round trips are measured"),
            ("8", "to add a custom hook"),
        ):
            assert said in " ".join((await _press(pilot, key)).split())


async def test_an_empty_pane_says_what_it_waits_for() -> None:
    async with playing(size=(80, 24), ticks=0) as (app, pilot):
        app.session.live.snapshots.clear()
        app.session.live.version += 1
        assert "waiting for the first numbers of tcp-connect" in await _press(pilot, "4")


async def test_an_empty_pane_says_why_nothing_is_counted_and_what_to_do() -> None:
    async with playing(size=(80, 24), source=Refused, ticks=5) as (_, pilot):
        shown = await _press(pilot, "4")
        assert "tcp-connect is not attached: needs CAP_BPF; run it as root" in shown


def test_a_line_that_is_cut_says_so() -> None:
    """At its end, where no blank of it is missing; wide characters are not halved."""
    text = line(("ab 漢字 ", "warn"), ("cd   ", ""))
    assert cut(text, 10) == text
    for width in range(1, 10):
        short = cut(text, width)
        assert width_of("".join(span for span, _ in short.spans)) == width
        assert short.spans[-1] == ("~", "muted")


async def test_no_line_of_a_detail_is_cut_in_silence() -> None:
    """Whose connection it is does not fit at 80 columns."""
    async with playing(size=(80, 24), ticks=49, pane="connects") as (app, pilot):
        await _press(pilot, "enter")
        whole = app.report.text().splitlines()
        long = [n for n, row in enumerate(whole) if width_of(row) > 80]
        assert long
        app.report.move(long[0] - 2)
        shown = await _press(pilot, "shift+f12")
        assert any(row.rstrip().endswith("~") for row in shown.splitlines()[4:-1])


async def test_sixty_columns_keep_how_and_share() -> None:
    """Of calls the errno and how many of them fail, of senders their share."""
    async with playing(size=(60, 20), ticks=49) as (_, pilot):
        shown = await _press(pilot, "3")
        assert "Fail" in shown
        assert "74.2% ECONNREFUSED" in " ".join(shown.split())
        await _press(pilot, "2", "t")
        await step(pilot, 3)
        assert "Share" in text(pilot.app)


async def test_sixty_columns_keep_the_values_of_settings() -> None:
    async with playing(size=(60, 20)) as (_, pilot):
        shown = await _press(pilot, "f2")
        for name, value in (("Theme", "dark"), ("Units", "bytes"), ("Mouse", "on")):
            row = next(r for r in shown.splitlines() if f" {name} " in r)
            assert value in row


@pytest.mark.parametrize("width", [60, 80])
async def test_the_help_is_whole_at_any_width(width: int) -> None:
    """Long sentences go on in the next line, and panes have their names."""
    async with playing(size=(width, 20), pane="overview", ticks=49) as (app, pilot):
        await _press(pilot, "?")
        said = app.report.text()
        assert max(map(width_of, said.splitlines())) <= width
        assert "pane 2: Interfaces" in said


async def test_a_new_pane_begins_with_the_first_row_once_there_is_an_order() -> None:
    """The first reading of a hook has no rates: nothing tells its rows apart."""
    async with playing(size=(80, 24), ticks=12) as (app, pilot):
        await _press(pilot, "2", "t")
        for _ in range(3):
            await step(pilot)
        assert app.place.pane.name == "sources"
        assert app.table.index == 0
        first = app.table.record
        await step(pilot, 2)
        assert app.table.record is not None
        assert app.table.record.key == first.key


def test_a_process_of_another_pid_namespace_has_no_number() -> None:
    """[0] is no process of anybody's."""
    assert units.process("nginx", 811) == "nginx[811]"
    assert units.process("nginx", 0) == units.process("nginx", None) == "nginx"
    assert units.process("", 811) == "?[811]"


async def test_before_there_is_a_history_the_graph_says_what_its_row_says() -> None:
    """Not "now -" below 217/s: the first reading has a number, and no history yet."""
    async with playing(size=(80, 24), ticks=49, pane="overview") as (app, _):
        view = app.session.view
        row = case_rows.rows(view, {})[0]
        figure = row.figure
        assert figure is not None
        key = "a row that no history has"
        lines = drawn(view, row._replace(key=key), 80, 5)
        title = "".join(span for span, _ in lines[0].spans)
        assert f"now {units.show(row.record.values['now'], figure.unit)}" in title
        assert "now -" not in title


class Idle(Demo):
    """A host whose interfaces receive nothing."""

    prepared = False

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        first: dict[str, Any] = {}
        async for samples in super().samples(hook):
            if hook == "interfaces":
                samples = tuple(
                    replace(s, rows=first.setdefault(str(s.status.id), s.rows)) for s in samples
                )
            yield samples


async def test_no_calm_row_says_nothing() -> None:
    """0 bytes a second of the busiest interface are no news; that they are counted is."""
    async with playing(size=(80, 24), source=Idle, until=20, ticks=16, pane="overview") as (_, p):
        shown = text(p.app)
        assert "no interface receives packets" in shown
        assert "0B/s" not in shown
        assert ": -" not in shown


async def test_a_case_without_a_history_says_more_where_its_graph_would_be() -> None:
    """Who, what was counted and what to do next, in place of blank lines."""
    async with playing(size=(80, 24), ticks=49, pane="overview") as (app, _):
        view = app.session.view
        row = case_rows.rows(view, {})[0]._replace(figure=None)
        lines = drawn(view, row, 80, 6)
        said = ["".join(span for span, _ in found.spans) for found in lines]
        assert 2 < len(said) <= 6
        assert "XDP xdp_filter#412 drops at eth1" in said[0]
        assert any("filterd[1502]" in one for one in said)
