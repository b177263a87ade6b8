"""Several hosts on one screen: each is followed all the time, one is looked at.

A line names them all with the worst that is wrong on each; a key goes to the next. A host whose
connection is cut says so, and since when; its numbers are those from before.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

from probes.source import Feed, Source
from probes.units import duration
from tui.screen.actions.palette import Palette
from tui.session.collector import Collector
from tui.table.fields import label
from tui.table.lines import Line, Span, line, width_of
from tui.widgets.status_line import Standing

_ROLES = {"": 0, "warn": 1, "bad": 2}
_MARKS = {"": "ok", "warn": "~", "bad": "!"}
_LEAST_LINES = 12
"""Lines of a screen from which the hosts have one of them."""


@runtime_checkable
class Fed(Protocol):
    """A source whose numbers come from another host. name: as the user calls it."""

    name: str
    feed: Feed


def name_of(source: Source) -> str:
    return label(source.name if isinstance(source, Fed) else source.host.name)


def feed_of(source: Source) -> Feed | None:
    return source.feed if isinstance(source, Fed) else None


class Station(NamedTuple):
    """A host: where its numbers come from, and what is kept of them."""

    source: Source
    collector: Collector


class Hosts(Palette):
    """With one source, everything is as without this."""

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        self.stations: tuple[Station, ...] = (Station(source, self.collector),)
        self._worst: dict[Collector, str] = {}
        self._followed_of: dict[Collector, set[str]] = {}

    def join(self, others: Sequence[Source]) -> None:
        """Further hosts, before it runs."""
        self.stations = (self.stations[0], *(self._station(source) for source in others))
        self.sources = tuple(s.source for s in self.stations)

    def _station(self, source: Source) -> Station:
        def changed(hook: str) -> None:
            if self.collector is collector:
                self._changed(hook)

        def tell(text: str, severity: Any) -> None:
            self._tell(f"{name_of(source)}: {text}", severity)

        collector = Collector(source, self.collector.figures, changed, tell, limit=self._limit)
        collector.view.ascii = self.live.ascii
        return Station(source, collector)

    async def start_hosts(self) -> None:
        for station in self.stations:
            await station.source.start()

    def _follow_new(self) -> None:
        for station in self.stations:
            followed = self._followed_of.setdefault(station.collector, set())
            for hook in set(station.source.catalogue) - followed:
                followed.add(hook)
                self.start(station.collector.follow(hook))

    # Going from one to the other

    def action_host(self, step: int) -> None:
        here = next(i for i, s in enumerate(self.stations) if s.source is self.source)
        self.show_host((here + step) % len(self.stations))

    def show_host(self, place: int) -> None:
        station = self.stations[place]
        if station.source is self.source:
            return
        if self.recorder is not None:
            self._tell("end the recording first (w): it is of this host", "warning")
            return
        if self.frozen:
            self.back_to_live()
        for why in ("detail", "pane"):  # what was attached for this screen is not wanted there
            self._give_back(why)
        bits = self.live.bits
        self.source, self.collector = station
        self.live = self.view = self.collector.view
        self.live.bits = bits
        self._mode = "pane"
        self.collector.note_statuses()
        self.collector.note_rules()
        self._go_to(self._tab)
        self.table.follow()

    # What is seen of them

    def note_worst(self) -> None:
        """What is wrong on each host, as its panes have it."""
        for station in self.stations if len(self.stations) > 1 else ():
            view = station.collector.view
            station.collector.note_statuses()
            panes = [pane for pane in self.panes if pane.leads is None]
            roles = [t.role for pane in panes if (t := pane.trouble(view)) is not None]
            feed = feed_of(station.source)
            cut = ["bad"] if feed is not None and feed.trouble else []
            self._worst[station.collector] = max((*roles, *cut, ""), key=lambda r: _ROLES.get(r, 0))

    async def watch_hosts(self) -> None:
        """Once a second: what a cut connection says changes without a reading."""
        cut = False
        while True:
            await asyncio.sleep(1)
            self.note_worst()
            feed = feed_of(self.source)
            before, cut = cut, feed is not None and bool(feed.trouble)
            if cut or before or len(self.stations) > 1:
                self.paint_soon()

    def time_lines(self) -> list[Line]:
        lines = super().time_lines()
        if len(self.stations) > 1 and self.size.height >= _LEAST_LINES:
            lines.insert(0, self._line_of_hosts())
        return lines

    def _line_of_hosts(self) -> Line:
        """All of them, or those around the one that is looked at."""
        spans: list[Span] = []
        for place, station in enumerate(self.stations, 1):
            feed, looked_at = feed_of(station.source), station.source is self.source
            worst = self._worst.get(station.collector, "")
            mark = "cut" if feed is not None and feed.trouble else _MARKS[worst]
            name = f"{place} {name_of(station.source)} {mark}"
            text = f"[{name}]" if looked_at else f" {name} "
            spans.append((text, worst or ("accent" if looked_at else "muted")))
        here = next(i for i, s in enumerate(self.stations) if s.source is self.source)
        head: Span = (" hosts (H: next) ", "muted")
        space = self.size.width - width_of(head[0])
        while len(spans) > 1 and sum(width_of(t) for t, _ in spans) > space:
            del spans[0 if here else -1]
            here = max(here - 1, 0)
        return line(head, *spans)

    def _verdict(self) -> Line:
        feed = feed_of(self.source)
        if feed is None or not feed.trouble or self.frozen:
            return super()._verdict()
        return line((f" ! {cut_words(feed, time.monotonic())}", "bad"))

    def _standing(self) -> Standing:
        standing = super()._standing()
        return replace(standing, feed=feed_of(self.source))


def cut_words(feed: Feed, now: float) -> str:
    """Since when nothing comes, why, and what is done about it."""
    since = duration(max(now - feed.since, 0) * 1e9)
    left = math.ceil(feed.again - now)
    again = f"tried again in {left} s" if left > 0 else "trying again"
    return f"cut off for {since}, {again}; the numbers are from before. {label(feed.trouble)}"
