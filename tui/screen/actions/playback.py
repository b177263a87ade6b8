"""The keys of a recording: pause, speed, moments, marks, times; and what recalls what was before.

The screen follows a recording as it follows a kernel. A jump puts the collector at the moment at
once, with its rates and windows; graphs and logs of what was before it follow as they are read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Protocol, runtime_checkable

from probes.analysis.snapshot import Room, Trail
from probes.model import HookId
from probes.recording.codec import Malformed
from probes.recording.encoder import Tick
from probes.recording.reader import Recording
from probes.recording.tape import Reel
from tui.screen.actions.rewind import Rewinding
from tui.session.collector import KEPT
from tui.session.history import Figure, History
from tui.session.view import Decided, clock
from tui.table.fields import label
from tui.table.lines import Line, line, width_of
from tui.time_expr import Meant, TimeError, meant
from tui.widgets.prompt import Question
from tui.widgets.time_bar import time_bar

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_LEAST_LINES = 16
"""Lines of a screen from which the time bar has one of them."""


@runtime_checkable
class Player(Protocol):
    """A source that plays a recording."""

    number: int
    speed: float
    paused: bool
    skipped: str

    @property
    def reel(self) -> Recording: ...

    @property
    def ended(self) -> bool: ...

    def seek(self, number: int) -> None: ...

    def step(self) -> None: ...

    def play(self, *, paused: bool | None = None, speed: float | None = None) -> None: ...


class Playback(Rewinding):
    """Where the source is no recording, every key is what it was."""

    @property
    def player(self) -> Player | None:
        return self.source if isinstance(self.source, Player) else None

    @property
    def attaches(self) -> bool:
        """Whether there is a kernel to attach to."""
        return self.player is None and not self.source.host.demo

    def begin_playing(self) -> None:
        """Once everything follows the source."""
        if (player := self.player) is not None:
            self._go(player.number)
            if player.reel.note:
                self._tell(player.reel.note, "warning")

    # Keys

    def action_freeze(self) -> None:
        player = self.player
        if player is None:
            super().action_freeze()
        elif player.ended:
            self._go(player.reel.first)
            player.play(paused=False)
        else:
            player.play(paused=not player.paused)
        self.paint()

    def action_rewind(self, moments: int) -> None:
        if (player := self.player) is not None:
            player.play(paused=True)  # who goes step by step wants to look
        super().action_rewind(moments)

    def speed(self, step: int) -> bool:
        """Faster, or slower where it is less than 0; whether anything is played."""
        if (player := self.player) is None:
            return False
        there = [s for s in SPEEDS if (s > player.speed if step > 0 else s < player.speed)]
        if there:
            player.play(speed=there[0] if step > 0 else there[-1])
            self.paint()
        return True

    def action_to_time(self) -> None:
        """To a time of the day, or so many seconds on or back."""
        self.prompt.ask(
            Question("Go to (12:03, 12:03:10, +90, -30):", self._to_time, note=self._time_note)
        )

    def _to_time(self, text: str | None) -> None:
        if text and self._in_past():
            self._go(self._meant(text).number)

    def _time_note(self, text: str) -> tuple[str, str]:
        try:
            number, note = self._meant(text)
            moment = f"the moment of {clock(self._reel.wall(number))}"
            return (f"{moment}: {note}" if note else moment, "muted")
        except TimeError as wrong:
            return (str(wrong), "bad") if text else ("", "")

    def _meant(self, text: str) -> Meant:
        here = self._at if self.player is None else self.player.number
        return meant(text, self._reel, here)

    @property
    def _reel(self) -> Reel:
        return self.collector.tape

    # Moments

    def _in_past(self) -> bool:
        if (player := self.player) is None:
            return super()._in_past()
        self._at = player.number
        return True

    def _go(self, number: int) -> None:
        player = self.player
        if player is None:
            super()._go(number)
            return
        if number == player.number + 1:
            player.step()
            return
        player.seek(number)
        self.collector.go_to(player.reel, player.number)
        self._troubles.clear()
        self._recall(player)
        self.paint()

    def _recall(self, player: Player) -> None:
        """Read what was before, beside everything else; what is not wanted any more is dropped."""
        self._recalls += 1
        mine = self._recalls

        async def recalled() -> None:
            with closing(player.reel.another()) as reel:
                found = await recall(
                    reel,
                    lambda: player.number if self._recalls == mine else None,
                    self.collector.figures,
                )
            if found is not None:
                self.collector.recall(*found)
                self.paint()

        self.start(recalled())

    _recalls = 0

    # What is seen of it

    def time_lines(self) -> list[Line]:
        player = self.player
        if player is None:
            return super().time_lines()
        width, reel = self.size.width, player.reel
        head = self._playing(player, width)
        if self.size.height < _LEAST_LINES:
            return [head]
        return [
            head, time_bar(reel.moments(), self._marks(), reel.first, player.number, width)
        ]  # fmt: skip

    def _playing(self, player: Player, width: int) -> Line:
        how = "at its end" if player.ended else "paused" if player.paused else f"{player.speed:g}x"
        text = f" REPLAY {clock(self.view.wall)} {how}  {label(player.reel.path.name)}"
        began = [m.text for m in self._marks() if m.number == player.number]
        if player.skipped or began:
            text += f": {player.skipped or '; '.join(began)}"
        keys = "  Space + -  [ ] moment  ( ) minute  { } mark  J time "
        if width_of(text) + len(keys) > width:
            keys = "  Space + - [ ] { } J "
        room = max(width - len(keys), 0)
        return line((text[:room].ljust(room), "banner"), (keys[:width], "banner"), ground="banner")

    # Nothing is done to what was

    def action_drop(self) -> None:
        if not self.refuses("dropped"):
            super().action_drop()

    def _borrow(self, why: str, id: HookId) -> None:
        if self.player is None:
            super()._borrow(why, id)

    def refuses(self, what: str) -> bool:
        """Says so where this is a recording. what: would be done, such as "attached"."""
        if self.player is None:
            return False
        self._tell(f"this is a recording: nothing can be {what}", "warning")
        return True


async def recall(
    reel: Reel, until: Callable[[], int | None], figures: Iterable[Figure]
) -> tuple[History, dict[str, deque[Decided]]] | None:
    """History and logs of the moments up to one, as a screen has them that saw them all.

    until: the moment, which may go on meanwhile; None: nobody wants it any more.
    """
    history, trails, room = History(figures), dict[str, Trail](), Room()
    decided: dict[str, deque[Decided]] = {}
    before: Tick | None = None
    number = max((until() or 0) - History.LENGTH, reel.first)
    while (last := until()) is not None:
        if number > last:
            return history, decided
        try:
            tick = reel.at(number)
        except Malformed:
            number += 1
            continue
        for hook, samples in tick.fresh(before).items():
            trail = trails.setdefault(hook, Trail(reel.hooks[hook], room=room))
            history.add(hook, trail.snapshots(samples))
            for sample in samples:
                if sample.log:
                    kept = decided.setdefault(hook, deque(maxlen=KEPT))
                    kept.extend(Decided(sample.wall, row, sample.time) for row in sample.log)
        before = tick
        number += 1
        await asyncio.sleep(0)
    return None
