"""The bottom lines: the keys, or what is being asked: a filter, a choice, a yes or no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from textual.events import Key as KeyEvent
from textual.events import Paste

from probes.units import printable
from tui.lines import BLANK, Line, Span, line, width_of, wrap
from tui.widgets.canvas import Canvas


@dataclass(slots=True)
class Question:
    """text: what is asked. done: gets the answer; None: no answer. typed: each change.

    choices: of a yes or no, and the like: key -> answer; none: free text. note: what stands below
    what is typed; where its role is "bad", Enter does not take it.
    """

    text: str
    done: Callable[[str | None], None]
    typed: Callable[[str], None] | None = None
    choices: dict[str, str] = field(default_factory=dict)
    role: str = ""
    answer: str = ""
    past: Sequence[str] = ()
    back: int = 0
    note: Callable[[str], Span] | None = None


class Prompt(Canvas, can_focus=True):
    """Keys when nothing is asked. While something is, it has the focus and takes every key."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.question: Question | None = None
        self._keys: Line = line()

    def show(self, keys: Line) -> None:
        self._keys = keys
        self._fit()
        self.repaint()

    def ask(self, question: Question) -> None:
        self.question = question
        self.focus()
        self._fit()
        self.repaint()

    def close(self, answer: str | None) -> None:
        question, self.question = self.question, None
        self._fit()
        self.repaint()
        if question is not None:
            question.done(answer)

    def _fit(self) -> None:
        """As many lines as are needed, at most half of the screen."""
        height = min(len(self._lines()), max(self.app.size.height // 2, 1))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height

    def line(self, y: int, /) -> Line:
        lines = self._lines()
        return lines[y] if y < len(lines) else BLANK

    def _lines(self) -> list[Line]:
        q, width = self.question, max(self.size.width or self.app.size.width, 8)
        if q is None:
            return [self._keys]
        if q.choices:
            rows = [q.text] if width_of(q.text) + 3 <= width else wrap(q.text, width - 3)
            return [line((f" {row}  ", q.role), ground="banner") for row in rows]
        room = max(width - len(q.text) - 4, 4)
        shown: list[Span] = [(f" {q.text} ", "accent"), (q.answer[-room:], ""), ("_", "accent")]
        text, role = q.note(q.answer) if q.note else ("", "")
        return [line(*shown), *(line((f" {row}", role)) for row in wrap(text, width - 2))]

    def on_key(self, event: KeyEvent) -> None:
        q = self.question
        if q is None or event.key in ("ctrl+c", "ctrl+q"):
            return
        event.stop()
        event.prevent_default()
        if q.choices:
            if event.key == "escape" or event.key in q.choices:
                self.close(q.choices.get(event.key))
            return
        match event.key:
            case "escape":
                self.close(None)
            case "enter" if q.note is None or q.note(q.answer)[1] != "bad":
                self.close(q.answer)
            case "up" | "down":
                self._recall(q, 1 if event.key == "up" else -1)
            case "backspace":
                self._type(q, q.answer[:-1])
            case "ctrl+u":
                self._type(q, "")
            case _ if event.is_printable and event.character:
                self._type(q, q.answer + event.character)

    def on_paste(self, event: Paste) -> None:
        if self.question is not None and not self.question.choices:
            self._type(self.question, self.question.answer + printable(event.text[:200]))

    def _type(self, q: Question, text: str) -> None:
        q.answer = text
        self._fit()
        self.repaint()
        if q.typed is not None:
            q.typed(text)

    def _recall(self, q: Question, step: int) -> None:
        q.back = min(max(q.back + step, 0), len(q.past))
        self._type(q, q.past[-q.back] if q.back else "")
