"""Specific to Textual 8: the driver, and the smallest output for an update.

It fixes four faults. Textual writes a changed cell's whole line from its widget's left edge; it
blocks its event loop on a slow terminal and for ever on a stuck one; when the terminal is gone it
spins; and it suspends and resumes within a signal handler, which may have interrupted a holder of
the locks that this needs.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import termios
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Paste
from textual.strip import Strip

from tui.terminal import leaving
from tui.terminal.background import ASK, BackgroundAnswer, answers
from tui.terminal.typed import Flood, Pasted

ESCAPE_MS = 50
"""Milliseconds between two checks whether an Escape was the key alone."""
MAX_WAITING_KEYS, ROOM_PAUSE = 64, 0.01
"""Keys that may wait to be answered, and seconds between two checks for room for more."""
STUCK_SECONDS = 0.6
"""Seconds to wait for a stuck terminal while leaving."""
GIVE_BACK = (
    "\x1b\\"  # the end of whatever was cut in the middle
    "\x1b[?2026l"  # show what comes at once
    "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # the mouse
    "\x1b[?2004l\x1b[?2048l\x1b[?1004l"  # pastes, sizes, focus
    "\x1b[?7h\x1b[<u\x1b[0m\x1b[?1049l\x1b[?25h"  # lines, keys, colours, main screen, cursor
)
"""Undoes everything that was switched on, if that is not done in order."""


WHERE = "\x1b[6n"
"""Asks for the cursor's position: the answer comes after what was typed before the drawing."""


class Mark(str):
    """Text that reports when it is written.

    `written` is called from the writer's thread with the time when the terminal was given all
    before it (seconds, monotonic).
    """

    __slots__ = ("written",)
    written: Callable[[float], None]

    @classmethod
    def of(cls, text: str, written: Callable[[float], None]) -> Mark:
        mark = cls(text)
        mark.written = written
        return mark


class Output:
    """The terminal as a file that can neither fail nor delay leaving.

    gone: called once, from the writer's thread, when the terminal is gone.
    """

    def __init__(self, fd: int, gone: Callable[[], None]) -> None:
        self._fd = fd
        self._own = _reopen(fd)
        self._gone = gone
        self.lost = False
        self.leaving = threading.Event()
        self.pending = 0
        self._given = 0.0

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str) -> None:
        if isinstance(text, Mark):
            text.written(self._given)
        data = memoryview(text.encode("utf-8", "replace"))
        self.pending = len(data)
        stuck_since = time.monotonic()
        while data and not self.lost:
            self._given = time.monotonic()
            try:
                sent = os.write(self._own if self._own >= 0 else self._fd, data[:4096])
                data, stuck_since = data[sent:], time.monotonic()
            except BlockingIOError:
                if self.leaving.is_set() and time.monotonic() - stuck_since > STUCK_SECONDS:
                    self.lost = True
                else:
                    select.select([], [self._own], [], 0.1)
            except OSError:  # EIO: the terminal is gone; nobody is there to be told
                self.lost = True
                self._gone()
        self.pending = 0

    def flush(self) -> None:
        """Do nothing: everything has been written already."""

    def close(self) -> None:
        if self._own >= 0:
            os.close(self._own)
            self._own = -1

    def reopen(self) -> None:
        """Accept writes again after `close`."""
        self.leaving.clear()
        self.lost = False
        if self._own < 0:
            self._own = _reopen(self._fd)

    def force(self, text: str) -> None:
        """Write even to a stuck terminal: what it has not taken is thrown away."""
        fd, data = _reopen(self._fd), text.encode()
        blocking = fd < 0
        try:
            if blocking:
                fd = self._fd
                os.set_blocking(fd, False)
            if _sent(fd, data) < len(data):
                termios.tcflush(fd, termios.TCOFLUSH)
                _sent(fd, data)
        finally:
            if blocking:
                os.set_blocking(fd, True)
            else:
                os.close(fd)


def _sent(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0


def _screen() -> int:
    """Return where to draw: standard output, or standard error if only that is a terminal."""
    return 2 if os.isatty(2) and not os.isatty(1) else 1


def _reopen(fd: int) -> int:
    """Reopen the terminal, so that non-blocking mode is ours alone.

    Return -1 if that fails: then writes block, as they do in other programs.
    """
    try:
        return os.open(os.ttyname(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return -1


class _Exit(threading.Event):
    """An event that also ends a poll on `fd`."""

    def __init__(self) -> None:
        super().__init__()
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def set(self) -> None:
        super().set()
        os.eventfd_write(self.fd, 1)

    def clear(self) -> None:
        super().clear()
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass  # it was not set


class Driver(LinuxDriver):
    """Textual's driver on an `Output`, which also notices when the terminal hangs up."""

    exit_event: _Exit

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.output = Output(_screen(), self._gone)
        self._file = self.output  # type: ignore[assignment]  # as much of a file as is used
        self.exit_event = _Exit()
        self._up = False
        self._pasted, self._flood = Pasted(), Flood()
        self._background = BackgroundAnswer(self._told_background)

    def _get_terminal_size(self) -> tuple[int, int]:
        """Return the size that the terminal reports.

        Textual believes COLUMNS and LINES, which do not change when it is resized.
        """
        try:
            width, height = os.get_terminal_size(self.output.fileno())
        except OSError:
            return super()._get_terminal_size()
        return width or 80, height or 24

    @property
    def busy(self) -> bool:
        """Whether the terminal has yet to take what it was given."""
        writer = self._writer_thread
        return writer is not None and (self.output.pending > 0 or writer._queue.qsize() > 2)

    # Signals are acted on in the event loop (app_base.until_left), never in their handlers.

    def _sigtstp_application(self, *_: object) -> None:
        pass

    def _sigcont_application(self, *_: object) -> None:
        pass

    def suspend_application_mode(self) -> None:
        self.output.leaving.set()  # a stuck terminal does not keep us from being stopped
        super().suspend_application_mode()
        self._must_signal_resume = True

    def start_application_mode(self) -> None:
        if self._up:  # stopped and continued by somebody else: the shell has changed the terminal
            self.suspend_application_mode()
        while not leaving.in_foreground(self.fileno):
            time.sleep(2 * leaving.TOGETHER)  # what continued us may also want us to end
            if leaving.begun():
                raise SystemExit(leaving.FAILED)  # nothing has been switched on
            os.kill(os.getpid(), signal.SIGSTOP)
        self.output.reopen()
        self._up = True
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if os.isatty(self.fileno):
            self.write(WHERE)  # whether it answers
            if self._app.on_background is not None and answers():  # type: ignore[attr-defined]
                self._background.asked()
                self.write(ASK)

    def stop_application_mode(self) -> None:
        if not self._up:
            return
        with _unstopped():
            if not leaving.in_foreground(self.fileno):
                self.attrs_before = None  # the shell has set its own
            if self._mouse_pixels:
                self.write("\x1b[?1016l")
            super().stop_application_mode()

    def give_back(self) -> None:
        """Restore the terminal at once, from any thread. Raises OSError, termios.error."""
        if not self._up:
            return
        self._up = False
        self.output.force(GIVE_BACK)
        if self.attrs_before is not None and leaving.in_foreground(self.fileno):
            with _unstopped():
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)

    def want_mouse(self, wanted: bool) -> None:
        """Turn mouse reports on or off."""
        if wanted:
            self._mouse = True
            self._enable_mouse_support()
        else:
            self._disable_mouse_support()
            self._mouse = False

    def run_input_thread(self) -> None:
        """Sleep until something is typed or the terminal hangs up.

        Textual's own thread wakes ten times a second, and spins when the terminal is gone.
        """
        parser = XTermParser(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        poll = select.poll()
        poll.register(self.fileno, select.POLLIN)
        poll.register(self.exit_event.fd, select.POLLIN)
        while not self.exit_event.is_set():
            unfinished = parser._timeout_time is not None  # an Escape: the key, or a sequence?
            state = dict(poll.poll(ESCAPE_MS if unfinished else None)).get(self.fileno, 0)
            if state & ~select.POLLIN:
                self._gone()
                return
            typed = self._read() if state else b""
            if state and not typed:
                self._gone()
                return
            text = self._background.take(decode(typed))
            pasted = self._pasted.take(text, unfinished=unfinished)
            if pasted is not None:
                if pasted:
                    self.process_message(Paste(pasted))
                continue
            if not self._pasted.bracketed:
                text = self._flood.kept(text)
            messages = (*(parser.feed(text) if text else ()), *parser.tick())
            for number, message in enumerate(messages, 1):
                self.process_message(message)
                if number % MAX_WAITING_KEYS == 0:
                    self._wait_for_the_app()

    def _told_background(self, light: bool) -> None:
        loop, told = self._app._loop, self._app.on_background  # type: ignore[attr-defined]
        if told is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(told, light)

    def _wait_for_the_app(self) -> None:
        """Leave in the terminal what is typed faster than it is answered.

        Otherwise a user who quits would have to wait for all of it.
        """
        while not self.exit_event.wait(ROOM_PAUSE):
            if self._app._message_queue.qsize() < MAX_WAITING_KEYS:
                return

    def _read(self) -> bytes:
        """Return what was typed; nothing at the end of input."""
        try:
            return os.read(self.fileno, 4096)
        except OSError:  # EIO: the terminal is not ours any more
            return b""

    def _gone(self) -> None:
        leaving.begin(128 + signal.SIGHUP)
        self.output.leaving.set()
        self.exit_event.set()
        loop = self._app._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self._app.terminal_gone)  # type: ignore[attr-defined]
            except RuntimeError:
                pass  # the loop closed meanwhile: we are out already

    def close(self) -> None:
        super().close()
        if self.output.lost:
            with suppress(OSError, termios.error):  # it is gone
                self.give_back()
        self._up = False
        self.output.close()


@contextmanager
def _unstopped() -> Iterator[None]:
    """Keep the process from being stopped when it sets the terminal in the background."""
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    except OSError:  # a filter on system calls
        yield
        return
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def smallest(update: ChopsUpdate, console: Console, without: Container[int] = ()) -> str:
    """Return the escape sequences of a partial update: only changed cells and styles.

    Textual's own starts each line at the widget's left edge and resets after each piece. without:
    rows to leave out.
    """
    out = Brush(console)
    for y, x1, x2 in update.spans:
        if y in without:
            continue
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x < x2 and end > x1:
                at = max(x, x1)
                for segment in _cut(strip, x, x1, min(end, x2)):
                    if segment.text and not segment.control:
                        out.put(at, y, segment.text, segment.style)
                        at += segment.cell_length
    return out.text()


def whole(update: LayoutUpdate, console: Console, without: Container[int] = ()) -> str:
    """Return the escape sequences of a whole region. without: rows to leave out."""
    out = Brush(console)
    for y, strips in enumerate(update.strips, update.region.y):
        if y in without:
            continue
        x = update.region.x
        for strip in strips:
            for segment in strip:
                if segment.text and not segment.control:
                    out.put(x, y, segment.text, segment.style)
                    x += segment.cell_length
    return out.text()


def _cut(segments: Iterable[Segment], x: int, first: int, end: int) -> Iterator[Segment]:
    """Yield the part from `first` to before `end` of segments that begin at x."""
    for segment in segments:
        after = x + segment.cell_length
        if after > first and x < end:
            if x >= first and after <= end:
                yield segment
            elif after - x == len(segment.text):
                text = segment.text[max(first - x, 0) : end - x]
                yield Segment(text, segment.style)
            else:  # wide characters: one that is cut in two becomes spaces
                yield from Strip([segment]).crop(max(first - x, 0), min(end, after) - x)
        x = after


_NOWHERE = (-1, -1)
_UNSURE = re.compile("[^\x20-\x7e\u2500-\u259f\u2800-\u28ff\u25b2\u25bc\u25b8\u25c2]+")
"""Matches characters on whose width terminals and tables may differ, but none we draw with."""


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield pieces of a text, and whether every terminal agrees on the width of each."""
    end = 0
    for match in _UNSURE.finditer(text):
        begin = match.start()
        if begin > end and not cell_len(text[begin]):  # it changes the character before it
            begin -= 1
        if begin > end:
            yield text[end:begin], True
        end = match.end()
        yield text[begin:end], False
    if end < len(text):
        yield text[end:], True


@lru_cache(1024)
def _codes(style: Style, system: ColorSystem) -> str:
    """Return a style's codes; Rich keeps those of the first system that it was drawn in."""
    style = style.copy()
    style._ansi = None
    return style._make_ansi_codes(system)


class Brush:
    """Changed cells as escape sequences; knows the cursor's position and the current style.

    What comes after characters of uncertain width is placed absolutely, and their own cells are
    blanked first: a name that somebody else chose changes nothing beside it.
    """

    def __init__(self, console: Console) -> None:
        self._system = console._color_system
        self._parts: list[str] = []
        self._at = _NOWHERE
        self._style: Style | None = None

    def put(self, x: int, y: int, text: str, style: Style | None) -> None:
        """Draw a text, from that cell of the screen on."""
        if text.isascii() or not _UNSURE.search(text):
            self._put(x, y, text, style, len(text))
            return
        for part, sure in _parts(text):
            width = cell_len(part)
            if sure:
                self._put(x, y, part, style, width)
            else:
                self._put(x, y, " " * width, style, width)
                self._at = _NOWHERE
                self._put(x, y, part, style, width)
                self._at = _NOWHERE  # the terminal may think otherwise
            x += width

    def _put(self, x: int, y: int, text: str, style: Style | None, width: int) -> None:
        if self._at != (x, y):
            near = self._at[1] == y and x > self._at[0] >= 0
            self._parts.append(f"\x1b[{x - self._at[0]}C" if near else f"\x1b[{y + 1};{x + 1}H")
        if style is not self._style and style != self._style:
            self._parts.append(self._switch(style))
            self._style = style
        self._parts.append(text)
        self._at = (x + width, y)

    def _switch(self, style: Style | None) -> str:
        codes = _codes(style, self._system) if style and self._system else ""
        return f"\x1b[0;{codes}m" if codes else "\x1b[0m"

    def text(self) -> str:
        """Return what to write; "" if there is nothing."""
        return "".join(self._parts) + "\x1b[0m" if self._parts else ""
