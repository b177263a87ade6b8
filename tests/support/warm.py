"""Processes that begin with all imported: most of what a short command takes is its imports.

One process for each of pytest's has imported the program, has one thread and runs no test. It forks
a keeper for each start, and that the child, which is a session of its own and ends as any Python
does; the keeper tells its status. `python -m tests.support.warm FD` is that process.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import termios
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NETNS = Path("/proc/thread-self/ns/net")
MOST = 1 << 20
"""Bytes of a request."""


class Started:
    """A child, by its pid; `status` is None while it runs, else its exit status or -n."""

    def __init__(self, pid: int, told: int) -> None:
        self.pid, self._told = pid, told
        self._status: int | None = None

    def status(self, *, wait: bool = False) -> int | None:
        if self._status is None:
            os.set_blocking(self._told, wait)
            try:
                status = os.read(self._told, 16)
            except BlockingIOError:
                return None
            os.close(self._told)
            assert status, "its keeper has ended"
            self._status = int(status)
        return self._status


def start(
    code: str, fds: tuple[int, int, int], *, tty: bool = False, nohup: bool = False, **env: str
) -> Started:
    """Run Python code on these standard streams. tty: the first is its terminal."""
    ours, theirs = os.pipe()
    asked = {"code": code, "env": {**os.environ, **env}, "tty": tty, "nohup": nohup}
    server = _server()
    with NETNS.open() as namespace:
        socket.send_fds(server, [json.dumps(asked).encode()], [*fds, theirs, namespace.fileno()])
    os.close(theirs)
    return Started(int(server.recv(16)), ours)


def ebpftop(*arguments: str, output: int = -1) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end. output: where it writes, instead of what is returned."""
    argv = ["ebpftop", *arguments]
    code = f"import sys; sys.argv = {argv!r}\nfrom tui import cli\ncli.leaving.run(cli.main)"
    return run(code, output)


def run(code: str, output: int = -1) -> subprocess.CompletedProcess[str]:
    """Runs Python code to its end, with nothing to read."""
    with (
        Path(os.devnull).open() as nothing,
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as wrong,
    ):
        out = said.fileno() if output < 0 else output
        child = start(code, (nothing.fileno(), out, wrong.fileno()))
        status = child.status(wait=True)
        for file in (said, wrong):
            file.seek(0)
        return subprocess.CompletedProcess(code, status or 0, said.read(), wrong.read())


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST)
    command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())]
    child = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(child.wait)
    atexit.register(ours.close)  # which ends it
    return ours


# The other side


def _serve(server: socket.socket) -> str:
    """Fork for each request; in a child, returns the code that it is to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers end when they like
    while True:
        octets, fds, _, _ = socket.recv_fds(server, MOST, 5)
        if not octets:
            os._exit(0)
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked = json.loads(octets)
            *streams, told, namespace = fds
            child = os.fork()
            if child:
                _keep(server, child, told)
            server.close()
            os.close(told)
            _enter(namespace)
            _become(asked, streams)
            code: str = asked["code"]
            return code
        for fd in fds:
            os.close(fd)


def _keep(server: socket.socket, child: int, told: int) -> None:
    server.send(str(child).encode())
    server.close()
    for fd in range(3):
        os.close(fd)
    _, status = os.waitpid(child, 0)
    os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _enter(namespace: int) -> None:
    """That network namespace, where it is another: a test may have one of its own."""
    same = os.fstat(namespace).st_ino == NETNS.stat().st_ino
    if not same and ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(namespace)


def _become(asked: dict[str, Any], streams: list[int]) -> None:
    os.setsid()
    for place, fd in enumerate(streams):
        os.dup2(fd, place)
        os.close(fd)
    if asked["tty"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if asked["nohup"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(  # type: ignore[misc]
        2, "w", 1, errors="backslashreplace", closefd=False
    )


if __name__ == "__main__":
    import tui.commands._doctor
    import tui.screen.app  # noqa: F401
    from probes.hooks import catalogue
    from tui.commands import _parsing

    catalogue()
    _parsing.parsers()
    gc.collect()
    gc.freeze()
    code = _serve(socket.socket(fileno=int(sys.argv[1])))
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
