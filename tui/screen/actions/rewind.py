"""Freezing and going to other moments, while collecting goes on; a recording is paused."""

from __future__ import annotations

from collections.abc import Sequence

from tui.screen.context import Actions
from tui.screen.key import NUMBERS, Key
from tui.session.view import clock
from tui.table.lines import Line
from tui.time_expr import ParsedTime, TimeError, parse_time
from tui.widgets.prompt import Question


class RewindActions(Actions):
    """Keys for time."""

    order = 80
    keys = (
        Key(
            "freeze", "space", "Space", "freeze", "Freeze",
            "freeze the screen, or back to live; counting goes on; in a recording: pause", "Time",
            4, modes=NUMBERS,
        ),
        Key(
            "rewind", "left_square_bracket", "[", "rewind", "",
            "go a moment back, freezing the screen", "Time", modes=NUMBERS, given=-1,
        ),
        Key(
            "forward", "right_square_bracket", "]", "rewind", "", "go a moment forward", "Time",
            modes=NUMBERS, given=1,
        ),
        Key(
            "rewind.minute", "left_parenthesis", "(", "rewind_minutes", "", "go a minute back",
            "Time", modes=NUMBERS, given=-1,
        ),
        Key(
            "forward.minute", "right_parenthesis", ")", "rewind_minutes", "",
            "go a minute forward", "Time", modes=NUMBERS, given=1,
        ),
        Key(
            "mark.previous", "left_curly_bracket", "{", "to_mark", "",
            "go to the previous mark: drops, failures, attaches", "Time", modes=NUMBERS, given=-1,
        ),
        Key(
            "mark.next", "right_curly_bracket", "}", "to_mark", "", "go to the next mark", "Time",
            modes=NUMBERS, given=1,
        ),
        Key("to.time", "J,shift+j", "J", "to_time", "", "go to a time", "Time", modes=NUMBERS),
    )  # fmt: skip

    def freeze(self) -> None:
        self.screen.time.freeze()

    def rewind(self, moments: int) -> None:
        """Go so many moments forward, or back if negative."""
        self.screen.time.rewind(moments)

    def rewind_minutes(self, minutes: int) -> None:
        time = self.screen.time
        if time.enter_past():
            there = self.screen.session.collector.tape.away(time.at, 60 * minutes)
            time.go(max(there, time.at) if minutes > 0 else min(there, time.at))

    def to_mark(self, step: int) -> None:
        """Go to the nearest moment before or after this one at which something began."""
        time = self.screen.time
        if not time.enter_past():
            return
        numbers = [m.number for m in time.marks()]
        if step < 0:
            found = max((n for n in numbers if n < time.at), default=None)
        else:
            found = min((n for n in numbers if n > time.at), default=None)
        if found is None:
            which = "before" if step < 0 else "after"
            self.screen.toast(f"no mark {which} this moment", "information")
        else:
            time.go(found)

    def to_time(self) -> None:
        """Ask for a time of day, or a number of seconds forward or back."""
        self.screen.prompt.ask(
            Question("Go to (12:03, 12:03:10, +90, -30):", self._go, note=self._note_time)
        )

    def _go(self, text: str | None) -> None:
        if text and self.screen.time.enter_past():
            self.screen.time.go(self._parsed(text).number)

    def _note_time(self, text: str) -> tuple[str, str]:
        try:
            number, note = self._parsed(text)
            moment = f"the moment of {clock(self.screen.session.collector.tape.wall(number))}"
            return (f"{moment}: {note}" if note else moment, "muted")
        except TimeError as wrong:
            return (str(wrong), "bad") if text else ("", "")

    def _parsed(self, text: str) -> ParsedTime:
        return parse_time(text, self.screen.session.collector.tape, self.screen.time.at)

    def time_lines(self) -> Sequence[Line]:
        return self.screen.time.lines(*self.screen.size)
