"""The screen: one worker per hook, the latest snapshots, and the pane that is looked at."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")  # both are read when textual is imported
os.environ.setdefault("TEXTUAL_FPS", "20")

from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.driver import Driver as AnyDriver
from textual.filter import Monochrome, NoColor
from textual.message import Message
from textual.theme import BUILTIN_THEMES
from textual.theme import Theme as TextualTheme

from probes.model import HookId, Reach, Snapshot, Source, State, Trail
from probes.units import Unit
from tui import crash, keys, theme
from tui.control import Control
from tui.fields import Field, Record, label
from tui.filters import parse
from tui.helptext import help_lines
from tui.layout import graph_block, heights
from tui.lines import Line, Span, line, width_of
from tui.pane import EVERY, Pane, Trouble, panes
from tui.terminal import Driver, smallest
from tui.view import Decided, History, View, clock
from tui.widgets.block import Block
from tui.widgets.live_table import LiveTable
from tui.widgets.prompt import Prompt, Question
from tui.widgets.report import Report
from tui.widgets.status_line import Standing, StatusLine
from tui.widgets.tabs import Tab, Tabs

SOON = 0.04
"""Seconds in which what several hooks bring is painted once."""
INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Ticked(Message):
    """A hook was read: its snapshots, one for each target that stands."""

    def __init__(self, hook: str, snapshots: tuple[Snapshot, ...]) -> None:
        super().__init__()
        self.hook, self.snapshots = hook, snapshots


class _Smallest(CompositorUpdate):
    """A partial update that writes changed cells only."""

    def __init__(self, update: ChopsUpdate) -> None:
        self._update = update

    def render_segments(self, console: Any) -> str:
        return smallest(self._update, console)


class Monitor(App[None]):
    """The application. source: where samples come from; this closes it no more than it opens it.

    cpu_seconds: what this process has used so far. slow_link: fewer bytes: 256 colours, no
    graphs, at most two updates a second.
    """

    CSS = """
    Screen { layout: vertical; background: $background; }
    Screen > * { width: 100%; height: 1; }
    LiveTable, Report { height: 1fr; display: none; }
    ToastRack { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings())
    ENABLE_COMMAND_PALETTE = False
    TITLE = "ebpftop"

    def __init__(
        self,
        source: Source,
        *,
        theme_name: str | None = None,
        ascii: bool = False,
        slow_link: bool = False,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self.look = theme.load(theme_name or theme.default_name())
        super().__init__(driver_class=Driver)
        # NO_COLOR chooses a theme (theme.default_name); Textual takes it too when it is empty.
        self._filters = [f for f in self._filters if not isinstance(f, NoColor | Monochrome)]
        self.source = source
        self.panes = panes(source.catalogue)
        self.fields = {p.name: p.fields(source.catalogue) for p in self.panes}
        figures = [f for p in self.panes for f in p.figures]
        self.live = View(source.catalogue, History(figures), ascii=ascii)
        self.view = self.live
        self.control = Control(source, self._tell, lambda: self.live.wall or time.time())
        self.live.events = self.control.events
        self.crashed: BaseException | None = None
        self._slow = slow_link
        if slow_link and self.console._color_system is ColorSystem.TRUECOLOR:
            self.console._color_system = ColorSystem.EIGHT_BIT
        self._cpu = _Share(cpu_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._pane = self.panes[0]
        self._mode = "pane"
        self._opened: Record | None = None
        self._borrowed: HookId | None = None
        self._zoomed = False
        self._due = False
        self._troubles: dict[str, Trouble | None] = {}
        self._filter_text: dict[str, str] = {}
        self._past_filters: list[str] = []

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield Tabs(id="tabs")
        yield Block(id="trouble")
        for pane in self.panes:
            table = LiveTable(
                self.fields[pane.name], pane.sort, reverse=pane.reverse, id=f"table-{pane.name}"
            )
            table.ascii = self.live.ascii
            yield table
        yield LiveTable(_MENU_FIELDS, "place", reverse=False, id="menu")
        yield Report(id="report")
        yield Block(id="graph")
        yield Block(id="below")
        yield Prompt(id="prompt")

    async def on_mount(self) -> None:
        self._wear()
        self._lay_out()
        self._start(self._run())

    async def _run(self) -> None:
        await self.source.start()
        self.set_interval(1.0, self._note_statuses)
        for hook in self.source.catalogue:
            self._start(self._consume(hook))
        self._soon()

    async def _consume(self, hook: str) -> None:
        """A hook's worker: samples to snapshots, one message a tick."""
        trail = Trail(self.source.catalogue[hook])
        known: set[HookId] = set()
        async for samples in self.source.samples(hook):
            there = {s.status.id for s in samples}
            for gone in known - there:
                trail.forget(gone)
            known = there
            self.post_message(Ticked(hook, tuple(trail.snapshot(s) for s in samples)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._handle_exception(error)

    def _handle_exception(self, error: Exception) -> None:
        """Leave; `run` writes the report. (Textual would print locals.)"""
        self.crashed = self.crashed or getattr(error, "error", error)
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    def leave(self, status: int) -> None:
        """Out, with this exit status, however slow the terminal is."""
        driver: AnyDriver | None = self._driver
        if isinstance(driver, Driver):
            driver.output.leaving.set()
        self.exit(return_code=status)

    def terminal_gone(self) -> None:
        self.leave(128 + signal.SIGHUP)

    async def _on_exit_app(self) -> None:
        for task in self._tasks:
            task.cancel()
        await super()._on_exit_app()

    # What comes in

    def on_ticked(self, tick: Ticked) -> None:
        live = self.live
        for id in [i for i in live.snapshots if i.hook == tick.hook]:
            del live.snapshots[id]
        for snapshot in tick.snapshots:
            live.snapshots[snapshot.id] = snapshot
            live.wall = max(live.wall, snapshot.sample.wall)
            log = (Decided(snapshot.sample.wall, row) for row in snapshot.sample.log)
            live.decided.setdefault(tick.hook, _kept()).extend(log)
        live.history.add(tick.hook, tick.snapshots)
        self._note_statuses()
        for pane in self.panes:
            if tick.hook in pane.hooks or EVERY in pane.hooks:
                self._troubles.pop(pane.name, None)
        self._soon()

    def _note_statuses(self) -> None:
        statuses = self.source.statuses()
        if statuses != self.live.statuses:
            self.live.statuses = statuses
            self.control.watch(statuses)
            self._soon()

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            self.set_timer(0.5 if self._slow else SOON, self._paint)

    def _paint(self) -> None:
        self._due = False
        driver: AnyDriver | None = self._driver
        if isinstance(driver, Driver) and driver.busy:
            self._soon()  # the link is slow: better the next state whole than this one late
            return
        self.paint()

    # What is shown

    def _display(self, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, ChopsUpdate):
            renderable = _Smallest(renderable)
        super()._display(screen, renderable)

    @property
    def frozen(self) -> bool:
        return self.view is not self.live

    @property
    def table(self) -> LiveTable:
        """The table of the pane that is looked at, or the menu above it."""
        name = "menu" if self._mode == "menu" else f"table-{self._pane.name}"
        return self.screen_stack[0].query_one(f"#{name}", LiveTable)

    @property
    def prompt(self) -> Prompt:
        return self.screen_stack[0].query_one("#prompt", Prompt)

    def paint(self) -> None:
        """Bring everything that is visible up to date; only changed cells are drawn."""
        if not self.is_running or not self.screen_stack:
            return
        screen = self.screen_stack[0]
        view, pane = self.view, self._pane
        view.bits = self.live.bits
        if self._mode == "pane":
            table = self.table
            table.bits = view.bits
            table.show(pane.records(view))
            self._paint_below()
        elif self._mode == "detail":
            self._paint_detail()
        screen.query_one(StatusLine).show(self._standing())
        self._paint_trouble()
        self._paint_tabs()
        self.prompt.show(self._keys())

    def _paint_below(self) -> None:
        screen, view, pane = self.screen_stack[0], self.view, self._pane
        graph, below = screen.query_one("#graph", Block), screen.query_one("#below", Block)
        record = self.table.record
        if graph.display:
            height = heights(pane, self.size.height, self._zoomed).graph
            width = self.size.width
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
        title = f"{pane.title}: {opened.name}{'' if found else ' (gone)'}"
        lines = pane.detail(view, self._opened, self.size.width)
        self.screen_stack[0].query_one(Report).show(label(title), lines, anew=anew)

    def _paint_trouble(self) -> None:
        block = self.screen_stack[0].query_one("#trouble", Block)
        if self.frozen:
            text = f" FROZEN at {clock(self.view.wall)}: collecting goes on; Space: back to live "
            block.show([line((text, "banner"), ground="banner")])
            return
        trouble = self._trouble(self._pane)
        if trouble is not None:
            block.show([line((f" ! {trouble.text}", trouble.role))])
        elif self.view.snapshots:
            block.show([line((" ok: nothing unusual here", "muted"))])
        else:
            block.show([line((" waiting for the first numbers...", "muted"))])

    def _trouble(self, pane: Pane) -> Trouble | None:
        if self.frozen:
            return pane.trouble(self.view)
        if pane.name not in self._troubles:
            self._troubles[pane.name] = pane.trouble(self.view)
        return self._troubles[pane.name]

    def _paint_tabs(self) -> None:
        troubles = {p.name: self._trouble(p) for p in self.panes}
        tabs = [
            Tab(p.title, p is self._pane, t.role if (t := troubles[p.name]) else "")
            for p in self.panes
        ]
        self.screen_stack[0].query_one(Tabs).show(tabs, self._note())

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
            self._cpu.percent(),
            self.source.interval,
            self.live.wall,
        )

    def _keys(self) -> Line:
        spans: list[Span] = [(" ", "")]
        for key in keys.footer():
            action = key.action.partition("(")[0]
            if self.check_action(action, ()):
                shown = "a/d" if action == "attach" else key.shown.split(" ")[0]
                spans += [(shown, "accent"), (f" {key.title}  ", "muted")]
        while len(spans) > 7 and sum(width_of(t) for t, _ in spans) > self.size.width + 2:
            del spans[-6:-4]  # not what is at the end: leaving and help
        return line(*spans)

    def _lay_out(self) -> None:
        """Who is visible, and with how many lines."""
        screen, mode = self.screen_stack[0], self._mode
        graph, below = heights(self._pane, self.size.height, self._zoomed)
        if mode != "pane":
            graph = below = 0
        if self._slow:
            graph = 0
        for table in screen.query(LiveTable):
            table.display = mode in ("pane", "menu") and table is self.table
        screen.query_one(Report).display = mode in ("detail", "help")
        for name, height in (("#graph", graph), ("#below", below)):
            block = screen.query_one(name, Block)
            block.display = height > 0
            block.styles.height = height
        self.call_after_refresh(self.paint)

    def _show(self, mode: str) -> None:
        self._mode = mode
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    def on_live_table_selected(self) -> None:
        if self._mode == "pane":
            self._paint_below()
            self._paint_tabs()

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        self.action_pane(message.place)

    def _tell(self, text: str, severity: Any) -> None:
        self.notify(label(text), severity=severity, markup=False, timeout=8)

    def _wear(self) -> None:
        """Tell Textual of the theme, for what it draws itself (toasts)."""
        look, name = self.look, f"ebpftop-{self.look.name}"
        if name not in self.available_themes:
            self.register_theme(_textual(name, look))
        self.theme = name

    # What keys do

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """A key that can do nothing here is not there."""
        if action in _ALWAYS or action not in _WHERE:
            return True
        if self.screen_stack and self.prompt.question is not None:
            return False
        if action in ("attach", "detach") and self._pane.hook_of is None:
            return False
        return self._mode in _WHERE[action]

    def action_quit_now(self) -> None:
        self.leave(0)

    def action_go_back(self) -> None:
        """Close what is open, else unzoom, else clear the filter."""
        if self._mode != "pane":
            self._give_back()
            self._opened = None
            self._show("pane")
        elif self._zoomed:
            self.action_zoom()
        elif self._filter_text.get(self._pane.name):
            self._set_filter("")

    def action_help(self) -> None:
        if self._mode == "help":
            self.action_go_back()
            return
        self._give_back()
        lines = help_lines(self._pane, self.fields[self._pane.name], len(self.panes))
        self._show("help")
        self.screen_stack[0].query_one(Report).show("Help", lines, anew=True)

    def action_pane(self, place: int) -> None:
        if 0 < place <= len(self.panes):
            self._give_back()
            self._opened = None
            self._pane = self.panes[place - 1]
            self._show("pane")

    def action_pane_step(self, step: int) -> None:
        self.action_pane((self.panes.index(self._pane) + step) % len(self.panes) + 1)

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._lay_out()

    @property
    def _mover(self) -> LiveTable | Report:
        if self._mode in ("detail", "help"):
            return self.screen_stack[0].query_one(Report)
        return self.table

    def action_move(self, rows: int) -> None:
        self._mover.move(rows)

    def action_page(self, pages: int) -> None:
        self._mover.page(pages)

    def action_top(self) -> None:
        mover = self._mover
        if isinstance(mover, LiveTable):
            mover.follow()
        else:
            mover.move(-(10**6))

    def action_bottom(self) -> None:
        self._mover.move(10**6)

    def action_open(self) -> None:
        record = self.table.record
        if record is None:
            return
        if self._mode == "menu":
            self._show("pane")
            self.table.sort_by(str(record.key))
            return
        self._opened = record
        if self._pane.while_open is not None:
            self._borrow(self._pane.while_open(record))
        self._show("detail")
        self._paint_detail(anew=True)

    def _borrow(self, id: HookId) -> None:
        """Attach what the detail needs; it goes with the detail, unless it stood before."""
        if self.live.snapshots.get(id) is None:
            self._borrowed = id
            self._start(self._hold(id))

    async def _hold(self, id: HookId) -> None:
        stands = await self.control.attach(id, quiet=True)
        if stands and self._borrowed != id:  # the detail was closed meanwhile
            await self.control.detach(id, quiet=True)
        self._after_control()

    def _give_back(self) -> None:
        id, self._borrowed = self._borrowed, None
        if id is not None and self.live.status(id).state is not State.ATTACHING:
            self._start(self._then_paint(self.control.detach(id, quiet=True)))

    def action_filter(self) -> None:
        self.prompt.ask(
            Question(
                "Filter (!word leaves out):",
                self._filtered,
                typed=self._set_filter,
                answer=self._filter_text.get(self._pane.name, ""),
                past=tuple(self._past_filters),
            )
        )

    def _filtered(self, text: str | None) -> None:
        if text and text not in self._past_filters:
            self._past_filters = [*self._past_filters[-49:], text]
        self._set_filter(text or "")

    def _set_filter(self, text: str) -> None:
        self._filter_text[self._pane.name] = text
        self.table.keep = parse(text, self.fields[self._pane.name])
        self.table.sort_rows()
        self.paint()

    def action_sort_menu(self) -> None:
        table = self.table
        self._show("menu")
        self.table.show(
            [
                Record(f.name, f.title, {"place": i, "title": f.title, "help": f.help})
                for i, f in enumerate(self.fields[self._pane.name], 1)
            ]
        )
        self.table.select(next(i for i, f in enumerate(table.fields) if f.name == table.sort))

    def action_sort(self, step: int) -> None:
        self.table.sort_next(step)

    def action_reverse(self) -> None:
        self.table.sort_by(self.table.sort)

    def action_units(self) -> None:
        self.live.bits = not self.live.bits
        self.paint()

    def action_freeze(self) -> None:
        self.view = self.live if self.frozen else self.live.still()
        self.paint()

    def action_interval(self, step: int) -> None:
        now = self.source.interval
        steps = [i for i in INTERVALS if (i > now if step > 0 else i < now)]
        if steps:
            self.source.interval = steps[0] if step > 0 else steps[-1]
            self.paint()

    def action_theme_next(self) -> None:
        names = theme.names()
        self.look = theme.load(names[(names.index(self.look.name) + 1) % len(names)])
        self._wear()
        self.paint()
        self.notify(f"theme {self.look.name}", markup=False, timeout=2)

    # Attaching and detaching

    def _target(self) -> HookId | None:
        """What the row stands for now: from here on it is that identity, wherever the row goes."""
        record = self._opened if self._mode == "detail" else self.table.record
        hook_of = self._pane.hook_of
        return hook_of(record) if record is not None and hook_of is not None else None

    def action_attach(self) -> None:
        id = self._target()
        if id is None:
            return
        status = self.live.status(id)
        if status.state in (State.ATTACHED, State.PASSIVE, State.ATTACHING):
            self._tell(f"{id} is {status.state} already", "information")
            return
        text = f"Attach {id} to the data path (may reset the link)?  y: yes  n: no"
        self._sure(id, text, lambda: self.control.attach(id))

    def action_detach(self) -> None:
        id = self._target()
        if id is None:
            return
        if self.live.status(id).state not in (State.ATTACHED, State.PASSIVE, State.ATTACHING):
            self._tell(f"{id} is not attached", "information")
            return
        text = f"Detach {id} from the data path (may reset the link)?  y: yes  n: no"
        self._sure(id, text, lambda: self.control.detach(id))

    def _sure(self, id: HookId, text: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Do it; for a data path only after a person's yes."""

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self._start(self._then_paint(work()))
                self.call_later(self._after_control)

        hook = self.source.catalogue.get(id.hook)
        if hook is not None and hook.reach is Reach.LOOKS_ON:
            answered("yes")
        else:
            self.prompt.ask(Question(label(text), answered, choices={"y": "yes", "n": "no"}))

    async def _then_paint(self, work: Coroutine[Any, Any, Any]) -> None:
        await work
        self._after_control()

    def _after_control(self) -> None:
        self._note_statuses()
        self._troubles.clear()
        self.paint()


class _Share:
    """This process's share of a CPU since the last look, at most once a second."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._used, self._time = seconds(), time.monotonic()
        self._percent: float | None = None

    def percent(self) -> float | None:
        now = time.monotonic()
        if now - self._time >= 1:
            used = self._seconds()
            self._percent = (used - self._used) / (now - self._time) * 100
            self._used, self._time = used, now
        return self._percent


def _kept() -> deque[Decided]:
    return deque(maxlen=500)


def _textual(name: str, look: theme.Theme) -> TextualTheme:
    """Our theme as Textual's, which draws the toasts with it."""

    def colour(role: str) -> str:
        found = look.style(role).color
        if found is None or found.is_default:
            return "ansi_default"
        return found.name if found.triplet else f"ansi_{found.name}"

    return TextualTheme(
        name=name,
        primary=colour("accent"),
        secondary=colour("accent"),
        warning=colour("warn"),
        error=colour("bad"),
        success=colour("good"),
        accent=colour("accent"),
        foreground=colour("foreground"),
        background=look.background or "ansi_default",
        surface=look.background or "ansi_default",
        panel=look.background or "ansi_default",
        dark=look.dark,
        ansi=look.native,
        variables=BUILTIN_THEMES["ansi-dark"].variables if look.native else {},
    )


_MENU_FIELDS = (
    Field("place", "#", Unit.NUMBER, 3),
    Field("title", "Sort by", Unit.TEXT, 16),
    Field("help", "", Unit.TEXT, 40),
)
_ALWAYS = frozenset({"quit_now"})
_PANE = frozenset({"pane"})
_TABLES = frozenset({"pane", "menu"})
_ANY = frozenset({"pane", "menu", "detail", "help"})
_WHERE = {
    "help": _ANY, "go_back": _ANY, "pane": _ANY, "pane_step": _ANY, "move": _ANY, "page": _ANY,
    "top": _ANY, "bottom": _ANY, "theme_next": _ANY, "interval": _ANY,
    "freeze": frozenset({"pane", "detail"}), "units": frozenset({"pane", "detail"}),
    "open": _TABLES, "zoom": _PANE, "filter": _PANE, "sort_menu": _PANE, "sort": _PANE,
    "reverse": _PANE, "attach": frozenset({"pane", "detail"}),
    "detach": frozenset({"pane", "detail"}),
}  # fmt: skip


def run(
    source: Source,
    *,
    theme: str | None = None,
    ascii: bool = False,
    slow_link: bool = False,
    mouse: bool = True,
) -> int:
    """Show the source until somebody leaves; then close it. Returns the exit status.

    0: left by a key. 1: a crash; its report is in a file. 128 + n: signal n.
    Raises theme.ThemeError before anything is drawn.
    """
    app = Monitor(source, theme_name=theme, ascii=ascii, slow_link=slow_link)
    return asyncio.run(_run(app, mouse and not slow_link))


async def _run(app: Monitor, mouse: bool) -> int:
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sig, app.leave, 128 + sig)
    try:
        await app.run_async(mouse=mouse)
    except Exception as error:  # whatever it was, the report has it
        app.crashed = app.crashed or error
    finally:
        await app.source.close()
    if app.crashed is None:
        return app.return_code or 0
    _say(app.crashed)
    return 1


def _say(error: BaseException) -> None:
    path = crash.write(error)
    where = f"the report is in {path}" if path else "no report could be written"
    try:
        print(f"ebpftop: an internal error ({type(error).__name__}); {where}", file=sys.stderr)
    except OSError:
        pass  # the terminal is gone: nobody is there to read it
