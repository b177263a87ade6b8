"""The application: a session on a terminal, made of parts that do not inherit from each other.

`place` is where the user is, `renderer` paints it, and groups of keys (`actions`) change it.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")  # both are read when textual is imported
os.environ.setdefault("TEXTUAL_FPS", "20")

from textual.app import ComposeResult
from textual.events import CursorPosition, Event, Paste
from textual.events import Key as KeyEvent

from probes.analysis import vitals
from probes.analysis.cases import judgement
from probes.model import HookId
from probes.source import Source
from tui.config.settings import Settings
from tui.config.theme import Theme
from tui.output.scope import EVERYTHING, Scope
from tui.screen.appearance import Appearance, first_look
from tui.screen.groups import Groups
from tui.screen.help import HelpMode
from tui.screen.hints import Hints, why_unused
from tui.screen.key import Key
from tui.screen.keymap import Keymap
from tui.screen.leases import Leases
from tui.screen.menu import Choice, MenuMode
from tui.screen.navigation import Navigation
from tui.screen.parts import Parts
from tui.screen.renderer import Renderer
from tui.screen.scoped import begin_within
from tui.screen.settled import either, first_place, first_sorts
from tui.screen.time_control import time_control
from tui.screen.tour import Tour
from tui.screen.troubles import Troubles
from tui.session import own_usage
from tui.session.control import Severity
from tui.session.session import Session
from tui.table.fields import Field, TableRow, label
from tui.terminal import leaving
from tui.terminal.app_base import TerminalApp, until_left
from tui.toolkit.pane import Pane
from tui.widgets.live_table import LiveTable
from tui.widgets.prompt import Prompt, sentence
from tui.widgets.report import Report
from tui.widgets.tabs import Tabs

TOAST_SECONDS = 8
"""Seconds for which a toast is shown."""
_BEGUN = 3.0
"""Seconds after which the start is over: the first numbers are on the screen."""
_CHECK_PAUSE = 1.0
"""Seconds between two checks for changes that came without a reading."""


class Monitor(TerminalApp):
    """The application. source: where samples come from; opened and closed by others.

    settled: the user's settings; parameters override them. cpu_seconds, memory: what ebpftop has
    used so far, and uses now. slow_link: fewer bytes: 256 colours, no graphs, at most two updates a
    second. limit: the bound on memory, in bytes. scope: what the panes are filtered by at first.
    tour: the demo's, if it is on.
    """

    ENABLE_COMMAND_PALETTE = False
    TITLE = "ebpftop"
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
        scope: Scope = EVERYTHING,
        tour: Tour | None = None,
    ) -> None:
        self.tour = tour
        self.settled = settled = settled or Settings()
        self.problems = list(settled.problems)
        slow = either(slow_link, settled.slow_link, usual=False)
        look = first_look(theme_name, settled, self.problems.append)
        super().__init__(mouse=either(mouse, settled.mouse, usual=not slow))
        chosen = theme_name is not None or settled.theme is not None
        self.appearance = Appearance(look, self, self.repaint, slow=slow, chosen=chosen)
        self.keymap = Keymap(settled.keys)
        self.problems += self.keymap.problems
        self.place = first_place(source.catalogue, settled, self.problems.append)
        every = self.place.every
        self.fields: Mapping[str, Sequence[Field]] = {
            p.name: p.fields(source.catalogue) for p in every
        }
        kept = [f for p in every for f in (*p.figures, *p.kept)]
        kept += [*judgement.figures(), *vitals.FIGURES]
        figures = list({f.name: f for f in kept}.values())
        self.session = Session(source, figures, self._was_read, self.toast, limit=limit)
        self.session.use_bits(settled.units == "bits")
        self.session.use_ascii(either(ascii, settled.ascii, usual=False))
        self.session.use_ordinary(settled.ordinary)
        sorts = first_sorts(every, self.fields, settled, self.problems.append)
        self.parts = Parts(every, self.fields, sorts, ascii=self.session.live.ascii)
        begin_within(scope, self.place, self.parts, self.fields)
        self._troubles = Troubles(self.session, self.place.panes)
        self.leases = Leases(self.session, self.place, self.carry_out)
        self.menu, self.help, self.time = MenuMode(self), HelpMode(self), time_control(self)
        self.groups = Groups(self)
        self.hints = Hints(self.start, self.repaint_soon)
        self.renderer = Renderer(
            self, self.session, self.place, self.parts, self.appearance, self._troubles,
            self.keymap, self.groups, self.hints, own_usage.OwnUsage(cpu_seconds, memory),
            advise=lambda text: self.toast(text, "warning"),
        )  # fmt: skip
        self.navigation = Navigation(
            self.session, self.place, self.leases, self.renderer, self.fields, self.menu.left
        )
        self.bind_keys(self.keymap.bindings())
        self.before_exit(self.session.stop_recording)

    def compose(self) -> ComposeResult:
        yield from self.parts

    # Starting, and watching

    async def on_mount(self) -> None:
        self.appearance.begin()
        self.lay_out()
        for problem in self.problems:
            self.toast(problem, "warning")
            self.session.collector.control.note(problem, "warn")
        self.start(self._begin())

    async def _begin(self) -> None:
        for source in self.session.sources:
            await source.start()
        self.start(self._watch())
        self._follow_new()
        self.groups.begin()
        self.start(self._attach_settled())
        self.time.begin()
        self.repaint()

    async def _attach_settled(self) -> None:
        for hook in self.settled.hooks if self.session.attaches else ():
            await self._carried_out(self.session.collector.control.attach(HookId(hook), quiet=True))

    async def _watch(self) -> None:
        """Take note of attaches and detaches between two ticks."""
        while True:
            await asyncio.sleep(_CHECK_PAUSE)
            self._follow_new()
            if self.session.note():
                self.repaint_soon()
            self.leases.tend()

    def _follow_new(self) -> None:
        """Start a worker for each hook; the user may have added custom hooks meanwhile."""
        for collector, hook in self.session.unfollowed():
            self.start(collector.follow(hook))

    def _was_read(self, hook: str) -> None:
        self._troubles.hook_was_read(hook)
        self.repaint_soon()

    # Messages of widgets

    def on_resize(self) -> None:
        """Redraw everything, also at the same size: terminals drop what a smaller one cuts."""
        self.drawn.forget()
        self.screen.refresh()
        self.call_later(self.lay_out)  # when Textual has taken note of the size

    def on_live_table_selected(self) -> None:
        if leaving.begun():
            return
        self.groups.selection_changed()
        if self.place.mode == "pane":
            with self.drawing():
                self.row_selected()
        elif self.place.mode == "menu":
            self.menu.look_at_choice()

    def on_live_table_opened(self) -> None:
        if self.place.mode == "menu":
            self.menu.take()
        elif self.does("open"):
            self.do("open")

    def on_prompt_clicked(self, message: Prompt.Clicked) -> None:
        if self.does(message.id):
            self.do(message.id)

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        if self.place.mode == "menu" or self.prompt.question is None:
            self.go_to(self.place.panes[message.place - 1])

    # Keys: each is taken before the next one, so that what it asks gets what is typed after it

    async def on_event(self, event: Event) -> None:
        typed = isinstance(event, KeyEvent | Paste) and not event.is_forwarded
        if typed and leaving.begun():
            return  # unanswered questions do not delay leaving
        if typed and len(self.screen_stack) == 1:
            await self._take(event)
        elif isinstance(event, CursorPosition):
            self.terminal_answered()
        else:
            await super().on_event(event)

    async def _take(self, event: Event) -> None:
        if isinstance(event, Paste):
            self.prompt.paste(event.text)
        elif isinstance(event, KeyEvent) and not await self.run_binding(event.key, anywhere=True):
            self.groups.key_pressed(event.key, event.time)
            if self.prompt.question is not None:
                await self.prompt.take(event)
                return
            self.hints.forget()
            handled = await self.run_binding(event.key)
            self._settle()
            if not handled:
                self.hint(why_unused(event.key, self.place.mode, self.keymap, self.groups))

    def _settle(self) -> None:
        """Keep the selection of a pane on its row: from the first key on only keys move it.

        The overview's stays at the top, where the gravest case is, until a key moves it.
        """
        if self.place.mode == "pane" and self.place.pane.leads is None:
            self.table.settle()

    def does(self, id: str, /) -> bool:
        return self.offered(self.groups.key(id))

    def offered(self, key: Key) -> bool:
        """Return whether a key does something here."""
        if key.modes is None:
            return True
        if self.prompt.question is not None or self.place.mode not in key.modes:
            return False
        return self.groups.offer(key)

    def do(self, id: str, /) -> None:
        """Do what a key does, at once."""
        self.groups.do(id)

    def commands(self) -> Iterator[Choice]:
        return self.groups.commands()

    # What actions may touch: `Context`

    @property
    def look(self) -> Theme:
        return self.appearance.look

    @property
    def prompt(self) -> Prompt:
        return self.parts.prompt

    @property
    def report(self) -> Report:
        return self.parts.report

    @property
    def table(self) -> LiveTable:
        return self.renderer.table

    @property
    def tables(self) -> Sequence[LiveTable]:
        return self.parts.tables

    @property
    def mover(self) -> LiveTable | Report:
        return self.renderer.mover

    @property
    def record(self) -> TableRow | None:
        return self.place.opened if self.place.mode == "detail" else self.table.record

    def table_of(self, pane: Pane) -> LiveTable:
        return self.parts.table_of(pane)

    def repaint(self) -> None:
        self.renderer.paint()

    def repaint_soon(self) -> None:
        self.renderer.paint_soon()

    def lay_out(self) -> None:
        self.renderer.lay_out()

    def row_selected(self) -> None:
        self.renderer.paint_row()

    def go_to(self, pane: Pane, about: str = "") -> None:
        self.navigation.go_to(pane, about)

    def toast(self, text: str, severity: Severity) -> None:
        self.notify(label(text), severity=severity, markup=False, timeout=TOAST_SECONDS)

    def hint(self, text: str) -> None:
        self.hints.show(text)

    def carry_out(self, work: Coroutine[Any, Any, Any]) -> None:
        self.start(self._carried_out(work))

    async def _carried_out(self, work: Coroutine[Any, Any, Any]) -> None:
        """Carry out a request; report its failure, which typed text may cause."""
        try:
            await work
        except Exception as error:
            self.toast(sentence(error), "error")
        self.control_changed()

    def control_changed(self) -> None:
        self.session.note()
        self.forget_troubles()
        self.repaint()

    def control_changes_soon(self) -> None:
        self.call_later(self.control_changed)

    def forget_troubles(self) -> None:
        self._troubles.forget()


def _collect_seldom() -> None:
    """Collect cyclic garbage seldom: each tick makes thousands of tuples without cycles.

    The default, after every 700 and finally among all modules, would be a tenth of a tick's cost.
    Nothing of the start is looked at before it is over: the first paint would wait for that.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    asyncio.get_running_loop().call_later(_BEGUN, _set_aside)


def _set_aside() -> None:
    """Take all that the start has made, but for its garbage, out of later collections."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def run(
    source: Source,
    *others: Source,
    connect: Callable[[], Awaitable[None]] | None = None,
    theme: str | None = None,
    ascii: bool | None = None,
    slow_link: bool | None = None,
    mouse: bool | None = None,
    settled: Settings | None = None,
    memory: int | None = None,
    scope: Scope = EVERYTHING,
    tour: Tour | None = None,
) -> int:
    """Show the source until the user leaves; then close it. Return the exit status.

    others: further hosts. connect: awaited before anything is drawn: it may ask on the terminal.
    memory: the bound in bytes, of which the last minutes get a part. None: as the settings say.

    0: left by a key. 1: a crash; its report is in a file. 128 + n: signal n. Raises
    theme.ThemeError before anything is drawn.
    """
    app = Monitor(
        source, theme_name=theme, ascii=ascii, slow_link=slow_link, mouse=mouse,
        settled=settled or Settings(), limit=memory, scope=scope, tour=tour,
    )  # fmt: skip
    app.session.join(others)

    async def shown() -> int:
        _collect_seldom()
        try:
            if connect is not None:
                await connect()
        except BaseException:
            await asyncio.gather(*(source.close() for source in app.session.sources))
            raise
        return await until_left(app, app.session.sources)

    return asyncio.run(shown())
