"""A child on a pseudo-terminal of its own."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.warm import ROOT, Started, start

ALTERNATE, BACK, CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
PATIENCE = 20.0  # seconds after which a test gives up; nothing is measured here


class Terminal:
    """A child on a pseudo-terminal of its own, and everything it wrote."""

    def __init__(self, child: Started, fd: int) -> None:
        self._child, self.pid, self.fd, self.output = child, child.pid, fd, b""
        self.status: int | None = None

    def read_until(self, wanted: bytes) -> None:
        """Read on until the child has written that. Fails when it has not in time."""
        limit = time.monotonic() + PATIENCE
        while wanted not in self.output:
            assert time.monotonic() < limit, f"{wanted!r} did not come: {self.output[-3000:]!r}"
            self.take()

    def leave(self, *, read: bool = True) -> int:
        """Wait for the child's end; its exit status, or -n for signal n."""
        limit = time.monotonic() + PATIENCE
        while self.status is None:
            assert time.monotonic() < limit, "it did not leave"
            if read:
                self.take()
            else:
                time.sleep(0.05)
            self.status = self._child.status()
        while read and self.take():
            pass  # a terminal gives 4 kB at a time
        assert b"\x1b[-" not in self.output, "it drew above the screen"
        return self.status

    def take(self) -> bool:
        """Read what has come; whether there was anything."""
        if not select.select([self.fd], [], [], 0.05)[0]:
            return False
        try:
            some = os.read(self.fd, 65536)
        except OSError:  # EIO: the child has closed its side
            time.sleep(0.02)
            return False
        self.output += some
        return bool(some)

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def type_all(self, keys: bytes) -> None:
        """More than a terminal holds: reads meanwhile."""
        os.set_blocking(self.fd, False)
        try:
            while keys:
                with suppress(BlockingIOError):
                    keys = keys[os.write(self.fd, keys) :]
                if keys:
                    self.take()
        finally:
            os.set_blocking(self.fd, True)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, name: str) -> None:
        """A signal, unless it has ended already."""
        if self.state() not in ("Z", ""):
            os.kill(self.pid, signal.Signals[f"SIG{name}"])

    def state(self) -> str:
        """As ps has it: R, S, T...; "" where it has gone."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return ""

    def until_state(self, state: str) -> None:
        self.until(lambda: self.state() == state)

    def until(self, holds: Callable[[], bool]) -> None:
        """Read on until it holds. Fails when it does not in time."""
        limit = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < limit, f"it did not come to that; it is {self.state()}"
            self.take()

    def end(self) -> None:
        """Kill it, if it still runs, and wait for it."""
        self.status = self._child.status()
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.status = self._child.status(wait=True)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@contextmanager
def terminal(
    code: str, state: Path, *, nohup: bool = False, size: tuple[int, int] = (80, 24), **env: str
) -> Iterator[Terminal]:
    """Python code on a terminal; killed at the end if it still runs. state: its XDG_STATE_HOME."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *reversed(size), 0, 0))
    env = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state), **env}
    child = Terminal(start(code, (theirs, theirs, theirs), tty=True, nohup=nohup, **env), ours)
    os.close(theirs)
    try:
        yield child
    finally:
        child.close()
        child.end()


def restored(child: Terminal) -> bool:
    """Whether it has given the main screen and the cursor back."""
    return BACK in child.output and CURSOR in child.output[child.output.rindex(BACK) :]
