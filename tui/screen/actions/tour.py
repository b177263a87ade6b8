"""The tour of the demo: chapters press keys by themselves, and say above the pane what to see.

Any key but the tour's own and its speed's holds it, so that a presenter can look around; `n` goes
on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from probes.analysis.vitals import vitals
from probes.units import percent
from tui.screen.context import Actions, Context
from tui.screen.key import Key
from tui.screen.tour import CHAPTERS, STAYS, Chapter
from tui.table.lines import Line, Span, line, width_of, wrap

_LOOK = 0.25
"""Seconds between two looks at the demo's clock."""
_PRESS = 0.5
"""Seconds from one key to the next, so that each is seen."""
_LATELY = 10.0
"""Seconds that vital signs look back; only their last value is told."""
_MOST_BACK = 4
"""Things that may lie over a pane: a detail, an inner pane, a menu, a frozen moment."""
_GOES_ON = ("n", "p", "N", "shift+n", "plus", "minus")
"""Keys that do not hold it."""
_MIN_LINES, _MIN_FOR_ALL = 12, 18
"""Lines of a screen from which the caption has one line, and all that it needs."""


class TourActions(Actions):
    """Keys of the tour; invisible without one."""

    order = 105
    keys = (
        Key("tour.next", "n", "n", "step", "", "tour: go to the next chapter", "Tour", given=1),
        Key(
            "tour.back",
            "p,N,shift+n",
            "p N",
            "step",
            "",
            "tour: go to the previous chapter",
            "Tour",
            given=-1,
        ),
    )

    def __init__(self, screen: Context) -> None:
        super().__init__(screen)
        self._place, self._pressed = -1, 0
        self._held = False
        self._came = 0.0
        self._turn = 0
        self._before: float | None = None

    def offers(self, _action: str, /) -> bool:
        return self.screen.tour is not None

    def why_not(self, _action: str, /) -> str:
        return "there is no tour: ebpftop demo --tour"

    def begin(self) -> None:
        if self.screen.tour is not None:
            self.screen.start(self._guide())

    def step(self, step: int) -> None:
        """Go to another chapter; back: stay there until `n`."""
        place = min(max(self._place + step, 0), len(CHAPTERS) - 1)
        self._held = step < 0
        self.screen.start(self._go(place))

    def key_pressed(self, key: str, when: float) -> None:
        del when
        if self.screen.tour is not None and key not in _GOES_ON:
            self._held = True

    async def _guide(self) -> None:
        """Go on by the demo's clock."""
        while True:
            await asyncio.sleep(_LOOK)
            self._note_dropped()
            if self._is_time():
                await self._go(self._place + 1)

    def _note_dropped(self) -> None:
        """Note the share of packets that are dropped while there is no drop rule."""
        if not self.screen.session.live.dropping:
            self._before = self._dropped()

    def _dropped(self) -> float | None:
        """Return the share of packets that are dropped now, but not by a rule."""
        told = {v.title: v.share for v in vitals(self.screen.session.live, (), _LATELY, 1)}
        return told.get("Dropped")

    @property
    def _elapsed(self) -> float:
        """Return the seconds of the demo since the tour began, negative before."""
        tour = self.screen.tour
        return -1.0 if tour is None else tour.elapsed(self.screen.session.live.wall)

    def _is_time(self) -> bool:
        elapsed, following = self._elapsed, self._place + 1
        if elapsed < 0 or self._held or following == len(CHAPTERS):
            return False
        if self._place < 0:
            return True
        return elapsed >= max(CHAPTERS[following].at, self._came + STAYS)

    async def _go(self, place: int) -> None:
        """Show a chapter: press its keys, one after the other, unless another one is wanted."""
        self._turn += 1
        turn, self._place, self._pressed, self._came = self._turn, place, 0, self._elapsed
        if self.screen.prompt.question is not None:
            self.screen.prompt.close(None)
        self._clear()
        for word in CHAPTERS[place].presses:
            self._press(word)
            self._pressed += 1
            self.screen.repaint()
            await asyncio.sleep(_PRESS)
            if turn != self._turn:
                return

    def _clear(self) -> None:
        """Take away what lies over the pane."""
        for _ in range(_MOST_BACK):
            if self.screen.session.frozen:
                self.screen.do("freeze")
            elif self.screen.place.mode != "pane" or self.screen.place.pane.inner:
                self.screen.do("back")

    def _press(self, word: str) -> None:
        """Do what a key does, if it does something here; or select a row."""
        if not word.startswith("="):
            key = next(key for key in self.screen.keymap.table if key.id == word)
            if self.screen.offered(key):
                self.screen.do(word)
            return
        table = self.screen.table
        found = (i for i, row in enumerate(table.rows) if row.name.startswith(word[1:]))
        if (at := next(found, None)) is not None:
            table.select(at)

    # What is said

    def host_lines(self) -> Sequence[Line]:
        height = self.screen.size.height
        if self.screen.tour is None or self._place < 0 or height < _MIN_LINES:
            return ()
        chapter = CHAPTERS[self._place]
        says = [line((f" {row}", "")) for row in wrap(chapter.says, self.screen.size.width - 2)]
        lines = [self._head(chapter)]
        lines += [*says, *_card(chapter)] if height >= _MIN_FOR_ALL else []
        return (*lines, *self._answer()) if self.screen.session.live.dropping else lines

    def _answer(self) -> Sequence[Line]:
        """Return what a drop rule has changed, the script's or the user's."""
        shares = self._before, self._dropped()
        if shares[0] is None or shares[1] is None:
            return ()
        before, now = (percent(share * 100) for share in shares if share is not None)
        said = (
            f" {before} of packets were dropped before the rule, now {now} and what the rule drops"
        )
        return (line((said, "accent")),)

    def _head(self, chapter: Chapter) -> Line:
        """Return the chapter's number and title, its keys as they are pressed, and how to go on."""
        number = f" Tour {self._place + 1}/{len(CHAPTERS)} "
        shown = self.screen.keymap.shown
        keys = [(at, w) for at, w in enumerate(chapter.presses) if not w.startswith("=")]
        caps: list[Span] = []
        for at, word in keys:
            caps.append((f"[{shown(word)}]", "header" if at < self._pressed else "muted"))
            caps.append((" ", ""))
        return line((number, "accent"), (f"{chapter.title}  ", ""), *caps, (self._going(), "muted"))

    def _going(self) -> str:
        """Return how to go on, and how fast it goes."""
        tour = self.screen.tour
        ways = "held, n goes on" if self._held else "n next"
        if self._place == len(CHAPTERS) - 1:
            ways = "p back"
        return f" {ways}" if tour is None or tour.speed == 1 else f" {ways}  {tour.speed:g}x"


def _card(chapter: Chapter) -> list[Line]:
    """Return the commands of a chapter in two columns."""
    wide = max((width_of(command) for command, _ in chapter.card), default=0)
    return [line((f"   {c:{wide}}  ", "accent"), (does, "")) for c, does in chapter.card]
