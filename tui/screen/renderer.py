"""What is on the screen: who is visible, where, and what each widget shows of the view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from rich.color import ColorSystem
from textual.app import ComposeResult
from textual.binding import BindingsMap

from probes.model import HookId
from probes.source import Source
from probes.units import Unit
from tui.config import theme
from tui.config.look import textual_theme
from tui.config.presets import sorting
from tui.config.settings import Settings
from tui.panes import inner_panes, panes
from tui.screen import keymap
from tui.screen.layout import Heights, graph_block, heights
from tui.session import own_usage
from tui.session.collector import Collector, Own
from tui.session.drop_rules import banner
from tui.table.fields import Field, Record, label
from tui.table.lines import Line, Span, fit, line, width_of, wrap
from tui.terminal.app_base import Running
from tui.toolkit import related
from tui.toolkit.pane import EVERY, Pane, Trouble
from tui.widgets.block import Block
from tui.widgets.live_table import LiveTable
from tui.widgets.prompt import Prompt
from tui.widgets.report import Report
from tui.widgets.status_line import Standing, StatusLine
from tui.widgets.tabs import Tab, Tabs

SOON, SLOWLY = 0.04, 0.5
"""Seconds in which what several hooks bring is painted once; on a slow link."""
LEAST = (30, 7)
"""Columns and lines below which there is a sentence and nothing else."""
LATE = 1.0
"""Seconds that a terminal may take for what it is given before a slow link is advised."""
ADVICE = "this terminal is slow to take what it is given: `:` slow link (or --slow-link) sends less"
MENU_FIELDS = (Field("place", "#", Unit.NUMBER, 3),)
"""Each menu brings its own."""


class Painting(Running):
    """The screen without its keys. What is looked at: a pane, in a mode ("pane", "menu",
    "detail" of the record that was opened, "help"), on the live view or a frozen one. An inner
    pane lies over that of its tab.
    """

    CSS = """
    Screen { layout: vertical; overflow: hidden; background: $background; }
    Screen > * { width: 100%; height: 1; }
    LiveTable, Report { height: 1fr; display: none; }
    ToastRack { height: auto; }
    """

    def __init__(
        self,
        source: Source,
        *,
        theme_name: str | None = None,
        ascii: bool | None = None,
        slow_link: bool | None = None,
        mouse: bool | None = None,
        settled: Settings | None = None,
        cpu_seconds: Callable[[], float] = own_usage.cpu_seconds,
        memory: Callable[[], int] = own_usage.memory,
        limit: int | None = None,
    ) -> None:
        self.settled = settled = settled or Settings()
        self.problems = list(settled.problems)
        self.look = self._first_look(theme_name)
        super().__init__(source)
        self.keymap = keymap.Keymap(settled.keys)
        self._bindings = BindingsMap(self.keymap.bindings())
        self.problems += self.keymap.problems
        self.panes = self._chosen(panes(source.catalogue))
        self.inner = inner_panes(source.catalogue)
        every = (*self.panes, *self.inner.values())
        self.fields = {p.name: p.fields(source.catalogue) for p in every}
        figures = [f for p in every for f in (*p.figures, *p.kept)]
        self._limit = limit
        self.collector = Collector(source, figures, self._changed, self._tell, limit=limit)
        self.live = self.view = self.collector.view
        self.live.bits = settled.units == "bits"
        self.live.ascii = _either(ascii, settled.ascii, usual=False)
        self._slow = _either(slow_link, settled.slow_link, usual=False)
        self.mouse = _either(mouse, settled.mouse, usual=not self._slow)
        self._colours = self.console._color_system
        self._fewer_colours()
        self._own = Own(cpu_seconds, memory)
        self._first = self._named(settled.pane, "pane") or self.panes[0]
        self._pane = self._tab = self._first
        self._mode = "pane"
        self._opened: Record | None = None
        self._borrowed: dict[str, HookId] = {}
        self._followed: set[str] = set()
        self._zoomed = False
        self._due = False
        self._about = ""
        self._advised = False
        self._troubles: dict[str, Trouble | None] = {}
        self._troubled = self.view
        self._filter_text: dict[str, str] = {}
        self._past_filters: list[str] = []

    # What the settings say; what of it is not there is a problem to be told

    def _first_look(self, name: str | None) -> theme.Theme:
        if name is None and self.settled.theme is not None:
            try:
                return theme.load(self.settled.theme)
            except theme.ThemeError as wrong:
                self.problems.append(f"settings: {wrong}")
        return theme.load(name or theme.default_name())

    def _chosen(self, there: tuple[Pane, ...]) -> tuple[Pane, ...]:
        self.panes = there
        chosen = [p for name in self.settled.panes if (p := self._named(name, "panes"))]
        return tuple(dict.fromkeys(chosen)) or there

    def _named(self, name: str | None, setting: str) -> Pane | None:
        found = next((p for p in self.panes if p.name == name), None)
        if name is not None and found is None:
            there = ", ".join(p.name for p in self.panes)
            self.problems.append(f"settings: {setting}: no pane {name!r}; there are {there}")
        return found

    def _sorted(self, pane: Pane) -> tuple[str, bool]:
        """How its table is sorted at first."""
        name, reverse = sorting(self.settled.sort.get(pane.name, ""))
        if any(f.name == name for f in self.fields[pane.name]):
            return name, reverse
        if name:
            self.problems.append(f"settings: sort.{pane.name}: it has no column {name!r}")
        return pane.sort, pane.reverse

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield Tabs(id="tabs")
        yield Block(id="rules")
        yield Block(id="trouble")
        for pane in (*self.panes, *self.inner.values()):
            sort, reverse = self._sorted(pane)
            table = LiveTable(self.fields[pane.name], sort, reverse=reverse, id=_id(pane))
            table.ascii, table.empty = self.live.ascii, pane.empty
            yield table
        yield LiveTable(MENU_FIELDS, "place", reverse=False, id="menu")
        yield Report(id="report")
        yield Block(id="graph")
        yield Block(id="below")
        yield Prompt(id="prompt")

    # When to paint

    def _changed(self, hook: str) -> None:
        """A hook was read."""
        for pane in self.panes if not self.frozen else ():
            if hook in pane.hooks or EVERY in pane.hooks:
                self._troubles.pop(pane.name, None)
        self.paint_soon()

    def paint_soon(self) -> None:
        if not self._due:
            self._due = True
            self.start(self._paint_later())

    async def _paint_later(self) -> None:
        waited = 0.0
        while True:
            await asyncio.sleep(SLOWLY if self._slow else SOON)
            if not self.behind:  # else: better the next state whole than this one late
                break
            waited += SOON
        self._due = False
        if waited > LATE and not self._slow and not self._advised:
            self._advised = True
            self._tell(ADVICE, "warning")
        self.collector.note_statuses()
        self.collector.note_rules()
        self.paint()

    async def _watch_statuses(self) -> None:
        """What comes to stand or falls between two ticks."""
        while True:
            await asyncio.sleep(1)
            self._follow_new()
            if self.collector.note_statuses() | self.collector.note_rules():
                self.paint_soon()
            self.tend()

    def tend(self) -> None:
        """Attach what the pane wants just now."""

    def _follow_new(self) -> None:
        """A worker for each hook; a person may have asked for one of their own meanwhile."""
        for hook in self.source.catalogue:
            if hook not in self._followed:
                self._followed.add(hook)
                self.start(self.collector.follow(hook))

    # What is there

    @property
    def frozen(self) -> bool:
        return self.view is not self.live

    @property
    def table(self) -> LiveTable:
        """The table of the pane that is looked at, or the menu above it."""
        name = "menu" if self._mode == "menu" else _id(self._pane)
        return self.screen_stack[0].query_one(f"#{name}", LiveTable)

    def _table_of(self, pane: Pane) -> LiveTable:
        return self.screen_stack[0].query_one(f"#{_id(pane)}", LiveTable)

    @property
    def _mover(self) -> LiveTable | Report:
        if self._mode in ("detail", "help"):
            return self.report
        return self.table

    @property
    def prompt(self) -> Prompt:
        return self.screen_stack[0].query_one("#prompt", Prompt)

    @property
    def report(self) -> Report:
        return self.screen_stack[0].query_one("#report", Report)

    def _block(self, name: str) -> Block:
        return self.screen_stack[0].query_one(f"#{name}", Block)

    # Painting

    def paint(self) -> None:
        """Bring everything that is visible up to date; only changed cells are drawn."""
        if not self.is_running or not self.screen_stack:
            return
        with self.drawing():
            self._paint_all()

    def _paint_all(self) -> None:
        view = self.view
        view.bits, view.about = self.live.bits, self._about
        if self._mode == "pane":
            table = self.table
            table.bits = view.bits
            table.show(self._pane.records(view))
            self._paint_below()
        elif self._mode == "detail":
            self._paint_detail()
        else:
            self._mover.repaint()  # in a menu or the help the theme may change
        self.screen_stack[0].query_one("#status", StatusLine).show(self._standing())
        self._paint_rules()
        self._paint_trouble()
        self._paint_tabs()
        self.prompt.show(self._keys())

    def _paint_below(self) -> None:
        view, pane, record = self.view, self._pane, self.table.record
        graph, below = self._block("graph"), self._block("below")
        if graph.display:
            height = self._heights().graph
            width = self.size.width
            if pane.draw is not None:
                graph.show(pane.draw(view, width, height))
            else:
                graph.show(graph_block(pane, view, record, width, height) if record else ())
        if below.display and pane.below:
            title = line((f" {pane.below_title}", "header"))
            below.show([title, *pane.below(view, self.size.width, below.size.height - 1)])

    def _paint_detail(self, *, anew: bool = False) -> None:
        view, pane, opened = self.view, self._pane, self._opened
        if opened is None:
            return
        found = next((r for r in pane.records(view) if r.key == opened.key), None)
        self._opened = found or opened
        about = f" of {self._about}" if self._about else ""
        width = max(self.size.width, LEAST[0])
        title = f"{pane.title}{about}: {opened.name}{'' if found else ' (gone)'}"
        self.report.show(label(title), pane.detail(view, self._opened, width), anew=anew)

    def _paint_rules(self) -> None:
        """On every pane, and also where the screen stands still: their time runs."""
        block = self._block("rules")
        most = max(self.size.height // 12, 1)
        lines = banner(self.live.dropping, self.size.width, most)
        if block.display != bool(lines) or (lines and len(lines) != block.size.height):
            block.display, block.styles.height = bool(lines), len(lines)
        block.show(lines)

    def _paint_trouble(self) -> None:
        block = self._block("trouble")
        if self._tiny:
            text = "{}x{} is too small: {}x{} at least".format(*self.size, *LEAST)
            block.show([line((row, "bad")) for row in wrap(text, max(self.size.width, 1))])
            return
        lines = [*self.time_lines(), self._verdict()]
        if block.styles.height is None or block.styles.height.value != len(lines):
            block.styles.height = len(lines)
        block.show(lines)

    def time_lines(self) -> list[Line]:
        """Where in time this is, while the screen stands still."""
        return []

    def _verdict(self) -> Line:
        """The worst that is wrong here, or that nothing is."""
        trouble = self._trouble(self._pane)
        if trouble is not None:
            return line((fit(f" ! {trouble.text}", self.size.width).rstrip(), trouble.role))
        if self.source.host.privilege:
            return line((f" ~ {label(self.source.host.privilege)}", "warn"))
        if self._pane.summary is not None:
            text, role = self._pane.summary(self.view)
            return line((f" {text}", role))
        if self.view.snapshots:
            return line((" ok: nothing unusual here", "muted"))
        return line((" waiting for the first numbers...", "muted"))

    def _trouble(self, pane: Pane) -> Trouble | None:
        if self._troubled is not self.view:
            self._troubled = self.view
            self._troubles.clear()
        if pane.name not in self._troubles:
            self._troubles[pane.name] = pane.trouble(self.view)
        return self._troubles[pane.name]

    def _paint_tabs(self) -> None:
        tabs = []
        for pane in self.panes:
            # what leads to other panes says nothing that those do not say at their own tabs
            trouble = self._trouble(pane) if pane.leads is None else None
            tabs.append(Tab(pane.title, pane is self._tab, trouble.role if trouble else ""))
        self.screen_stack[0].query_one("#tabs", Tabs).show(tabs, self._note())

    def _altnames(self) -> Mapping[str, str]:
        return self.view.once(related.altnames)

    def _note(self) -> Span:
        """The filter, and which row of how many."""
        if self._mode != "pane":
            return "", ""
        at, shown, there = self.table.counts
        text = self._filter_text.get(self._pane.name, "")
        if text:
            return f"filter {label(text)}: {shown} of {there} ", "warn"
        return f"{at}/{shown} ", "muted"

    def _standing(self) -> Standing:
        kernel = [s.cpu_percent for s in self.live.snapshots.values() if s.cpu_percent is not None]
        return Standing(
            self.source.host,
            self.live.statuses,
            sum(kernel) if kernel else None,
            *self._own.now(),
            self.source.interval,
            self.live.wall,
            limit=self._limit,
            forgotten=sum(s.sample.forgotten for s in self.live.snapshots.values()),
        )

    def _keys(self) -> Line:
        spans: list[Span] = [(" ", "")]
        for key in self.keymap.footer():
            action = key.action.partition("(")[0]
            if self.check_action(action, ()):
                shown = key.shown.split(" ")[0]
                if action == "attach" and (detach := self.keymap.shown("detach")):
                    shown = f"{shown}/{detach}"
                title = "Search" if (action, self._mode) == ("filter", "help") else key.title
                spans += [(shown, "accent"), (f" {title}  ", "muted")]
        while len(spans) > 7 and sum(width_of(t) for t, _ in spans) > self.size.width + 2:
            del spans[-6:-4]  # not what is at the end: leaving and help
        return line(*spans)

    # How much is sent to the terminal

    def action_slow_link(self) -> None:
        self._slow = not self._slow
        self._fewer_colours()
        self._lay_out()
        self.redraw()

    def _fewer_colours(self) -> None:
        few = self._slow and self._colours is ColorSystem.TRUECOLOR
        self.console._color_system = ColorSystem.EIGHT_BIT if few else self._colours

    def _plain(self, ascii: bool) -> None:
        for table in self.screen_stack[0].query(LiveTable):
            table.ascii = ascii
            table.forget()

    def selected(self) -> None:
        """Another row, or the row has other values: what stands beside the table."""
        self._paint_below()
        self._paint_tabs()

    # Who is visible

    def _lay_out(self) -> None:
        """Who is visible, and with how many lines."""
        screen, mode = self.screen_stack[0], "" if self._tiny else self._mode
        for line_of in ("status", "tabs", "prompt"):
            screen.query_one(f"#{line_of}").display = not self._tiny
        self._block("trouble").styles.height = "1fr" if self._tiny else len(self.time_lines()) + 1
        graph, below = self._heights()
        if mode != "pane":
            graph = below = 0
        if self._slow:
            graph = 0
        for table in screen.query(LiveTable):
            table.display = mode in ("pane", "menu") and table is self.table
        self.report.display = mode in ("detail", "help")
        for name, height in (("graph", graph), ("below", below)):
            block = self._block(name)
            block.display = height > 0
            block.styles.height = height
        self.call_after_refresh(self.paint)

    @property
    def _tiny(self) -> bool:
        """Nothing could be read; what is opened stays open for when there is space again."""
        width, height = self.size
        return width < LEAST[0] or height < LEAST[1]

    def _heights(self) -> Heights:
        """What stands above takes nothing from the table."""
        height = self.size.height - len(self.time_lines())
        return heights(self._pane, height, self._zoomed)

    def _show(self, mode: str) -> None:
        self._mode = mode
        self._lay_out()

    def _tell(self, text: str, severity: Any) -> None:
        self.notify(label(text), severity=severity, markup=False, timeout=8)

    def _wear(self) -> None:
        """Tell Textual of the theme, for what it draws itself (toasts)."""
        look, name = self.look, f"ebpftop-{self.look.name}"
        if name not in self.available_themes:
            self.register_theme(textual_theme(name, look))
        self.theme = name


def _id(pane: Pane) -> str:
    return f"table-{pane.name}"


def _either(flag: bool | None, settled: bool | None, *, usual: bool) -> bool:
    """A flag wins over the settings."""
    return flag if flag is not None else settled if settled is not None else usual
