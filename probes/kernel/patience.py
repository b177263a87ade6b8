"""Calls that may never return (on files and processes of others), with an end to the waiting.

open(2) of a file on somebody's FUSE, or /proc/PID/maps of a process that is stuck with its memory
locked, takes as long as its owner likes, and not even SIGKILL ends a thread that waits so: no
process ends before all of its threads have. Such a call is made by a child, which holds nothing of
ours and is left behind where it takes too long. An idle child ends by itself.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from probes.kernel import capabilities, open_files
from probes.kernel.threads import Task

T = TypeVar("T")
MOST_LEFT = 16
"""Children left behind at most; then nothing more is begun until one ends."""
START = 20.0
"""Seconds for a child to begin, on a busy host."""
IDLE = 5.0
"""Seconds without a call after which a child ends."""
ENDING = 1.0
"""Seconds to wait for children to end."""
_MOST_FDS, _MOST_BYTES = 64, 1 << 28
_HEADER = struct.Struct("=QI")
_READY = b"r"
_ROOT = str(Path(__file__).parents[2])
_CODE = "import sys; sys.path.insert(0, {!r}); from probes.kernel.patience import serve; serve({})"

_lock = threading.Lock()
_left: set[Worker] = set()
_idle: list[Worker] = []
_in_child = False


class TookTooLong(OSError):
    """A call that has not returned in time, or was refused as too many before it have not."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ETIMEDOUT, why)


class OpenFiles(tuple[int, ...]):
    """Open files that a call returns, by their numbers here."""

    __slots__ = ()


def _flags() -> list[str]:
    """Return Python's options for a child, which writes no compiled modules if we write none."""
    return ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]


class Worker:
    """A child that makes calls, one after the other."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, *_flags(), "-c", _CODE.format(_ROOT, theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except BaseException:
            self.control.close()
            raise
        try:
            self.reaping = Task(self._process.wait)  # it may be in no hurry
            self._await_beginning()
        except RuntimeError as none:  # no thread to wait for its end in
            self.end()
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from none
        except BaseException:
            self.end()
            raise

    def _await_beginning(self) -> None:
        self.control.settimeout(START)
        try:
            begun = self.control.recv(1) == _READY
        except TimeoutError:
            begun = False
        if not begun:
            raise OSError(errno.EAGAIN, "the helper process for files did not start")

    def call(
        self, request: bytes, seconds: float, fds: Sequence[int]
    ) -> tuple[Any, BaseException | None]:
        """Make a pickled call. Return its result, and what it raised.

        Raises TimeoutError, EOFError where the child has gone, and any other error on the way: the
        child is of no use any more then, as its next answer may be to this call.
        """
        until = monotonic() + seconds
        try:
            self.control.settimeout(seconds)
            _send(self.control, request, fds)
            data, files = _receive(self.control, until)
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None
        try:
            return _answer(data, files)
        except BaseException:
            open_files.close_each(files)
            raise

    def may_go_on(self) -> bool:
        """Return whether it runs, and may do no more than this process: `keep` gives some up."""
        try:
            return not capabilities.more_than_ours(self._process.pid)
        except OSError:
            return False

    def end(self) -> None:
        """End it, without waiting."""
        try:
            self.control.close()
        finally:
            self._process.kill()


def within(seconds: float, function: Callable[..., T], fds: Sequence[int] = ()) -> T:
    """Make one call in a child; return or raise what the function does. All of it is pickled.

    fds: open files that the function gets, in its own numbers, after its other arguments. Raises
    TookTooLong, or OSError where no child can be had.
    """
    if _in_child:
        return function(*fds)
    request = pickle.dumps(function)
    while True:
        worker, used = _take()
        try:
            given, raised = worker.call(request, seconds, fds)
        except TimeoutError:
            worker.end()
            with _lock:
                _left.add(worker)
            raise TookTooLong(f"no answer within {seconds:g} s") from None
        except EOFError:
            worker.end()
            if used:
                continue  # it had waited for long enough, and went
            raise OSError(errno.EAGAIN, "the helper process for files did not answer") from None
        except BaseException:
            worker.end()
            raise
        _give_back(worker)
        if raised is not None:
            raise raised
        return given  # type: ignore[no-any-return]


def end_idle(seconds: float = ENDING) -> None:
    """End all idle children, and wait at most so many seconds for that."""
    with _lock:
        workers = _idle[:]
        _idle.clear()
    for worker in workers:
        worker.end()
    until = monotonic() + seconds
    for worker in workers:
        worker.reaping.join(until - monotonic())


def _take() -> tuple[Worker, bool]:
    """Return a child, and whether it has been used before. Raises OSError."""
    while True:
        with _lock:
            worker = _idle.pop() if _idle else None
        if worker is None:
            _look_after_the_left()
            return Worker(), False
        if worker.may_go_on():
            return worker, True
        worker.end()


def _give_back(worker: Worker) -> None:
    if worker.may_go_on():
        with _lock:
            _idle.append(worker)
    else:
        worker.end()


def _look_after_the_left() -> None:
    with _lock:
        _left.difference_update([w for w in _left if not w.reaping.alive])
        if len(_left) >= MOST_LEFT:
            raise TookTooLong(f"{MOST_LEFT} earlier requests have had no answer yet")


# -- messages ----------------------------------------------------------------------------------


def _send(to: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    socket.send_fds(to, [_HEADER.pack(len(data), len(fds))], list(fds))
    to.sendall(data)


def _receive(of: socket.socket, until: float | None) -> tuple[bytes, list[int]]:
    """Receive. Raises EOFError, TimeoutError or OSError, with none of the received files open."""
    _wait_until(of, until)
    header, fds = open_files.receive(of, _HEADER.size, _MOST_FDS)
    try:
        if len(header) < _HEADER.size:
            raise EOFError
        size, count = _HEADER.unpack(header)
        if size > _MOST_BYTES or count != len(fds):
            raise EOFError
        return _body(of, size, until), fds
    except BaseException:
        open_files.close_each(fds)
        raise


def _body(of: socket.socket, size: int, until: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        _wait_until(of, until)
        part = of.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _wait_until(of: socket.socket, until: float | None) -> None:
    if until is not None:
        of.settimeout(max(until - monotonic(), 0.001))


def _answer(data: bytes, files: Sequence[int]) -> tuple[Any, BaseException | None]:
    """Decode an answer. Raises EOFError where it is none, or came with other files than it says."""
    try:
        given, raised = pickle.loads(data)
    except MemoryError:
        raise
    except Exception as broken:
        raise EOFError from broken
    if len(files) != (len(given) if isinstance(given, OpenFiles) else 0):
        raise EOFError
    return (OpenFiles(files) if isinstance(given, OpenFiles) else given), raised


# -- the child ---------------------------------------------------------------------------------


def serve(fd: int) -> None:
    """Serve calls until there is none for a while, or the other side has gone."""
    global _in_child
    _in_child = True
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it goes with the other end
    with socket.socket(fileno=fd) as control:
        control.sendall(_READY)
        while True:
            control.settimeout(IDLE)
            try:
                data, fds = _receive(control, None)
            except (EOFError, OSError):
                return
            given: Any = None
            raised: BaseException | None = None
            try:
                given = pickle.loads(data)(*fds)
            except Exception as e:
                raised = e.with_traceback(None)
            finally:
                open_files.close_each(fds)
            control.settimeout(None)
            files = given if isinstance(given, OpenFiles) else ()
            _send(control, _pickled(given, raised), files)
            open_files.close_each(files)


def _pickled(given: object, raised: BaseException | None) -> bytes:
    try:
        data = pickle.dumps((given, raised))
        if raised is not None:
            pickle.loads(data)  # not every error can be made again
    except Exception as e:
        data = pickle.dumps((None, RuntimeError(f"{type(raised or e).__name__}: {raised or e}")))
    return data
