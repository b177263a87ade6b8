"""A session: the hosts that are followed, the one that is shown, and the view on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from probes.analysis.cases.ordinary import OrdinaryEntry
from probes.analysis.history import Figure
from probes.recording.reader import Recording
from probes.recording.tape import Frame, Tape
from probes.recording.writer import RecordingError
from probes.source import Feed, Source
from tui.session.collector import Collector
from tui.session.control import Severity
from tui.session.recorder import Recorder
from tui.session.thrift import is_tight
from tui.session.view import View
from tui.table.fields import label


@runtime_checkable
class Player(Protocol):
    """A source that plays a recording."""

    number: int
    speed: float
    paused: bool
    skipped: str

    @property
    def timeline(self) -> Recording: ...

    @property
    def ended(self) -> bool: ...

    def seek(self, number: int) -> None: ...

    def step(self) -> None: ...

    def play(self, *, paused: bool | None = None, speed: float | None = None) -> None: ...


@runtime_checkable
class Fed(Protocol):
    """A source whose numbers come from another host. name: as the user calls it."""

    name: str
    feed: Feed


def name_of(source: Source) -> str:
    """Return what the user calls the host."""
    return label(source.name if isinstance(source, Fed) else source.host.title)


def feed_of(source: Source) -> Feed | None:
    """Return the state of the connection to another host; None for this host."""
    return source.feed if isinstance(source, Fed) else None


class Station(NamedTuple):
    """A host: its source, and what is kept of it."""

    source: Source
    collector: Collector


class Session:
    """The hosts of a run, of which one is shown, live or as it was at a moment.

    changed: called with the hook's name after each reading of the host that is shown. tell: shows a
    toast. limit: the bound on memory, in bytes. view: what is on the screen. recorder: while
    recording.
    """

    def __init__(
        self,
        source: Source,
        figures: list[Figure],
        changed: Callable[[str], None],
        tell: Callable[[str, Severity], None],
        *,
        limit: int | None = None,
    ) -> None:
        self._figures, self._changed, self._tell = figures, changed, tell
        self._entries: tuple[OrdinaryEntry, ...] = ()
        self.limit = limit
        self.here = self._station(source)
        self.stations: tuple[Station, ...] = (self.here,)
        self.view = self.here.collector.view
        self.recorder: Recorder | None = None
        self._followed: dict[Collector, set[str]] = {}

    # Hosts

    def join(self, others: Sequence[Source]) -> None:
        """Add further hosts, before any is started."""
        self.stations = (self.stations[0], *(self._station(source) for source in others))
        for _, collector in self.stations:
            collector.view.ascii = self.live.ascii

    def _station(self, source: Source) -> Station:
        """Return a host with a collector; with several hosts, its toasts say which it is."""

        def changed(hook: str) -> None:
            if self.collector is collector:
                self._changed(hook)

        def tell(text: str, severity: Severity) -> None:
            several = len(self.stations) > 1
            self._tell(f"{name_of(source)}: {text}" if several else text, severity)

        collector = Collector(source, self._figures, changed, tell, limit=self.limit)
        collector.view.entries = self._entries
        return Station(source, collector)

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(station.source for station in self.stations)

    def show(self, place: int) -> None:
        """Show another host, live. place: from 0."""
        before = self.live
        self.here = self.stations[place]
        self.view = self.live
        self.use_bits(before.bits)
        self.use_span(before.span)
        self.unfold(before.unfolded)

    def unfollowed(self) -> list[tuple[Collector, str]]:
        """Return the hooks, with their collectors, that were not returned before.

        A catalogue may grow by custom hooks.
        """
        found = []
        for source, collector in self.stations:
            followed = self._followed.setdefault(collector, set())
            new = [hook for hook in source.catalogue if hook not in followed]
            followed.update(new)
            found += [(collector, hook) for hook in new]
        return found

    # The host that is shown

    @property
    def source(self) -> Source:
        return self.here.source

    @property
    def collector(self) -> Collector:
        return self.here.collector

    @property
    def live(self) -> View:
        return self.here.collector.view

    @property
    def feed(self) -> Feed | None:
        return feed_of(self.source)

    @property
    def is_tight(self) -> bool:
        """Whether the host that is shown has no memory for more."""
        return is_tight(self.source)

    @property
    def player(self) -> Player | None:
        """The source, if it is a recording."""
        return self.source if isinstance(self.source, Player) else None

    @property
    def attaches(self) -> bool:
        """Whether there is a kernel to attach to."""
        return self.player is None and not self.source.host.demo

    def note(self) -> bool:
        """Take note of statuses and rules; return whether any hook or rule changed."""
        return self.collector.note_statuses() | self.collector.note_rules()

    # The view that is looked at

    @property
    def frozen(self) -> bool:
        return self.view is not self.live

    def look_at(self, view: View) -> None:
        self.view = view

    def use_bits(self, bits: bool) -> None:
        """Show bits instead of bytes."""
        self.live.bits = bits

    def use_span(self, seconds: float) -> None:
        """Show so many seconds in graphs."""
        self.live.span = seconds

    def unfold(self, unfolded: bool) -> None:
        """Show also what is little or ordinary, or not."""
        self.live.unfolded = unfolded

    def use_interval(self, seconds: float) -> None:
        """Set the interval, in seconds."""
        self.source.interval = seconds

    def use_ascii(self, ascii: bool) -> None:
        """Draw with ASCII alone, for terminals without UTF-8."""
        self.live.ascii = ascii

    @property
    def entries(self) -> tuple[OrdinaryEntry, ...]:
        """What is ordinary here."""
        return self._entries

    def use_ordinary(self, entries: Iterable[OrdinaryEntry]) -> None:
        """Set what is ordinary, on every host."""
        self._entries = tuple(entries)
        for view in (self.view, *(station.collector.view for station in self.stations)):
            view.entries = self._entries

    def be_about(self, about: str) -> None:
        """Set what an inner pane is about in the view, and show it as the live view is shown."""
        view, live = self.view, self.live
        view.about, view.bits, view.span, view.unfolded = about, live.bits, live.span, live.unfolded

    # Recording

    def record(self, tape: Tape, path: Path) -> None:
        """Start recording to a new file. Raises RecordingError."""
        self.recorder = Recorder(tape, path, self.source.host, self.source.catalogue)
        self.collector.keep = self._keep

    def stop_recording(self) -> str:
        """Stop recording, if it is on; return a sentence on the file."""
        recorder, self.recorder, self.collector.keep = self.recorder, None, None
        return recorder.stop() if recorder is not None else ""

    def _keep(self, frame: Frame) -> None:
        if self.recorder is not None:
            try:
                self.recorder.write(frame)
            except RecordingError as failed:
                self.recorder = self.collector.keep = None
                self._tell(str(failed), "error")
