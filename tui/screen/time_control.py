"""Time on the screen: a kernel's, where one can go back, or a recording's.

`time_control` chooses between the two, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from probes.recording.bookmarks import Bookmark
from probes.recording.tape import Timeline
from tui.screen.context import Context
from tui.session.past_view import beginnings, past_view
from tui.session.recall import recall
from tui.session.session import Player
from tui.session.view import View, clock
from tui.table.fields import label
from tui.table.lines import Line, line, width_of
from tui.widgets.time_bar import time_bar

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_MIN_LINES_FOR_BAR = 16
"""Lines of a screen from which one is used for the time bar."""


class TimeControl(Protocol):
    """The work of the keys for time. Moments are numbers on the tape."""

    @property
    def at(self) -> int:
        """The moment on the screen."""

    def begin(self) -> None:
        """Start, once every hook is followed."""

    def freeze(self) -> None:
        """Freeze, or go on."""

    def enter_past(self) -> bool:
        """Freeze at a moment; return whether there is any."""

    def go(self, number: int) -> None:
        """Show a moment; the nearest, if that does not exist."""

    def rewind(self, moments: int) -> None:
        """Go so many moments forward, or back if negative."""

    def back_to_live(self) -> None: ...

    def change_speed(self, step: int, /) -> bool:
        """Play faster, or slower if negative; return whether anything is played."""

    def refuses(self, what: str, /) -> bool:
        """Say so if nothing can be done to what is shown. what: such as "attached"."""

    def marks(self) -> Sequence[Bookmark]:
        """Return the moments at which something begins."""

    def lines(self, width: int, height: int) -> list[Line]:
        """Return lines that say from which moment this is, unless that is now."""


def time_control(screen: Context) -> TimeControl:
    """Return the strategy for a source."""
    player = screen.session.player
    return LiveTime(screen) if player is None else RecordedTime(screen, player)


class _Marks:
    """The moments at which something begins; what grows over a few moments begins once."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._marks: Sequence[Bookmark] = ()

    def of(self, timeline: Timeline) -> Sequence[Bookmark]:
        if self._of != (timeline, timeline.first, timeline.end):
            self._of, self._marks = (
                (timeline, timeline.first, timeline.end),
                beginnings(timeline.marks()),
            )
        return self._marks


class LiveTime:
    """A kernel's: collecting goes on while an earlier moment of the tape is shown."""

    def __init__(self, screen: Context) -> None:
        self._screen = screen
        self._marks = _Marks()
        self._at = 0

    @property
    def at(self) -> int:
        """The moment on the screen; live, the newest on the tape.

        The oldest, if that on the screen was forgotten since.
        """
        frozen, timeline = self._screen.session.frozen, self._timeline
        return max(self._at if frozen else timeline.end - 1, timeline.first)

    @property
    def _timeline(self) -> Timeline:
        return self._screen.session.collector.tape

    def begin(self) -> None:
        pass

    def freeze(self) -> None:
        if self._screen.session.frozen:
            self.back_to_live()
        else:
            self._stand_still()
        self._screen.repaint()

    def _stand_still(self) -> None:
        """Freeze what is shown now."""
        session = self._screen.session
        session.collector.close_tick()
        self._at = self._timeline.end - 1
        self._look_at(session.live.still())

    def back_to_live(self) -> None:
        self._look_at(self._screen.session.live)

    def _look_at(self, view: View) -> None:
        self._screen.session.look_at(view)
        self._screen.lay_out()
        self._screen.repaint()

    def enter_past(self) -> bool:
        if not self._screen.session.frozen:
            self._stand_still()
        return len(self._timeline) > 0

    def go(self, number: int) -> None:
        timeline = self._timeline
        self._at = min(max(number, timeline.first), timeline.end - 1)
        self._look_at(past_view(self._screen.session.live, timeline, self._at))

    def rewind(self, moments: int) -> None:
        if self.enter_past():
            self.go(self.at + moments)

    def change_speed(self, step: int, /) -> bool:
        tour = self._screen.tour
        if tour is not None:
            tour.change_speed(step)
            self._screen.repaint()
        return tour is not None

    def refuses(self, _what: str, /) -> bool:
        return False

    def marks(self) -> Sequence[Bookmark]:
        tour, marks = self._screen.tour, self._marks.of(self._timeline)
        return marks if tour is None else (*marks, *tour.marks(self._timeline))

    def lines(self, width: int, height: int) -> list[Line]:
        if not self._screen.session.frozen:
            return []
        timeline, head = self._timeline, self._head(width)
        if height < _MIN_LINES_FOR_BAR or not len(timeline):
            return [head]
        return [head, time_bar(timeline.moments(), self.marks(), timeline.first, self._at, width)]

    def _head(self, width: int) -> Line:
        live, view = self._screen.session.live, self._screen.session.view
        ago = max(live.time - view.time, 0)
        text = f" FROZEN at {clock(view.wall)}, {int(ago) // 60}:{int(ago) % 60:02} ago"
        began = [m.text for m in self.marks() if m.number == self._at]
        if began:
            text += f": {'; '.join(began)}"
        keys = "  [ ] moment  ( ) minute  { } mark  Space: live "
        return _with_keys(text, keys, "  [ ] { }  Space: live ", width)


class RecordedTime:
    """A recording's: it is played, and nothing can be attached to it.

    A jump puts the collector at the moment at once, with its rates and windows; graphs and logs of
    the time before it follow as they are read.
    """

    def __init__(self, screen: Context, player: Player) -> None:
        self._screen, self._player = screen, player
        self._marks = _Marks()
        self._recalls = 0

    @property
    def at(self) -> int:
        return self._player.number

    def begin(self) -> None:
        self.go(self._player.number)
        if self._player.timeline.note:
            self._screen.toast(self._player.timeline.note, "warning")

    def freeze(self) -> None:
        player = self._player
        if player.ended:
            self.go(player.timeline.first)
            player.play(paused=False)
        else:
            player.play(paused=not player.paused)
        self._screen.repaint()

    def enter_past(self) -> bool:
        return True

    def go(self, number: int) -> None:
        player = self._player
        if number == player.number + 1:
            player.step()
            return
        player.seek(number)
        self._screen.session.collector.go_to(player.timeline, player.number)
        self._screen.forget_troubles()
        self._recall()
        self._screen.repaint()

    def _recall(self) -> None:
        """Read the history in the background; drop what is no longer wanted."""
        self._recalls += 1
        mine, player, collector = self._recalls, self._player, self._screen.session.collector

        async def recalled() -> None:
            with closing(player.timeline.another()) as timeline:
                found = await recall(
                    timeline,
                    lambda: player.number if self._recalls == mine else None,
                    collector.figures,
                )
            if found is not None:
                collector.recall(found)

        self._screen.carry_out(recalled())

    def rewind(self, moments: int) -> None:
        self._player.play(paused=True)  # who goes step by step wants to look
        self.go(self.at + moments)

    def back_to_live(self) -> None:
        pass

    def change_speed(self, step: int, /) -> bool:
        now = self._player.speed
        there = [s for s in SPEEDS if (s > now if step > 0 else s < now)]
        if there:
            self._player.play(speed=there[0] if step > 0 else there[-1])
            self._screen.repaint()
        return True

    def refuses(self, what: str, /) -> bool:
        self._screen.toast(f"this is a recording: nothing can be {what}", "warning")
        return True

    def marks(self) -> Sequence[Bookmark]:
        return self._marks.of(self._screen.session.collector.tape)

    def lines(self, width: int, height: int) -> list[Line]:
        timeline, head = self._player.timeline, self._head(width)
        if height < _MIN_LINES_FOR_BAR:
            return [head]
        return [head, time_bar(timeline.moments(), self.marks(), timeline.first, self.at, width)]

    def _head(self, width: int) -> Line:
        player, wall = self._player, self._screen.session.view.wall
        how = "at its end" if player.ended else "paused" if player.paused else f"{player.speed:g}x"
        text = f" REPLAY {clock(wall)} {how}  {label(player.timeline.path.name)}"
        began = [m.text for m in self.marks() if m.number == player.number]
        if player.skipped or began:
            text += f": {player.skipped or '; '.join(began)}"
        keys = "  Space + -  [ ] moment  ( ) minute  { } mark  J time "
        return _with_keys(text, keys, "  Space + - [ ] { } J ", width)


def _with_keys(text: str, keys: str, fewer: str, width: int) -> Line:
    """Return a line with the keys at its end; fewer of them if space is short."""
    if width_of(text) + len(keys) > width:
        keys = fewer
    room = max(width - len(keys), 0)
    return line((text[:room].ljust(room), "banner"), (keys[:width], "banner"), ground="banner")
