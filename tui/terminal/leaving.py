"""Leaving within three seconds, whatever a terminal, thread or file does. Knows no Textual.

Python runs signal handlers in the main thread, between two bytecodes: it may be stuck there, or
hold a lock that leaving needs. So the kernel's handler only writes the signal's number to a pipe,
and a thread of its own acts on it: it asks the event loop to leave in order; if that takes too
long, it releases what would outlive the process; and at last it restores the terminal and ends the
process. All that is still attached by then are links, which end with it.

A signal that is ignored at start (`nohup`) stays ignored; not SIGINT, which shells ignore for
what they start in the background, and which scripts end it by. Of several, the first one counts.
"""

from __future__ import annotations

import _thread
import atexit
import fcntl
import os
import select
import signal
import socket
import sys
import termios
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from probes.errors import as_refusal
from tui.terminal import allocator

LIMIT = 2.2
"""Seconds from the request to leave to the end of the process."""
LAST = 2.7
"""Seconds to the end of the process while what would outlive it is being released."""
ORDERLY = 0.9
"""Seconds after which what would outlive the process is released, whatever else is busy."""
TOGETHER = 0.02
"""Seconds in which signals count as one event."""
FAILED = 1
"""The exit status if no other was given."""

_NAMES = "HUP INT QUIT TERM USR1 USR2 ALRM VTALRM PROF POLL PWR STKFLT XCPU ABRT"
SIGNALS = (
    *(getattr(signal, f"SIG{name}") for name in _NAMES.split() if hasattr(signal, f"SIG{name}")),
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
"""Signals that end the process by default, and that a process can handle."""
_WAKE = b"\0"

Leave = Callable[[int], object]
Act = Callable[[], object]


class Watch:
    """The process's watch, while `watching`. status: the one to leave with, once that has begun.

    Its callables are called from its thread, and must not block. leave: leaves in order, with an
    exit status. releases: release what would outlive the process. give_back: restores the terminal.
    stops, continues: called before SIGTSTP stops us and after SIGCONT. wakes: called after any
    signal, so that the main thread runs its own handlers. ordered: leaving in order has begun.
    signalled: a signal was the reason. why: a sentence, if the reason was another.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.leave: list[Leave] = []
        self.releases: list[Act] = []
        self.give_back: list[Act] = []
        self.stops: list[Act] = []
        self.continues: list[Act] = []
        self.wakes: list[Act] = []
        self.ordered = self.signalled = False
        self.why = ""
        self._may_stop = not _ignored(signal.SIGTSTP)
        self._began = 0.0
        self._releasing = self._stopping = False
        self._under_way: list[Act] = []
        self._read, self._write = _pipe()
        self._modes = _Modes()
        self._turn = 0
        self._thread = self._another()
        self._over = False

    # From any thread

    def begin(self, status: int) -> None:
        """Begin to leave, with a limit of time; the first status counts."""
        if self.status is None:
            self._began = time.monotonic()
            self.status = status
            self._wake()

    def stay(self) -> None:
        """Cancel leaving: what had begun is done."""
        self.status, self.ordered = None, False

    def give_up(self, why: str) -> None:
        """Leave in order, as the program cannot go on."""
        if self.status is None:
            self.why = why
            self.begin(FAILED)
            _each(self.leave, FAILED)

    def stop(self) -> None:
        """End the watch, not what it has begun."""
        self._over = True
        self._wake()

    def start(self) -> None:
        self._thread.start()

    def renew(self) -> None:
        """Continue in a thread with the caller's capabilities, after it gave some up."""
        before, self._turn = self._thread, self._turn + 1
        self._wake()
        before.join()
        self._thread = self._another()
        self._thread.start()

    def _another(self) -> threading.Thread:
        return threading.Thread(target=self._run, args=(self._turn,), name="leaving", daemon=True)

    def _wake(self) -> None:
        with suppress(OSError):  # full: it wakes all the same
            os.write(self._write, _WAKE)

    @property
    def wakeup_fd(self) -> int:
        return self._write

    # The thread

    def _run(self, turn: int) -> None:
        # Who is in the background is not stopped by what it writes or sets at the end.
        with suppress(OSError):  # a filter on system calls
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU, signal.SIGTTIN})
        while turn == self._turn and (not self._over or self.status is not None):
            try:
                self._look()
            except MemoryError:  # the end is what counts: it is looked for all the same
                time.sleep(TOGETHER)

    def _look(self) -> None:
        timeout = None if self.status is None else 0.05
        if select.select([self._read], [], [], timeout)[0]:
            self._take(os.read(self._read, 4096))
            _each(self.wakes)
        if self.status is not None:
            self._look_at_the_clock(self.status, time.monotonic() - self._began)

    def _take(self, numbers: bytes) -> None:
        """Act on signals; of those that come together, leaving precedes stopping."""
        if signal.SIGTSTP in numbers:
            time.sleep(TOGETHER)
            if select.select([self._read], [], [], 0)[0]:
                numbers += os.read(self._read, 4096)
        for number in sorted(numbers, key=lambda n: n not in SIGNALS):
            self._came(number)

    def _came(self, number: int) -> None:
        if self.status is not None:
            return
        if number in SIGNALS:
            self.signalled = True
            self.begin(128 + number)
            _each(self.leave, 128 + number)
        elif number == signal.SIGTSTP and self._may_stop:
            self._stopping = True
            if self.stops:
                _each(self.stops)
            else:
                self.stop_now()
        elif number == signal.SIGCONT:
            self._stopping = False
            _each(self.continues)

    def stop_now(self) -> None:
        """Stop, as SIGTSTP requests, unless continued or ended meanwhile."""
        if self._stopping and self.status is None:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _look_at_the_clock(self, status: int, passed: float) -> None:
        if passed > ORDERLY and not self._releasing:
            self._releasing = True
            for release in self.releases:
                with suppress(RuntimeError, MemoryError):  # no thread to be had
                    _thread.start_new_thread(self._release, (release,))
        if passed > (LAST if self._under_way else LIMIT):
            self.abandon(status)

    def _release(self, release: Act) -> None:
        self._under_way.append(release)
        try:
            release()
        except Exception as failed:
            kind = type(failed).__name__
            self.why = self.why or f"cleanup failed ({kind}): the next start removes the rest"
        finally:
            self._under_way.remove(release)

    def abandon(self, status: int) -> NoReturn:
        """End the process now."""
        try:
            _each(self.give_back)
            self._modes.restore()
            if self.why:
                _say(f"ebpftop: {self.why}")
        finally:
            os._exit(status)


def _pipe() -> list[int]:
    """Make a pipe that does not take the descriptors of closed standard streams."""
    low = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in low]
    finally:
        for fd in low:
            os.close(fd)


def _each(calls: Sequence[Callable[..., object]], *given: object) -> None:
    for call in list(calls):
        with suppress(Exception):  # one that fails keeps none of the others from leaving
            call(*given)


class _Modes:
    """The terminal's line discipline as it was at start: ssh turns echo off while it asks."""

    def __init__(self) -> None:
        self._fd, self._before = -1, list[Any]()
        for fd in (0, 1, 2):
            with suppress(OSError, termios.error):
                self._before = termios.tcgetattr(fd)
                self._fd = fd
                return

    def restore(self) -> None:
        if self._fd >= 0:
            with suppress(OSError, termios.error):
                if in_foreground(self._fd) and termios.tcgetattr(self._fd) != self._before:
                    termios.tcsetattr(self._fd, termios.TCSANOW, self._before)


def in_foreground(fd: int) -> bool:
    """Return whether the terminal is ours now; in the background it is the shell's."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not our controlling terminal: no shell of ours is at it
        return True


_watch: Watch | None = None


@contextmanager
def watching() -> Iterator[Watch]:
    """Act on signals meanwhile. Within another `watching`, yield the same watch."""
    global _watch
    if _watch is not None:
        yield _watch
        return
    watch = _watch = Watch()
    taken = [n for n in SIGNALS if n == signal.SIGINT or not _ignored(n)]
    before = {n: signal.getsignal(n) for n in (*taken, signal.SIGTSTP, signal.SIGCONT)}
    wakeup = signal.set_wakeup_fd(watch.wakeup_fd, warn_on_full_buffer=False)
    for number in before:
        signal.signal(number, _in_main if number in taken else _nothing)
    watch.start()
    try:
        yield watch
    finally:
        # What has begun goes on to its end: threads that do not end would hold the interpreter.
        if watch.status is None:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
            signal.set_wakeup_fd(wakeup)
            _watch = None
        watch.stop()


def _in_main(number: int, _: FrameType | None) -> None:
    """End what the main thread does, if nobody can be asked to leave in order."""
    if _watch is None or _watch.ordered:
        return
    _watch.ordered = True
    if not _watch.leave:
        _watch.signalled = True
        _watch.begin(128 + number)
        be_quiet()
        raise SystemExit(128 + number)


def be_quiet() -> None:
    """Silence errors from now on about what is left half made, such as an event loop."""
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore")


def _ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the watch acts on the signal."""


@contextmanager
def calling(calls: list[Any], call: Callable[..., object]) -> Iterator[None]:
    """Add one of a watch's callables meanwhile."""
    calls.append(call)
    try:
        yield
    finally:
        calls.remove(call)


@contextmanager
def leaving_by(leave: Leave) -> Iterator[Watch]:
    """Set how to leave in order meanwhile; call it at once if that has begun already."""
    with watching() as watch, calling(watch.leave, leave):
        if watch.status is not None:
            leave(watch.status)
        yield watch


def begin(status: int) -> None:
    """Begin to leave for another reason than a signal; without a watch, do nothing."""
    if _watch is not None:
        _watch.ordered = True
        _watch.begin(status)
        be_quiet()


def renew() -> None:
    """Give the watch's thread the caller's capabilities, which belong to threads."""
    if _watch is not None:
        _watch.renew()


def give_up(why: str) -> None:
    """Leave in order, as the program cannot go on, and say why. From any thread."""
    if _watch is not None:
        be_quiet()
        _watch.give_up(why)


def signalled() -> bool:
    """Return whether a signal ends the program: errors raised then come from that."""
    return _watch is not None and _watch.signalled


def given_up() -> bool:
    """Return whether errors come from the ending: by a signal, or too little memory."""
    return _watch is not None and (_watch.signalled or bool(_watch.why))


def begun() -> bool:
    return _watch is not None and _watch.status is not None


def run(main: Callable[[], int]) -> NoReturn:
    """Run the program, watched, and end the process with its exit status."""
    allocator.prepare()  # before the threads that watch
    with ExitStack() as stack:
        try:
            _ask_for_what_is_needed()
            watch = stack.enter_context(watching())
        except (OSError, RuntimeError) as refused:  # no thread, no pipe: nothing has begun
            _say(f"ebpftop: {as_refusal(refused, 'starting').why}")
            end(FAILED)
        try:
            status = main()
        except SystemExit as left:  # --help, or a signal
            status = _status(left)
        except MemoryError:  # also where what it raised was to be said
            watch.give_up("there is not enough memory")
            status = FAILED
        except Exception:
            # Python makes another error of a SystemExit in some places, as in __set_name__.
            if not watch.signalled:
                raise
            status = FAILED
        if (watch.signalled or watch.why) and watch.status is not None:
            status = watch.status
        if watch.why:
            _say(f"ebpftop: {watch.why}")
            watch.why = ""
    end(status)


def _ask_for_what_is_needed() -> None:
    """Make the calls that imports and event loops cannot do without. Raises OSError.

    A loop whose socket refuses a byte would wait for ever.
    """
    call = "uname"
    try:
        os.uname()
        call = "socketpair"
        one, other = socket.socketpair()
        call = "sendto"
        with one, other:
            one.send(b"\0")
    except OSError as refused:
        raise OSError(refused.errno, f"{call}: {refused.strerror}") from None


def _say(sentence: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or full
        sys.stderr.write(f"{sentence}\n")


def _status(left: SystemExit) -> int:
    if isinstance(left.code, str):
        print(left.code, file=sys.stderr)
    return left.code if isinstance(left.code, int) else int(left.code is not None)


def end(status: int) -> NoReturn:
    """End the process without waiting for its threads, one of which may be stuck."""
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status)
