"""The bottom lines: the keys, or a question: a filter, a choice, a yes or no."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from textual.events import Click
from textual.events import Key as KeyEvent
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from probes.units import printable
from tui.table.lines import BLANK, Line, Span, line, width_of, wrap
from tui.terminal.drawing import Front
from tui.terminal.driver import Brush
from tui.terminal.shown import Shown
from tui.widgets.canvas import Canvas

T = TypeVar("T")

Completed = tuple[str, str]
STEPS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}


@dataclass(slots=True)
class Question:
    """A question. text: what is asked. done: gets the answer; None: no answer.

    typed: called on each change. choices: of a yes or no, and the like: key -> answer; none: free
    text. note: the text below what is typed; if its role is "bad", Enter does not accept it. past:
    what Up brings back, newest last. steer: moves the list above by so many rows, with Up and Down.
    complete: returns what Tab completes the text to, and the candidates; or an awaitable of it if
    that takes a moment.
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
    steer: Callable[[int], None] | None = None
    complete: Callable[[str], Completed | Awaitable[Completed]] | None = None
    at: int = -1
    """The cursor's position in the answer; -1: at the end."""
    hint: str = ""
    """Candidates that Tab found, until something is typed."""
    fault: str = ""
    """Fault of the answer, until something is typed."""
    at_once: Collection[str] = ()
    """Choices that also count if typed before the question was visible."""

    @property
    def cursor(self) -> int:
        return len(self.answer) if self.at < 0 else min(self.at, len(self.answer))


class FooterKey(NamedTuple):
    """A key at the bottom: its binding's id, the key as users know it, and what it does."""

    id: str
    shown: str
    title: str

    @property
    def spans(self) -> tuple[Span, Span]:
        return (self.shown, "accent"), (f" {self.title}  ", "muted")

    @property
    def width(self) -> int:
        return sum(width_of(text) for text, _ in self.spans)


def footer_width(keys: Iterable[FooterKey]) -> int:
    """Return the cells of all of them, and of the one before."""
    return 1 + sum(key.width for key in keys)


class Prompt(Canvas):
    """Keys when nothing is asked; each can be clicked. While something is, it takes every key."""

    class Clicked(Message):
        """A click on a key. id: its binding's."""

        def __init__(self, id: str) -> None:
            super().__init__()
            self.id = id

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.question: Question | None = None
        self._keys: Sequence[FooterKey] = ()
        self._instead: Line | None = None
        self._shown, self._drawn = Shown(), False

    def show(self, keys: Sequence[FooterKey], instead: Line | None = None) -> None:
        """Show keys, or something in their place."""
        self._keys, self._instead = keys, instead
        self._fit()
        self.repaint()

    def ask(self, question: Question) -> None:
        self.question = question
        self._shown, self._drawn = Shown(), False
        self._fit()
        self.repaint()

    def close(self, answer: str | None) -> None:
        """Pass on the answer; if that fails, keep the question open and say why."""
        with self.canvases.drawing():
            question, self.question = self.question, None
            self._fit()
            self.repaint()
            if question is not None:
                self._pass_on(question, answer)

    def _pass_on(self, question: Question, answer: str | None) -> None:
        try:
            question.done(answer)
        except Exception as error:
            if self.question is None:
                question.fault = sentence(error)
                self.ask(question)

    def _fit(self) -> None:
        """Take as many lines as are needed, at most half of the screen."""
        height = min(len(self._lines()), max(self.app.size.height // 2, 1))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height

    def line(self, y: int, /) -> Line:
        lines = self._lines()
        return lines[y] if y < len(lines) else BLANK

    def _lines(self) -> list[Line]:
        q, width = self.question, max(self.size.width or self.app.size.width, 8)
        if q is None:
            return [self._instead or line(" ", *(span for key in self._keys for span in key.spans))]
        if q.choices:
            rows = [q.text] if width_of(q.text) + 3 <= width else wrap(q.text, width - 3)
            fault = wrap(q.fault, width - 3) if q.fault else []
            return [line((f" {row}  ", q.role), ground="banner") for row in (*rows, *fault)]
        text, role = self._below(q)
        below = [line((f" {row}", role)) for row in wrap(text, width - 2)]
        return [line((f" {q.text} ", "accent"), *_typed(q, width - width_of(q.text) - 4)), *below]

    def on_click(self, event: Click) -> None:
        if self.question is not None or self._instead is not None:
            return
        for n, key in enumerate(self._keys, 1):
            if event.x < footer_width(self._keys[:n]):
                self.post_message(self.Clicked(key.id))
                return

    def _below(self, q: Question) -> Span:
        """Return the text below what is typed."""
        if q.fault:
            return q.fault, "bad"
        if q.hint:
            return q.hint, "muted"
        try:
            return q.note(q.answer) if q.note else ("", "")
        except Exception as error:
            return sentence(error), "bad"

    def render_lines(self, crop: Region) -> list[Strip]:
        self._draws()
        return super().render_lines(crop)

    def draw(self, brush: Brush, front: Front, covered: Container[int]) -> None:
        super().draw(brush, front, covered)
        self._draws()

    def _draws(self) -> None:
        """Take note that the question is on its way to the terminal."""
        if self.question is not None and not self._drawn:
            self._drawn = True
            self.canvases.show_mark(self._shown)

    async def take(self, event: KeyEvent) -> None:
        """Take a key while something is asked.

        What was typed before the question was visible is text, but no answer to it.
        """
        q = self.question
        if q is None:
            return
        if q.choices:
            seen = event.key in q.at_once or await self._was_seen(event)
            if event.key == "escape" or (event.key in q.choices and seen):
                self._answer(q, q.choices.get(event.key))
        elif event.key == "escape":
            self.close(None)
        elif event.key == "enter":
            if self._below(q)[1] != "bad" and await self._was_seen(event):
                self._answer(q, q.answer)
        elif event.key in STEPS and q.steer is not None:
            self._try(q, q.steer, STEPS[event.key])
        elif event.key in ("up", "down"):
            self._recall(q, 1 if event.key == "up" else -1)
        elif event.key == "tab":
            self._complete(q)
        else:
            self._edit(q, event)

    def _answer(self, q: Question, answer: str | None) -> None:
        """Pass on the answer, unless something else was asked, or nothing, meanwhile."""
        if self.question is q:
            self.close(answer)

    async def _was_seen(self, event: KeyEvent) -> bool:
        return self._drawn and await self.canvases.was_shown(self._shown, event.time)

    def _try(self, q: Question, call: Callable[..., T], *given: object) -> T | None:
        """Return the call's result; None if it fails, which is shown."""
        try:
            return call(*given)
        except Exception as error:
            q.fault = sentence(error)
            self._fit()
            self.repaint()
            return None

    def _edit(self, q: Question, event: KeyEvent) -> None:
        before, after = q.answer[: q.cursor], q.answer[q.cursor :]
        match event.key:
            case "left" | "right" | "home" | "end":
                far = len(q.answer)
                step = {"left": q.cursor - 1, "right": q.cursor + 1, "home": 0, "end": far}
                q.at = min(max(step[event.key], 0), far)
                self.repaint()
            case "backspace":
                self._type(q, before[:-1], after)
            case "delete":
                self._type(q, before, after[1:])
            case "ctrl+w":
                self._type(q, "".join(before.rstrip().rpartition(" ")[:2]), after)
            case "ctrl+u":
                self._type(q, "", after)
            case _ if event.is_printable and event.character:
                self._type(q, before + event.character, after)

    def paste(self, text: str) -> None:
        q = self.question
        if q is not None and not q.choices:
            pasted = printable(text[:200])
            self._type(q, q.answer[: q.cursor] + pasted, q.answer[q.cursor :])

    def _type(self, q: Question, before: str, after: str = "") -> None:
        q.answer, q.at, q.hint, q.fault = before + after, len(before), "", ""
        with self.canvases.drawing():
            self._fit()
            self.repaint()
            if q.typed is not None:
                self._try(q, q.typed, q.answer)

    def _complete(self, q: Question) -> None:
        if q.complete is None:
            return
        found = self._try(q, q.complete, q.answer[: q.cursor])
        if isinstance(found, tuple):
            self._completed(q, found)
        elif found is not None:
            self.run_worker(self._await(q, found), exclusive=True, group="complete")

    async def _await(self, q: Question, found: Awaitable[Completed]) -> None:
        asked = (q.answer, q.at)
        try:
            completed = await found
        except Exception as error:
            completed = q.answer[: q.cursor], sentence(error)
        if self.question is q and (q.answer, q.at) == asked:  # nothing was typed meanwhile
            self._completed(q, completed)

    def _completed(self, q: Question, found: Completed) -> None:
        text, hint = found
        self._type(q, text, q.answer[q.cursor :])
        q.hint = hint
        self._fit()
        self.repaint()

    def _recall(self, q: Question, step: int) -> None:
        q.back = min(max(q.back + step, 0), len(q.past))
        self._type(q, q.past[-q.back] if q.back else "")


def sentence(error: Exception) -> str:
    """Say why something typed cannot be accepted; also for errors of ours."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(f"not accepted: {words or type(error).__name__}"[:200])


def _typed(q: Question, width: int) -> list[Span]:
    """Return what is typed, with its cursor; of a long text the part around it."""
    room = max(width, 4)
    first = max(q.cursor - room, 0)
    before, after = q.answer[first : q.cursor], q.answer[q.cursor : first + room]
    if not after:
        return [(before, ""), ("_", "accent")]
    return [(before, ""), (after[0], "banner"), (after[1:], "")]
