"""Painting: which widgets are visible, where, and what each shows of the view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from probes.analysis import since_boot
from probes.analysis.cases import judgement, words
from tui.screen.appearance import Appearance
from tui.screen.groups import Groups
from tui.screen.hints import Hints
from tui.screen.key import Key
from tui.screen.keymap import Keymap
from tui.screen.layout import Heights, graph_block, heights
from tui.screen.parts import Parts
from tui.screen.place import Place
from tui.screen.troubles import Troubles
from tui.session.drop_rules import banner
from tui.session.own_usage import OwnUsage
from tui.session.session import Session
from tui.table.fields import SIGNS, label
from tui.table.lines import Line, Span, fit, line, width_of, wrap
from tui.table.many_records import with_key
from tui.terminal.app_base import TerminalApp
from tui.toolkit.pane import Pane
from tui.toolkit.vitals_strip import strip, strip_height
from tui.toolkit.why_empty import why_empty
from tui.widgets.live_table import LiveTable
from tui.widgets.prompt import FooterKey, footer_width
from tui.widgets.report import Report
from tui.widgets.status_line import StatusFigures
from tui.widgets.tabs import Tab

PAINT_PAUSE, SLOW_PAINT_PAUSE = 0.04, 0.5
"""Seconds without a reading after which all of a tick are painted; the same on a slow link."""
LONGEST_PAUSE = 0.24
"""Seconds after which what has come is painted although more comes."""
ROOMY = 36
"""Lines from which on every pane has the vital signs."""
MIN_SIZE = (30, 7)
"""Columns and lines below which a sentence is shown and nothing else."""
LAGGING_SECONDS = 1.0
"""Seconds that a terminal may lag behind before a slow link is suggested."""
ADVICE = "this terminal is slow: `:` slow link (or --slow-link) sends less"


class Renderer:
    """Paints a place of a session. groups: the keys, and what else they add to the screen.

    own: what this process uses. advise: says something to the user.
    """

    def __init__(
        self,
        app: TerminalApp,
        session: Session,
        place: Place,
        parts: Parts,
        appearance: Appearance,
        troubles: Troubles,
        keymap: Keymap,
        groups: Groups,
        hints: Hints,
        own: OwnUsage,
        advise: Callable[[str], None],
    ) -> None:
        self._app, self._session, self._place, self._parts = app, session, place, parts
        self._appearance, self._troubles, self._keymap = appearance, troubles, keymap
        self._groups, self._hints = groups, hints
        self._own, self._advise = own, advise
        self._due = self._asked = self._advised = False

    # Which widgets belong to the place

    @property
    def table(self) -> LiveTable:
        """The table of the pane that is shown, or the menu above it."""
        if self._place.mode == "menu":
            return self._parts.menu
        return self._parts.table_of(self._place.pane)

    @property
    def mover(self) -> LiveTable | Report:
        """The widget that the arrow keys move."""
        return self._parts.report if self._place.mode in ("detail", "help") else self.table

    def _lines_above(self) -> list[Line]:
        """Return whose numbers these are, and from which moment, if the groups have such lines."""
        hosts = [line for group in self._groups for line in group.host_lines()]
        times = [line for group in self._groups for line in group.time_lines()]
        filtered = [self._filter_line()] if self._filtered else []
        return [*hosts, *times, *filtered, *([self._untold_line()] if self._untold else [])]

    @property
    def _filtered(self) -> bool:
        return self._place.mode == "pane" and bool(self._place.filter)

    # When to paint

    def paint_soon(self) -> None:
        self._asked = True
        if not self._due:
            self._due = True
            self._app.start(self._paint_later())

    async def _paint_later(self) -> None:
        await self._pause()
        waited = 0.0
        while self._app.behind:  # better the next state whole than this one late
            await asyncio.sleep(PAINT_PAUSE)
            waited += PAINT_PAUSE
        self._due = False
        if waited > LAGGING_SECONDS and not self._appearance.slow and not self._advised:
            self._advised = True
            self._advise(ADVICE)
        self._session.note()
        self.paint()

    async def _pause(self) -> None:
        """Wait for the other readings of a tick: a paint takes as long as ten of them."""
        if self._appearance.slow:
            await asyncio.sleep(SLOW_PAINT_PAUSE)
            return
        waited = 0.0
        while self._asked and waited < LONGEST_PAUSE:
            self._asked = False
            await asyncio.sleep(PAINT_PAUSE)
            waited += PAINT_PAUSE

    # Painting

    def paint(self) -> None:
        """Update everything visible; only changed cells are drawn."""
        if not self._app.is_running or not self._app.screen_stack:
            return
        with self._app.drawing():
            self._paint_all()

    def _paint_all(self) -> None:
        session, place, table = self._session, self._place, self.table
        session.be_about(place.about)
        if place.mode == "pane":
            table.use_bits(session.view.bits)
            if place.pane.heading is not None:
                table.head(place.pane.heading(session.view))
            table.say_if_empty(why_empty(session.view, place.pane))
            table.show(place.pane.records(session.view))
            self._paint_below()
        elif place.mode == "detail":
            self.paint_detail()
        else:
            self.mover.repaint()  # in a menu or the help the theme may change
        self._parts.status.show(self._standing())
        self._paint_rules()
        self._paint_trouble()
        self._paint_vitals()
        self._paint_tabs()
        self._parts.prompt.show(self._offered(), self._footer())

    def paint_row(self) -> None:
        """Paint what depends on the selected row: another is selected, or it has new values."""
        self._paint_below()
        self._paint_tabs()

    def _paint_below(self) -> None:
        view, pane, record = self._session.view, self._place.pane, self.table.record
        graph, below = self._parts.graph, self._parts.below
        width = self._app.size.width
        if graph.display:
            height = self._heights().graph
            if pane.draw is not None:
                graph.show(pane.draw(view, record, width, height))
            else:
                graph.show(graph_block(pane, view, record, width, height) if record else ())
        if below.display and pane.below:
            head = [line((f" {pane.below_title}", "header"))] if pane.below_title else []
            below.show([*head, *pane.below(view, width, below.size.height - len(head))])

    def paint_detail(self, *, anew: bool = False) -> None:
        """Paint the opened record as it is now. anew: from its first line."""
        view, place, opened = self._session.view, self._place, self._place.opened
        if opened is None:
            return
        found = with_key(place.pane.records(view), opened.key)
        opened = found or opened
        place.open(opened)
        about = f" of {place.about}" if place.about else ""
        width = max(self._app.size.width, MIN_SIZE[0])
        title = f"{place.pane.title}{about}: {opened.name}{'' if found else ' (gone)'}"
        self._parts.report.show(label(title), place.pane.detail(view, opened, width), anew=anew)

    def _paint_rules(self) -> None:
        """Paint the rules, on every pane and also when frozen: their time runs."""
        block, (width, height) = self._parts.rules, self._app.size
        live = self._session.live
        links = live.rows("interfaces") if live.dropping else ()
        lines = banner(live.dropping, width, max(height // 12, 1), links)
        if block.display != bool(lines) or (lines and len(lines) != block.size.height):
            block.display, block.styles.height = bool(lines), len(lines)
        block.show(lines)

    def _paint_trouble(self) -> None:
        block, size = self._parts.trouble, self._app.size
        if self._tiny:
            text = "{}x{} is too small: {}x{} at least".format(*size, *MIN_SIZE)
            block.show([line((row, "bad")) for row in wrap(text, max(size.width, 1))])
            return
        lines = [*self._lines_above(), self._verdict()]
        if block.styles.height is None or block.styles.height.value != len(lines):
            block.styles.height = len(lines)
        block.show(lines)

    def _paint_vitals(self) -> None:
        block = self._parts.vitals
        if block.display:
            block.show(strip(self._session.view, self._app.size.width, self._strip_height))

    def _verdict(self) -> Line:
        """Return the worst trouble here, or that there is none."""
        worse = (group.verdict() for group in self._groups)
        said = next((line for line in worse if line is not None), None)
        return said or line(self._verdict_of_pane())

    def _verdict_of_pane(self) -> Span:
        """Return it as a text that fits, and its role."""
        text, role = self._said_of_pane()
        return fit(text, self._app.size.width).rstrip(), role

    def _said_of_pane(self) -> Span:
        pane, session = self._place.pane, self._session
        trouble = self._troubles.of(pane)
        if trouble is not None:
            room = self._app.size.width - 3
            fits = width_of(trouble.text) <= room or not trouble.brief
            text = trouble.text if fits else trouble.brief
            return f" {SIGNS[trouble.role]} {text}", trouble.role
        if session.source.host.privilege:
            return f" ~ {label(session.source.host.privilege)}", "warn"
        if pane.summary is not None and (said := pane.summary(session.view)) is not None:
            return f" {said[0]}", said[1]
        if not session.view.snapshots:
            return " waiting for the first numbers...", "muted"
        left = session.view.learning(self._needs(pane)) * session.source.interval
        more = words.ordinary(session.view.hidden()) if pane.case is not None else ""
        calm = words.calm(session.view.watched(), left, since_boot.said(session.view))
        return f" {calm}{more}", "muted"

    def _needs(self, pane: Pane) -> set[str]:
        """Return the hooks by which a pane is judged; the overview is by those of all."""
        return set(pane.needs or [hook for each in self._place.panes for hook in each.needs])

    def _paint_tabs(self) -> None:
        tabs = []
        for pane in self._place.panes:
            # what leads to other panes says nothing that those do not say at their own tabs
            trouble = self._troubles.of(pane) if pane.leads is None else None
            mark = trouble.role if trouble else ""
            tabs.append(Tab(pane.title, pane is self._place.tab, mark, pane.short))
        self._parts.tabs.show(tabs, self._rows_note())

    def _rows_note(self) -> Span:
        """Return the row's number of how many."""
        if self._place.mode != "pane":
            return "", ""
        at, shown, _ = self.table.counts
        return f"{at}/{shown} ", "muted"

    @property
    def _untold(self) -> str:
        """Return the part of the scope to which these rows are not restricted."""
        place = self._place
        return place.untold.get(place.pane.name, "") if place.mode == "pane" else ""

    def _untold_line(self) -> Line:
        """Say that the scope does not hold here, so that nobody takes these rows for its own."""
        said = "  does not apply to this pane: all rows are shown"
        return line((" scope ", "muted"), (label(self._untold), "warn"), (said, "muted"))

    def _filter_line(self) -> Line:
        """Return the filter in force, how many rows it keeps, and the key that clears it."""
        _, shown, there = self.table.counts
        keys = f"{self._keymap.shown('back')}: clear"
        kept = f"{shown} of {there}"
        room = self._app.size.width - len(kept) - len(keys) - 14
        named = label(self._place.filter)
        named = fit(named, max(room, 1)).rstrip() if width_of(named) > room else named
        return line((" filter ", "muted"), (named, "warn"), f"   {kept}", (f"   {keys}", "muted"))

    def _standing(self) -> StatusFigures:
        session, live = self._session, self._session.live
        kernel = [s.cpu_percent for s in live.snapshots.values() if s.cpu_percent is not None]
        return StatusFigures(
            session.source.host,
            live.statuses,
            sum(kernel) if kernel else None,
            *self._own.now(),
            session.source.interval,
            live.wall,
            session.feed,
            limit=session.limit,
            forgotten=sum(s.sample.forgotten for s in live.snapshots.values()),
            watched=live.watched() if live.snapshots else None,
            learning=live.learning(judgement.needs()) * session.source.interval,
            notes=tuple(note for group in self._groups if (note := group.note())),
        )

    def _footer(self) -> Line | None:
        """Return what is at the bottom in place of the keys: a hint, or what a group has there."""
        others = (group.footer() for group in self._groups)
        return self._hints.line(self._app.size.width) or next(
            (line for line in others if line is not None), None
        )

    def _offered(self) -> list[FooterKey]:
        """Return the keys at the bottom, as many as fit."""
        keys = [self._footer_key(key) for key in self._keymap.footer() if self._app.does(key.id)]
        while len(keys) > 3 and footer_width(keys) > self._app.size.width + 2:
            del keys[-3]  # not what is at the end: leaving and help
        return keys

    def _footer_key(self, key: Key) -> FooterKey:
        shown = key.shown.split(" ")[0]
        if key.id == "attach" and (detach := self._keymap.shown("detach")):
            shown = f"{shown}/{detach}"
        searches = key.id == "filter" and self._place.mode == "help"
        return FooterKey(key.id, shown, "Search" if searches else key.title)

    # Which widgets are visible, and where

    def lay_out(self) -> None:
        """Show the widgets of this place where they belong, with what they have to show now."""
        with self._app.drawing():
            self._arrange()
            if self._app.drawn.place():
                self.paint()
            else:
                self._app.call_after_refresh(self.paint)

    def _arrange(self) -> None:
        """Choose which widgets are visible, and with how many lines."""
        parts, mode = self._parts, "" if self._tiny else self._place.mode
        for part in (parts.status, parts.tabs, parts.prompt):
            part.display = not self._tiny
        parts.trouble.styles.height = "1fr" if self._tiny else len(self._lines_above()) + 1
        graph, below = self._heights() if mode == "pane" else (0, 0)
        if self._appearance.slow:
            graph = 0
        for table in parts.tables:
            table.display = mode in ("pane", "menu") and table is self.table
        parts.report.display = mode in ("detail", "help")
        strip = self._strip_height if mode in ("pane", "menu") else 0
        for block, height in ((parts.graph, graph), (parts.below, below), (parts.vitals, strip)):
            block.display = height > 0
            block.styles.height = height

    @property
    def _tiny(self) -> bool:
        """Whether the screen is too small for more than a sentence; what is open stays open."""
        width, height = self._app.size
        return width < MIN_SIZE[0] or height < MIN_SIZE[1]

    @property
    def _strip_height(self) -> int:
        """Lines of the vital signs; panes that need not have them do so where there is room."""
        always = self._place.pane.vitals
        return strip_height(*self._app.size) if always or self._app.size.height >= ROOMY else 0

    def _heights(self) -> Heights:
        """Return lines for graphs; lines above them take nothing from the table."""
        height = self._app.size.height - len(self._lines_above()) - self._strip_height
        return heights(self._place.pane, height, self._place.zoomed)
