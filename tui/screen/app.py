"""The screen: what keys do, on what `renderer` shows and `collector` gathers."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")  # both are read when textual is imported
os.environ.setdefault("TEXTUAL_FPS", "20")

from textual.events import CursorPosition, Event, Paste
from textual.events import Key as KeyEvent

from probes.model import HookId
from probes.source import Source
from tui.config.settings import Settings
from tui.screen import keymap
from tui.screen.actions.hosts import Hosts
from tui.screen.help import help_lines
from tui.table.fields import label
from tui.table.filters import complete, reading
from tui.terminal import leaving
from tui.terminal.app_base import until_left
from tui.widgets.live_table import LiveTable
from tui.widgets.prompt import Question
from tui.widgets.tabs import Tabs

INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Monitor(Hosts):
    """The application. source: where samples come from; this closes it no more than it opens it.

    settled: what the person's settings say; what is passed beside them wins. cpu_seconds, memory:
    what ebpftop has used so far, and uses now. slow_link: fewer bytes: 256 colours, no graphs, at
    most two updates a second.
    """

    ENABLE_COMMAND_PALETTE = False
    TITLE = "ebpftop"

    async def on_mount(self) -> None:
        self._wear()
        self._lay_out()
        for problem in self.problems:
            self._tell(problem, "warning")
            self.collector.control.note(problem, "warn")
        self.start(self._run())

    async def _run(self) -> None:
        await self.start_hosts()
        self.start(self._watch_statuses())
        self._follow_new()
        self.start(self.watch_hosts())
        self.start(self._attach_settled())
        self.begin_playing()
        self.paint_soon()

    async def _attach_settled(self) -> None:
        for hook in self.settled.hooks if self.attaches else ():
            await self.collector.control.attach(HookId(hook), quiet=True)

    def on_resize(self) -> None:
        self.call_later(self._lay_out)  # when Textual has taken note of the size

    def on_live_table_selected(self) -> None:
        if leaving.begun():
            return
        self.chosen_anew()
        if self._mode == "pane":
            with self.drawing():
                self.selected()
        elif self._mode == "menu":
            self.look_at_choice()

    def on_live_table_opened(self) -> None:
        self.action_open()

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        self.action_pane(message.place)

    # Keys: each is taken before the next one, so that what it asks gets what is typed after it

    async def on_event(self, event: Event) -> None:
        typed = isinstance(event, KeyEvent | Paste) and not event.is_forwarded
        if typed and leaving.begun():
            return  # what is still to be answered keeps nobody from leaving
        if typed and len(self.screen_stack) == 1:
            await self._take(event)
        elif isinstance(event, CursorPosition):
            self.terminal_answered()
        else:
            await super().on_event(event)

    async def _take(self, event: Event) -> None:
        if isinstance(event, Paste):
            self.prompt.paste(event.text)
        elif isinstance(event, KeyEvent) and not await self._check_bindings(event.key, True):
            self.key_pressed(event.key, event.time)
            if self.prompt.question is not None:
                await self.prompt.take(event)
            else:
                await self._check_bindings(event.key)

    # What keys do

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """A key that can do nothing here is not there."""
        modes = keymap.MODES.get(action)
        if modes is None:
            return True
        if self.screen_stack and self.prompt.question is not None:
            return False
        if action in ("attach", "detach") and self._pane.hook_of is None:
            return action == "detach" and self._pane.name == "rules" and self._mode in modes
        if action == "host" and len(self.stations) == 1:
            return False
        return self._mode in modes and self.rules_offer(action)

    def action_quit_now(self) -> None:
        self.leave(0)

    def action_quit_asking(self) -> None:
        """Rules that stand end with us: asked once; the same key again leaves at once."""
        stand = self._rules_that_stand()
        if not stand:
            self.leave(0)
            return
        keys = next((k.keys.split(",") for k in self.keymap.table if k.id == "quit"), [])
        again = dict.fromkeys(keys, "yes")
        choices = {"y": "yes", "Y": "yes", "n": "no", "N": "no", "enter": "no", **again}
        what = "A drop rule stands and ends" if stand == 1 else f"{stand} drop rules stand and end"
        self.prompt.ask(
            Question(
                f"{what} with this ebpftop. Leave?  (y, or the same key: yes, N: no)",
                lambda answer: self.leave(0) if answer == "yes" else None,
                choices=choices,
                at_once=keys,
            )
        )

    def _rules_that_stand(self) -> int:
        if self.player is not None:
            return 0  # those of a recording
        return sum(e.rung is not None for s in self.stations for e in s.source.rules())

    def action_redraw(self) -> None:
        self.redraw()

    def action_suspend(self) -> None:
        self.action_suspend_process()

    def action_go_back(self) -> None:
        """Close what is open, else unzoom, else clear the filter."""
        if self._mode == "menu":
            self.leave_menu()
        elif self._mode == "help" and self._help_search:
            self._search_help("")
        elif self._mode != "pane":
            self._give_back("detail")
            self._opened = None
            self._show("pane")
        elif self._zoomed:
            self.action_zoom()
        elif self._filter_text.get(self._pane.name):
            self._set_filter("")
        elif self._pane.inner:
            self.leave_inner()
        elif self._came is not None:
            self._go_to(self._came)
        elif self.frozen:
            self.back_to_live()

    def action_help(self) -> None:
        if self._mode == "help":
            self.action_go_back()
            return
        self._give_back("detail")
        actions = ((k, k.action.partition("(")[0]) for k in self.keymap.table)
        here = [k for k, name in actions if self.check_action(name, ())]
        self._help_keys = [k for k in here if k.id not in self._beyond]
        self._show("help")
        self._search_help("")

    def _search_help(self, text: str) -> None:
        self._help_search, pane = text, self._pane
        catalogue = self.source.catalogue
        lines = help_lines(pane, self.fields[pane.name], self._help_keys, catalogue, text)
        title = f"Help: {text}" if text else f"Help  {self.keymap.shown('filter')}: search"
        self.report.show(label(title), lines, anew=True)

    _help_keys: list[keymap.Key]
    _help_search = ""

    @property
    def _beyond(self) -> frozenset[str]:
        """Keys of panes that are not there."""
        return frozenset(f"pane.{n}" for n in range(len(self.panes) + 1, 10))

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._lay_out()

    def action_move(self, rows: int) -> None:
        self._moved(lambda: self._mover.move(rows))

    def action_page(self, pages: int) -> None:
        self._moved(lambda: self._mover.page(pages))

    def action_top(self) -> None:
        mover = self._mover
        self._moved(mover.follow if isinstance(mover, LiveTable) else lambda: mover.move(-(10**6)))

    def action_bottom(self) -> None:
        self._moved(lambda: self._mover.move(10**6))

    def _moved(self, move: Callable[[], None]) -> None:
        """The answer to a key is not put off until Textual draws."""
        with self.drawing():
            move()
            if self._mode == "pane":
                self.selected()

    def action_open(self) -> None:
        if self._mode == "menu":
            self.take_choice()
            return
        record = self.table.record
        if record is None:
            return
        if self._pane.leads is not None:
            self.follow_lead(self._pane.leads(record))
            return
        self._opened = record
        if self._pane.while_open is not None:
            self._borrow("detail", self._pane.while_open(record))
        self._show("detail")
        self._paint_detail(anew=True)

    def action_filter(self) -> None:
        if self._mode == "help":
            self._ask_help()
            return
        fields = self.fields[self._pane.name]
        self.prompt.ask(
            Question(
                "Filter:",
                self._filtered,
                typed=self._set_filter,
                answer=self._filter_text.get(self._pane.name, ""),
                past=tuple(self._past_filters),
                note=lambda text: reading(text, fields, self._altnames),
                complete=lambda text: complete(text, fields),
            )
        )

    def _ask_help(self) -> None:
        done = lambda text: self._search_help(text or "")  # noqa: E731 # it is no more than that
        self.prompt.ask(
            Question("Search the help:", done, typed=self._search_help, answer=self._help_search)
        )

    def _filtered(self, text: str | None) -> None:
        if text:
            others = (t for t in self._past_filters if t != text)
            self._past_filters = [*others, text][-50:]
        self._set_filter(text or "")

    def action_sort(self, step: int) -> None:
        self.table.sort_next(step)

    def action_reverse(self) -> None:
        self.table.sort_by(self.table.sort)

    def action_units(self) -> None:
        self.live.bits = not self.live.bits
        self.paint()

    def action_interval(self, step: int) -> None:
        if self.speed(step):
            return
        now = self.source.interval
        steps = [i for i in INTERVALS if (i > now if step > 0 else i < now)]
        if steps:
            self.source.interval = steps[0] if step > 0 else steps[-1]
            self.paint()


def _collect_seldom() -> None:
    """Each tick makes thousands of tuples that go by themselves: to look for cycles among them
    after every 700, and in the end among all modules, would be a tenth of what a tick costs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


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
) -> int:
    """Show the source until somebody leaves; then close it. Returns the exit status.

    others: further hosts. connect: awaited before anything is drawn: it may ask on the terminal.
    memory: the bound in bytes, of which the last minutes get a part.

    0: left by a key. 1: a crash; its report is in a file. 128 + n: signal n.
    Raises theme.ThemeError before anything is drawn. None: as the settings say.
    """
    app = Monitor(
        source, theme_name=theme, ascii=ascii, slow_link=slow_link, mouse=mouse,
        settled=settled or Settings(), limit=memory,
    )  # fmt: skip
    app.join(others)
    _collect_seldom()

    async def shown() -> int:
        try:
            if connect is not None:
                await connect()
        except BaseException:
            await asyncio.gather(*(source.close() for source in app.sources))
            raise
        return await until_left(app, mouse=app.mouse)

    return asyncio.run(shown())
