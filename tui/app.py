"""The screen: what keys do, on what `painting` shows and `collector` gathers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")  # both are read when textual is imported
os.environ.setdefault("TEXTUAL_FPS", "20")

from textual.binding import BindingType

from probes.model import HookId, Reach, Source, State
from tui import keys, theme
from tui.fields import Record, label
from tui.filters import parse
from tui.helptext import help_lines
from tui.recorder import Recording
from tui.running import until_left
from tui.widgets.live_table import LiveTable
from tui.widgets.prompt import Question
from tui.widgets.report import Report
from tui.widgets.tabs import Tabs

INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Monitor(Recording):
    """The application. source: where samples come from; this closes it no more than it opens it.

    cpu_seconds, memory: what ebpftop has used so far, and uses now. slow_link: fewer bytes: 256
    colours, no graphs, at most two updates a second.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings())
    ENABLE_COMMAND_PALETTE = False
    TITLE = "ebpftop"

    async def on_mount(self) -> None:
        self._wear()
        self._lay_out()
        self.start(self._run())

    async def _run(self) -> None:
        await self.source.start()
        self.start(self._watch_statuses())
        self._follow_new()
        self.begin_playing()
        self.paint_soon()

    def on_resize(self) -> None:
        self._lay_out()

    def on_live_table_selected(self) -> None:
        if self._mode == "pane":
            self._paint_below()
            self._paint_tabs()

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        self.action_pane(message.place)

    # What keys do

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """A key that can do nothing here is not there."""
        modes = keys.MODES.get(action)
        if modes is None:
            return True
        if self.screen_stack and self.prompt.question is not None:
            return False
        if action in ("attach", "detach") and self._pane.hook_of is None:
            return action == "detach" and self._pane.name == "rules" and self._mode in modes
        return self._mode in modes and self.rules_offer(action)

    def action_quit_now(self) -> None:
        self.leave(0)

    def action_go_back(self) -> None:
        """Close what is open, else unzoom, else clear the filter."""
        if self._mode != "pane":
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
        lines = help_lines(self._pane, self.fields[self._pane.name], len(self.panes))
        self._show("help")
        self.report.show("Help", lines, anew=True)

    def action_pane(self, place: int) -> None:
        if 0 < place <= len(self.panes):
            self._go_to(self.panes[place - 1])

    def action_pane_step(self, step: int) -> None:
        self.action_pane((self.panes.index(self._tab) + step) % len(self.panes) + 1)

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._lay_out()

    @property
    def _mover(self) -> LiveTable | Report:
        if self._mode in ("detail", "help"):
            return self.report
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
        if self._pane.leads is not None:
            self.follow_lead(self._pane.leads(record))
            return
        self._opened = record
        if self._pane.while_open is not None:
            self._borrow("detail", self._pane.while_open(record))
        self._show("detail")
        self._paint_detail(anew=True)

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

    def action_interval(self, step: int) -> None:
        if self.speed(step):
            return
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
        if id is None or self.refuses("attached"):
            return
        status = self.live.status(id)
        stands = status.state in (State.ATTACHED, State.PASSIVE, State.ATTACHING)
        if stands and status.one_in == 1:  # one that the budget slowed is attached to be whole
            self._tell(f"{id} is {status.state} already", "information")
            return
        self._sure(id, f"Attach {id} to the data path", lambda: self.collector.control.attach(id))

    def action_detach(self) -> None:
        if self.refuses("detached"):
            return
        if self._pane.name == "rules":
            self.end_rule()
            return
        id = self._target()
        if id is None:
            return
        if self.live.status(id).state not in (State.ATTACHED, State.PASSIVE, State.ATTACHING):
            self._tell(f"{id} is not attached", "information")
            return
        self._sure(id, f"Detach {id} from the data path", lambda: self.collector.control.detach(id))

    def _sure(self, id: HookId, text: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Do it; for a data path only after a person's yes."""

        def answered(answer: str | None) -> None:
            if answer == "yes":
                self.start(self._then_paint(work()))
                self.call_later(self._after_control)

        hook = self.source.catalogue.get(id.hook)
        if hook is not None and hook.reach is Reach.LOOKS_ON:
            answered("yes")
        else:
            risk = f" ({hook.risk})" if hook is not None and hook.risk else ""
            asked = label(f"{text}{risk}?  y: yes  n: no")
            self.prompt.ask(Question(asked, answered, choices={"y": "yes", "n": "no"}))


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
    return asyncio.run(until_left(app, mouse=mouse and not slow_link))
