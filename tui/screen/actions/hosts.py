"""Several hosts on one screen: all are followed all the time, one is shown.

A line names them all with the worst trouble on each; a key goes to the next. A host whose
connection is lost is marked with the time of the loss; its last numbers stay.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

from probes.source import Feed
from probes.units import duration
from tui.screen.context import Actions, Context
from tui.screen.key import Key
from tui.session.collector import Collector
from tui.session.session import feed_of, name_of
from tui.table.fields import label
from tui.table.lines import Line, Span, line, width_of

_ROLES = {"": 0, "warn": 1, "bad": 2}
_MARKS = {"": "ok", "warn": "~", "bad": "!"}
_MIN_LINES_FOR_HOSTS = 12
"""Lines of a screen from which one is used for the hosts."""
_CHECK_PAUSE = 1.0
"""Seconds between two checks of each host's troubles."""


class HostActions(Actions):
    """Key for hosts; invisible with one source."""

    order = 110
    keys = (
        Key(
            "host", "H,shift+h", "H", "step", "", "show the next host (with several --remote)",
            "View", given=1,
        ),
    )  # fmt: skip

    def __init__(self, screen: Context) -> None:
        super().__init__(screen)
        self._worst: dict[Collector, str] = {}

    @property
    def _several(self) -> bool:
        return len(self.screen.session.stations) > 1

    def offers(self, _action: str, /) -> bool:
        return self._several

    def why_not(self, _action: str, /) -> str:
        return "there is only one host"

    def step(self, step: int) -> None:
        """Show the next host."""
        session = self.screen.session
        if session.recorder is not None:
            self.screen.toast("stop recording first (w): it belongs to this host", "warning")
            return
        here = session.stations.index(session.here)
        self.screen.navigation.show_host((here + step) % len(session.stations))

    # What is seen of them

    def begin(self) -> None:
        self.screen.start(self._watch())

    async def _watch(self) -> None:
        """Repeat every second: the message on a lost connection changes without a reading."""
        cut = False
        while True:
            await asyncio.sleep(_CHECK_PAUSE)
            self.note_worst()
            feed = self.screen.session.feed
            before, cut = cut, feed is not None and bool(feed.trouble)
            if cut or before or self._several:
                self.screen.repaint_soon()

    def note_worst(self) -> None:
        """Note each host's worst trouble, as its panes report it."""
        panes = [pane for pane in self.screen.place.panes if pane.leads is None]
        for source, collector in self.screen.session.stations if self._several else ():
            collector.note_statuses()
            view, feed = collector.view, feed_of(source)
            roles = [t.role for pane in panes if (t := pane.trouble(view)) is not None]
            cut = ["bad"] if feed is not None and feed.trouble else []
            self._worst[collector] = max((*roles, *cut, ""), key=lambda r: _ROLES.get(r, 0))

    def host_lines(self) -> Sequence[Line]:
        if not self._several or self.screen.size.height < _MIN_LINES_FOR_HOSTS:
            return ()
        return (self._line_of_hosts(),)

    def _line_of_hosts(self) -> Line:
        """Return all hosts, or those around the one that is shown."""
        session, spans = self.screen.session, list[Span]()
        for place, station in enumerate(session.stations, 1):
            feed, looked_at = feed_of(station.source), station is session.here
            worst = self._worst.get(station.collector, "")
            mark = "cut" if feed is not None and feed.trouble else _MARKS[worst]
            name = f"{place} {name_of(station.source)} {mark}"
            text = f"[{name}]" if looked_at else f" {name} "
            spans.append((text, worst or ("accent" if looked_at else "muted")))
        here = session.stations.index(session.here)
        head: Span = (" hosts (H: next) ", "muted")
        space = self.screen.size.width - width_of(head[0])
        while len(spans) > 1 and sum(width_of(t) for t, _ in spans) > space:
            del spans[0 if here else -1]
            here = max(here - 1, 0)
        return line(head, *spans)

    def verdict(self) -> Line | None:
        feed = self.screen.session.feed
        if feed is None or not feed.trouble or self.screen.session.frozen:
            return None
        return line((f" ! {cut_words(feed, time.monotonic())}", "bad"))


def cut_words(feed: Feed, now: float) -> str:
    """Say when the connection was lost, why, and what is being done."""
    since = duration(max(now - feed.since, 0) * 1e9)
    left = math.ceil(feed.again - now)
    again = f"next attempt in {left} s" if left > 0 else "reconnecting"
    return f"disconnected for {since}, {again}; the numbers are from before. {label(feed.trouble)}"
