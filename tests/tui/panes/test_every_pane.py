"""One suite run over every pane: whatever the data, it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from probes.drop_rule import parse
from probes.errors import Denied
from probes.hooks import catalogue
from probes.model import Hook, HookId, Row, Sample, State, Status
from probes.source import Host
from probes.sources.demo.source import Demo
from probes.units import Unit, printable
from tests.support.amounts import amounts
from tests.support.stage import playing, settle, stage, step, text
from tui.panes import inner_panes, panes
from tui.table.fields import TableRow
from tui.table.filters import parse as parse_filter
from tui.table.lines import changes, fit, line, pieces, width_of
from tui.terminal import drawing
from tui.terminal.clipboard import table_text

HOSTILE = (
    "[kworker/0:1]",
    "a[/]b",
    "[bold red]x",
    "\x1b[2J\x1b]0;owned\x07",
    "tab\there\nline",
    "emoji 🦀 wide 漢字",
    "é" + "\u202e" + "rtl",
    "\u05e9\u05dc\u05d5\u05dd \u2067\u05e2\u05d5\u05dc\u05dd\u2069",
    "e\u0301\u0301\u0301 漢\u0301",
    "👩\u200d👩\u200d👧 \u200b|\ufeff|\u00ad",
    b"16 bytes: \xe6\xbc\xa2\xe6\xbc\xa2"[:15].decode("utf-8", "surrogateescape"),
    "x" * 200,
    "",
    "\udcff\udcfe",
)
PANES = [p.name for p in panes(catalogue())]
INNER = {"sources": "t", "rules": "L"}
"""Panes that a key opens over the first."""
ATTACHED = ("programs",)
"""Panes with a tab whose hook is attached while they are shown."""
SIZES = ((60, 20), (80, 24), (160, 50), (40, 10), (30, 7), (12, 4), (1, 1))


class Hostile(Demo):
    """The demo with every text replaced by somebody's idea of a name."""

    prepared = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.host = Host(HOSTILE[3], HOSTILE[2], privilege=HOSTILE[1])

    async def samples(self, hook: str) -> AsyncIterator[tuple[Sample, ...]]:
        async for samples in super().samples(hook):
            yield tuple(self._spoil(self.catalogue[hook], s) for s in samples)

    @staticmethod
    def _spoil(hook: Hook, sample: Sample) -> Sample:
        rows: dict[Any, Row] = {}
        for n, (key, row) in enumerate(sample.rows.items()):
            rows[key] = tuple(
                HOSTILE[n % len(HOSTILE)] if c.unit is Unit.TEXT and isinstance(v, str) else v
                for c, v in zip(hook.stored, row, strict=True)
            )
        log = tuple(
            tuple(HOSTILE[n % len(HOSTILE)] if isinstance(v, str) else v for v in entry)
            for n, entry in enumerate(sample.log)
        )
        return replace(sample, rows=rows, log=log)


class Passive(Demo):
    """No privilege: everything failed but the interfaces, which look on."""

    prepared = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.host = Host("web1", "6.12", privilege="run as root for XDP, TC and more")

    async def start(self) -> None:
        await super().start()
        for id, status in list(self._statuses.items()):
            if id.hook != "interfaces":
                self._statuses[id] = Status(id, State.FAILED, None, status.refused)

    async def attach(self, id: HookId, _rung: str | None = None) -> Status:
        raise Denied(f"{id} needs CAP_BPF", errno=1, remedy="run as root")


class Empty(Demo):
    """Nothing stands and nothing comes."""

    async def start(self) -> None:
        self._statuses = {}


async def _open(pilot: Any, pane: str) -> None:
    """The pane with something in it."""
    if pane in INNER:
        await pilot.press("2")
        await settle(pilot)
        await pilot.app.session.source.add_rule("eth1", parse("src 203.0.113.0/24 ttl 10m"))
        await pilot.press(INNER[pane])
        await settle(pilot)
        await step(pilot, 2)
    else:
        await pilot.press(str(PANES.index(pane) + 1))
        if pane in ATTACHED:
            await settle(pilot)
            await step(pilot, 2)
    await settle(pilot)


async def _walk(pilot: Any, pane: str) -> None:
    """Everything a person can do in a pane that changes nothing outside."""
    await _open(pilot, pane)
    keys = ("j", "k", "G", "g", "pagedown", "pageup", "end", "home", "less_than_sign", "I",
            "enter", "pagedown", "escape", "s", "down", "enter", "z", "z", "space", "space",
            "u", "a", "n", "D", "x", "escape", "slash", "x", "escape")  # fmt: skip
    await pilot.press(*keys)
    await settle(pilot)


@pytest.mark.parametrize("source", [Empty, Passive, Hostile])
async def test_stands_whatever_comes(source: type[Demo]) -> None:
    """Empty, unprivileged or hostile: no crash, every line as wide as the screen, no controls."""
    async with playing(size=(100, 30), source=source) as (app, pilot):
        for pane in (*PANES, *INNER):
            await _walk(pilot, pane)
            assert app.crashed is None, pane
            shown = text(app)
            assert all(c.isprintable() or c == "\n" for c in shown), pane
            assert "\u202e" not in shown
            strips = app.screen_stack[0]._compositor.render_strips(app.size)
            assert {strip.cell_length for strip in strips} == {100}, pane


@amounts("sizes", quick=((160, 50), (40, 10), (1, 1)), slow=SIZES)
@pytest.mark.parametrize("pane", [*PANES, *INNER])
async def test_stands_in_any_size(pane: str, sizes: tuple[tuple[int, int], ...]) -> None:
    """From a corner of a screen upwards nothing is refused, and resizing live is no matter."""
    async with playing(size=(80, 24)) as (app, pilot):
        for size in sizes:
            await _open(pilot, pane)
            await pilot.resize_terminal(*size)
            await pilot.press("end", "enter", "pagedown", "escape", "z", "s", "enter", "a", "n")
            await pilot.press("D", "x", "enter", "escape", "less_than_sign", "I")
            await pilot.press("left_square_bracket")
            await pilot.resize_terminal(80, 24)
            await settle(pilot)
            assert app.crashed is None, size
            await pilot.press(*["escape"] * 6)
            assert not app.session.frozen, "as at the beginning"


@pytest.mark.parametrize("size", [(30, 12), (60, 20), (80, 24)])
async def test_what_an_empty_pane_says_is_there_to_its_end(size: tuple[int, int]) -> None:
    """On as many rows as it takes."""
    async with playing(source=Empty, size=size) as (app, pilot):
        for pane in PANES:
            await _open(pilot, pane)
            said = " ".join(text(app).split())
            assert app.table.counts[1] or (app.table.empty and app.table.empty in said), pane


@pytest.mark.parametrize("pane", [*PANES, *INNER])
def test_every_text_column_takes_every_name(pane: str) -> None:
    """On the screen, in a filter, copied: harmless, and exactly as wide as the column."""
    every = (*panes(catalogue()), *inner_panes(catalogue()).values())
    found = next(p for p in every if p.name == pane)
    fields = found.fields(catalogue())
    for field in (f for f in fields if f.unit is Unit.TEXT and f.write is None):
        for name in HOSTILE:
            record = TableRow("key", name, {f.name: name for f in fields})
            shown = field.text(record, False)
            assert shown.isprintable()
            for width in range(1, field.width + field.grow + 1):
                assert width_of(fit(shown, width)) == width
            table = table_text((field,), (record,), False)
            assert table.count("\n") == 2
            assert table.replace("\n", "").isprintable()
            keep = parse_filter(f'{field.name}="{shown}"', fields)
            assert keep is None or '"' in shown or keep(record)


async def test_names_with_brackets_are_shown_as_they_are() -> None:
    """A comm is not markup: [kworker/0:1] is shown whole."""
    async with playing(size=(160, 40), source=Hostile) as (app, pilot):
        for pane in PANES:
            await _open(pilot, pane)
            if pane not in ("hooks", "own"):  # hooks are named by us, none is one's own
                assert "[kworker/0:1]" in text(app), pane


async def test_a_name_that_begins_with_an_accent_changes_nothing_beside_it() -> None:
    """Whoever draws it: the accent would stand on the cell before."""
    async with playing(size=(80, 24)) as (app, _):
        drawn = line("ab ", ("\u0301x\u0301", "bad"), "漢" * 40)
        app.parts.trouble.show([drawn])
        by_textual = app.parts.trouble.render_line(0)
        assert by_textual.text == "ab x\u0301" + "漢" * 38
        assert by_textual.text == "".join(text for _, text, _ in pieces(drawn, [(0, 80)], 80))
        app.parts.trouble.show([line("a" * 79, "漢")])
        assert app.parts.trouble.render_line(0).text == "a" * 79 + " "


@pytest.mark.parametrize("new", HOSTILE)
@pytest.mark.parametrize("old", HOSTILE)
def test_any_name_is_drawn_over_any_other(old: str, new: str) -> None:
    """The cells that change are whole characters, and each is as wide as what was there."""
    was, now = (line((fit(printable(t), 24), ""), "end") for t in (old, new))
    regions = changes(was, now, 30)
    for (_, cells), group in zip(regions, _by_region(now, regions), strict=True):
        assert sum(width_of(t) for t in group) == cells


def _by_region(now: Any, regions: list[tuple[int, int]]) -> list[list[str]]:
    drawn = list(pieces(now, regions, 30))
    return [[t for x, t, _ in drawn if first <= x < first + cells] for first, cells in regions]


@pytest.mark.parametrize("pane", [*PANES, *INNER])
async def test_every_column_has_help_and_a_title_that_fits(pane: str) -> None:
    """What a column means can be read; its title leaves a cell for the sort mark."""
    every = (*panes(catalogue()), *inner_panes(catalogue()).values())
    fields = next(p for p in every if p.name == pane).fields(catalogue())
    for field in fields:
        assert len(field.title) < field.width or not field.width, field.name
    assert all(f.help for f in fields)


class Sketch:
    """A brush that knows what would be on the terminal."""

    def __init__(self, columns: int, rows: int) -> None:
        self.cells = [[" "] * columns for _ in range(rows)]
        self.touched = 0

    def put(self, x: int, y: int, text: str, _style: object) -> None:
        self.cells[y][x : x + len(text)] = text
        self.touched += len(text)

    def text(self) -> str:
        return "\n".join("".join(row) for row in self.cells)


@pytest.mark.parametrize("pane", [*PANES, *INNER])
async def test_what_is_drawn_past_the_compositor_is_what_it_would_have_drawn(
    pane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tick after tick, only changed cells leave the same screen."""
    async with playing(size=(160, 50)) as (app, pilot):
        sketch = Sketch(160, 50)
        monkeypatch.setattr(drawing, "Driver", object)
        monkeypatch.setattr(drawing, "Brush", lambda _console: sketch)
        monkeypatch.setattr(app, "send", lambda _cells: None)
        app.drawn.forget()
        app.repaint()
        for _ in range(4):
            await step(pilot)
            assert sketch.text() == text(app)
        await _open(pilot, pane)
        app.clear_notifications()  # Textual draws below those
        app.drawn.forget()
        app.repaint()
        assert sketch.text() == text(app)
        sketch.touched = 0
        for _ in range(4):
            await step(pilot)
            assert sketch.text() == text(app)
        assert 0 < sketch.touched < 160 * 50


async def test_nothing_is_drawn_past_the_compositor_below_a_toast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be on top of it."""
    monkeypatch.setattr(drawing, "Driver", object)
    app = stage()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        assert app.drawn.place()
        app.notify("hello")
        await settle(pilot)
        assert not app.drawn.place()
        app._notifications.clear()  # it is still there when its time has passed
        assert not app.drawn.place()


async def test_nothing_but_ascii_with_ascii() -> None:
    """A terminal without UTF-8 shows every pane."""
    async with playing(size=(120, 40), ascii=True) as (app, pilot):
        for n in range(1, len(PANES) + 1):
            await pilot.press(str(n))
            await settle(pilot)
            assert text(app).isascii()
            await pilot.press("enter")
            await settle(pilot)
            assert text(app).isascii()
        for name in INNER:
            await _open(pilot, name)
            assert text(app).isascii()


def test_a_source_without_a_hook_has_no_pane_for_it() -> None:
    """A recording of something else is no reason to fail."""
    hooks: Mapping[str, Hook] = {n: h for n, h in catalogue().items() if n != "tcp-rtt"}
    assert "rtt" not in [p.name for p in panes(hooks)]
