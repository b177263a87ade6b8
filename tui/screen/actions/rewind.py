"""Standing still and going back: any moment of the last minutes, while collecting goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from probes.recording.bookmarks import Mark
from probes.recording.encoder import Tick
from probes.recording.tape import Reel
from tui.screen.actions.drop_rules import Ruling
from tui.session.collector import KEPT
from tui.session.drop_rules import Dropping, Hits
from tui.session.view import Decided, View, clock
from tui.table.lines import Line, line, width_of
from tui.widgets.time_bar import time_bar

_LOGGED = 60
"""Moments that logs are read back from."""
_SAME = 10
"""Moments in which what begins again is the same as before."""
_LEAST_LINES = 16
"""Lines of a screen from which the time bar has one of them."""


def past_view(live: View, reel: Reel, number: int) -> View:
    """What the screen had at a moment of the reel. Raises IndexError where there is none."""
    tick = reel.at(number)
    return replace(
        live,
        snapshots=reel.snapshots(number),
        statuses=tick.statuses,
        events=tuple([e for e in live.events if e.time <= tick.time]),
        decided=Logs(reel, number),
        wall=tick.wall,
        time=tick.time,
        ticks=live.history.until(tick.time),
        dropping=_dropping(reel, number),
        since=dict(live.since),  # where counting began; what began later has another epoch
    )


class Logs(Mapping[str, Sequence[Decided]]):
    """The hooks' own logs as they were at a moment: read back from the tape when asked for."""

    def __init__(self, reel: Reel, number: int) -> None:
        self._reel, self._number = reel, number
        self._read: dict[str, Sequence[Decided]] | None = None

    def __getitem__(self, hook: str) -> Sequence[Decided]:
        if self._read is None:
            self._read = self._all()
        return self._read[hook]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reel.hooks)

    def __len__(self) -> int:
        return len(self._reel.hooks)

    def _all(self) -> dict[str, Sequence[Decided]]:
        logs = {hook: deque[Decided](maxlen=KEPT) for hook in self._reel.hooks}
        before: Tick | None = None
        for _, tick in self._reel.readable(self._number - _LOGGED, self._number + 1):
            for hook, samples in tick.fresh(before).items():
                logs[hook].extend(Decided(s.wall, row, s.time) for s in samples for row in s.log)
            before = tick
        return dict(logs)


def _dropping(reel: Reel, number: int) -> tuple[Dropping, ...]:
    """The rules that stood, with how fast they dropped."""
    hits, found = Hits(), tuple[Dropping, ...]()
    for _, tick in reel.window(number, Hits.BACK):
        found = hits.take(tick.rules)
    return found


def beginnings(marks: Iterable[Mark]) -> list[Mark]:
    """All but drops and failures that come so soon after others that it is still the same."""
    found: list[Mark] = []
    latest: dict[str, int] = {}
    for mark in marks:
        if mark.kind == "event" or mark.number - latest.get(mark.kind, -_SAME) >= _SAME:
            found.append(mark)
        latest[mark.kind] = mark.number
    return found


class Rewinding(Ruling):
    """The keys of time. In the past, what is looked at is a view of the tape's moment `_at`."""

    _at = 0

    def _marks(self) -> Sequence[Mark]:
        """Where something begins; what grows over a few moments begins once."""
        reel = self.collector.tape
        if self._marked[0] != (reel.first, reel.end):
            self._marked = (reel.first, reel.end), beginnings(reel.marks())
        return self._marked[1]

    _marked: tuple[object, Sequence[Mark]] = None, ()

    def action_freeze(self) -> None:
        if self.frozen:
            self.back_to_live()
        else:
            self._freeze()

    def _freeze(self) -> None:
        """Stand still at what is seen now."""
        self.collector.close_tick()
        self._at = self.collector.tape.end - 1
        self._look_at(self.live.still())

    def back_to_live(self) -> None:
        self._look_at(self.live)

    def _look_at(self, view: View) -> None:
        self.view = view
        self._lay_out()
        self.paint()

    def action_rewind(self, moments: int) -> None:
        """So many moments forth, or back where it is less than 0."""
        if self._in_past():
            self._go(self._at + moments)

    def action_rewind_minutes(self, minutes: int) -> None:
        if self._in_past():
            reel = self.collector.tape
            there = reel.away(self._at, 60 * minutes)
            self._go(max(there, self._at) if minutes > 0 else min(there, self._at))

    def action_to_mark(self, step: int) -> None:
        """To the nearest moment before or after this one at which something began."""
        if not self._in_past():
            return
        numbers = [m.number for m in self._marks()]
        if step < 0:
            found = max((n for n in numbers if n < self._at), default=None)
        else:
            found = min((n for n in numbers if n > self._at), default=None)
        if found is None:
            self._tell(f"no mark {'before' if step < 0 else 'after'} this moment", "information")
        else:
            self._go(found)

    def _in_past(self) -> bool:
        """In the past, or about to be; where nothing was read yet there is none."""
        if not self.frozen:
            self._freeze()
        reel = self.collector.tape
        self._at = max(self._at, reel.first)  # what one looked at may have fallen off
        return len(reel) > 0

    def _go(self, number: int) -> None:
        reel = self.collector.tape
        self._at = min(max(number, reel.first), reel.end - 1)
        self._look_at(past_view(self.live, reel, self._at))

    def time_lines(self) -> list[Line]:
        if not self.frozen:
            return []
        reel, width = self.collector.tape, self.size.width
        head = self._head(width)
        if self.size.height < _LEAST_LINES or not len(reel):
            return [head]
        return [head, time_bar(reel.moments(), self._marks(), reel.first, self._at, width)]

    def _head(self, width: int) -> Line:
        ago = max(self.live.time - self.view.time, 0)
        text = f" FROZEN at {clock(self.view.wall)}, {int(ago) // 60}:{int(ago) % 60:02} ago"
        began = [m.text for m in self._marks() if m.number == self._at]
        if began:
            text += f": {'; '.join(began)}"
        keys = "  [ ] moment  ( ) minute  { } mark  Space: live "
        if width_of(text) + len(keys) > width:
            keys = "  [ ] { }  Space: live "
        room = max(width - len(keys), 0)
        return line((text[:room].ljust(room), "banner"), (keys[:width], "banner"), ground="banner")
