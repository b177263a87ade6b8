"""Leaving takes three seconds at most, whatever a thread, the event loop or the terminal does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.terminals import ROOT, Terminal, restored, terminal

ENDING = ("TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "XCPU", "VTALRM", "PROF")
SOON = 10.0
"""Seconds: a generous bound; what is measured is measured by `make bench BENCH=leave`."""

SCREEN = """
import os, threading, time
from probes.sources.demo.source import Demo
from tui.screen.app import run
from tui.terminal import leaving
class Stuck(Demo):
    {stuck}
leaving.run(lambda: run(Stuck(begin=40, interval=0.2)))
"""
SOONER = "leaving.ORDERLY, leaving.LIMIT, leaving.LAST = 0.3, 0.7, 0.9\n"
"""Before what is stuck is run: the times as they are, one of each kind has."""
NOTHING = "pass"
CLOSING = """async def close(self):
        import asyncio
        await asyncio.to_thread(time.sleep, 100)"""
THREAD = """async def start(self):
        threading.Thread(target=time.sleep, args=(100,)).start()
        await super().start()"""
LOOP = """def statuses(self):
        if os.path.exists(os.environ["XDG_STATE_HOME"] + "/stuck"):
            os.rename(os.environ["XDG_STATE_HOME"] + "/stuck", os.environ["XDG_STATE_HOME"] + "/is")
            time.sleep(100)
        return super().statuses()"""

BATCH = """
import asyncio, threading, time
from tui.commands._run import batch
from tui.terminal import leaving
class Live:
    notices = ended_rules = ()
    async def attach_all(self):
        print("begun", flush=True)
    def rules(self):
        return ()
    def release(self):
        {release}
    async def close(self):
        {close}
        print("closed", flush=True)
async def watch(live):
    {watch}
    return 0
leaving.run(lambda: batch(Live(), watch))
"""
HANGS = "await asyncio.to_thread(time.sleep, 100)"
WAITS = "await asyncio.sleep(100)"


def number(name: str) -> signal.Signals:
    return signal.Signals[f"SIG{name}"]


def send(child: Terminal, signals: Sequence[str]) -> None:
    for name in signals:
        os.kill(child.pid, number(name))


@pytest.mark.parametrize("name", ENDING)
def test_every_signal_that_ends_a_process_restores_the_terminal(name: str, tmp_path: Path) -> None:
    """Main screen, cursor and line mode are back, and the status is 128 + n."""
    with terminal(SCREEN.format(stuck=NOTHING), tmp_path) as child:
        before = termios.tcgetattr(child.fd)
        child.read_until(b"SOCKET_RCVBUFF")
        assert termios.tcgetattr(child.fd) != before
        send(child, [name])
        assert child.leave() == 128 + number(name)
        assert restored(child)
        assert termios.tcgetattr(child.fd) == before


@pytest.mark.parametrize(
    "signals",
    [
        ("TERM", "CONT", "CONT"),
        ("CONT", "TERM"),
        ("TERM", "TSTP"),
        ("TERM", "HUP", "INT"),
        ("TERM", "TERM", "CONT"),
        ("CONT", "CONT", "QUIT"),
    ],
    ids="-".join,
)
def test_signals_close_together_end_it_once(signals: Sequence[str], tmp_path: Path) -> None:
    """As timeout and systemd send them: the status is that of one of them."""
    with terminal(SCREEN.format(stuck=NOTHING), tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        send(child, signals)
        ending = [128 + number(name) for name in signals if name in ENDING]
        assert child.leave() in ending
        assert restored(child)


@pytest.mark.parametrize(
    ("stuck", "key"),
    [(CLOSING, b""), (CLOSING, b"q"), (THREAD, b""), (THREAD, b"q"), (LOOP, b"")],
    ids=["closing", "closing-q", "thread", "thread-q", "loop"],
)
def test_what_is_stuck_does_not_hold_it(stuck: str, key: bytes, tmp_path: Path) -> None:
    """A source that does not close, a thread that does not end, an event loop that stands still."""
    code = SCREEN if stuck is LOOP else SCREEN.replace("leaving.run", SOONER + "leaving.run")
    with terminal(code.format(stuck=stuck), tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        if stuck is LOOP:
            (tmp_path / "stuck").touch()
            child.until(lambda: (tmp_path / "is").exists())
        begun = time.monotonic()
        if key:
            os.write(child.fd, key)
        else:
            send(child, ["TERM", "CONT"])
        assert child.leave() == (0 if key else 143)
        assert time.monotonic() - begun < SOON
        assert restored(child)


NAMED = """
import os, signal
from tui.cli import main
from tui.terminal import leaving
class Named:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
def work():
    class Owner:
        name = Named()
    return 0
def other():
    try:
        work()
    except RuntimeError:
        return 0
class Half:
    def __del__(self):
        raise AttributeError
def half():
    made = Half()
    return work()
"""


@pytest.mark.parametrize(
    "ends",
    [
        "leaving.run(work)",
        "import tui.cli; tui.cli._run = lambda _: work(); leaving.run(main)",
        "leaving.run(other)",
        "leaving.run(half)",
    ],
    ids=["another-error", "a-command", "swallowed", "half-made"],
)
def test_a_signal_is_the_status_whatever_python_makes_of_it(ends: str) -> None:
    """While modules are imported, what the handler raises becomes another error, or is lost."""
    done = subprocess.run(
        [sys.executable, "-c", NAMED + ends],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert (done.returncode, done.stderr) == (143, "")


def test_what_was_not_begun_when_it_left_is_no_warning_on_the_terminal() -> None:
    """A key right before `q`: what it started is given up, and nobody is told of a coroutine."""
    code = "import asyncio\ndef work():\n    leaving.begin(0)\n    asyncio.sleep(1)\n    return 0\n"
    done = subprocess.run(
        [sys.executable, "-c", f"from tui.terminal import leaving\n{code}leaving.run(work)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("signals", [("TERM", "CONT"), ("INT",), ("HUP", "CONT")], ids="-".join)
def test_suspended_it_ends_without_touching_the_terminal(
    signals: Sequence[str], tmp_path: Path
) -> None:
    """^Z, then `kill %1`, which also continues it: the shell's own settings stay."""
    with terminal(SCREEN.format(stuck=NOTHING), tmp_path) as child:
        before = termios.tcgetattr(child.fd)
        child.read_until(b"SOCKET_RCVBUFF")
        os.write(child.fd, b"\x1a")
        child.until_state("T")
        child.output = b""
        send(child, signals)
        if "CONT" not in signals:
            send(child, ["CONT"])
        assert child.leave() == 128 + number(signals[0])
        assert b"\x1b[?1049h" not in child.output
        assert termios.tcgetattr(child.fd) == before


def test_suspended_and_continued_at_once_it_goes_on(tmp_path: Path) -> None:
    """A CONT that follows while the terminal is being given back is not lost."""
    with terminal(SCREEN.format(stuck=NOTHING), tmp_path) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        for _ in range(5):
            send(child, ["TSTP", "CONT"])
            time.sleep(0.1)
        child.output = b""
        os.write(child.fd, b"4")
        child.read_until(b"[4 Conns")
        os.write(child.fd, b"q")
        assert child.leave() == 0
        assert restored(child)


def run(
    close: str,
    watch: str,
    release: str = 'print("released", flush=True)',
    batch: str = BATCH.replace("leaving.run", SOONER + "leaving.run"),
) -> subprocess.Popen[str]:
    """A command without a screen, of which everything but its source is real."""
    child = subprocess.Popen(
        [sys.executable, "-c", batch.format(close=close, watch=watch, release=release)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    return child


def said(child: subprocess.Popen[str]) -> str:
    try:
        return child.communicate(timeout=SOON)[0]
    finally:
        child.kill()


@pytest.mark.parametrize("name", ENDING)
def test_commands_without_a_screen_close_their_source(name: str) -> None:
    """Any signal: in order, with the status 128 + n."""
    child = run("pass", WAITS)
    child.send_signal(number(name))
    assert said(child) == "closed\n"
    assert child.returncode == 128 + number(name)


@pytest.mark.parametrize(
    ("close", "watch"),
    [(HANGS, WAITS), ("pass", HANGS), ("time.sleep(100)", WAITS), ("pass", "time.sleep(100)")],
    ids=["closing", "thread", "closing-loop", "loop"],
)
def test_commands_that_are_stuck_let_go_of_what_would_outlive_them(close: str, watch: str) -> None:
    """Where nothing goes on in order: released, ended, and the status of the signal."""
    child = run(close, watch, batch=BATCH)
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGCONT)
    words = said(child)
    assert child.returncode == 143
    assert "released" in words or "closed" in words


def test_what_cannot_be_let_go_of_is_said() -> None:
    child = run(HANGS, WAITS, "{}['nothing']")
    child.send_signal(signal.SIGTERM)
    assert "cleanup failed (KeyError): the next start removes the rest" in said(child)
    assert child.returncode == 143


def test_a_source_that_does_not_close_does_not_hold_what_was_done() -> None:
    """`once` has printed its numbers: its exit status is that of having done so."""
    child = run(HANGS, "pass")
    assert "released" in said(child)
    assert child.returncode == 0


@pytest.mark.parametrize("name", ["HUP", "USR1", "QUIT"])
def test_a_signal_that_is_ignored_at_start_stays_ignored(name: str) -> None:
    """nohup: it goes on; another signal ends it all the same."""
    before = signal.signal(number(name), signal.SIG_IGN)
    try:
        child = run("pass", WAITS)
    finally:
        signal.signal(number(name), before)
    child.send_signal(number(name))
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    assert said(child) == "closed\n"
    assert child.returncode == 143


def test_a_command_can_be_stopped_and_goes_on() -> None:
    """^Z in a shell, although its signal is looked at first."""
    child = run("pass", WAITS)
    child.send_signal(signal.SIGTSTP)
    stat = Path(f"/proc/{child.pid}/stat")
    for _ in range(100):
        if stat.read_text().rpartition(")")[2].split()[0] == "T":
            break
        time.sleep(0.05)
    else:
        pytest.fail("it was not stopped")
    child.send_signal(signal.SIGCONT)
    child.send_signal(signal.SIGTERM)
    assert said(child) == "closed\n"
    assert child.returncode == 143


SHORT = """
import asyncio, sys, threading, time
from probes.sources.live.source import Live
from tui import cli
from tui.commands import _run, once
from tui.terminal import leaving
def none(*_):
    raise MemoryError
async def watch(live):
    {lost}
    await asyncio.Event().wait()  # of what was lost
async def nothing(self): pass
Live.attach_all = Live.close = nothing
once.run = lambda arguments: _run.batch(Live(), watch)
sys.argv[1:] = ["once"]
leaving.run(cli.main)
"""


@pytest.mark.parametrize(
    "lost",
    [
        "asyncio.get_running_loop().call_soon(none)",
        "threading.Thread(target=none).start()",
        "import _thread; _thread.start_new_thread(none, ())",
        "none()",
    ],
    ids=["loop", "thread", "bare-thread", "command"],
)
def test_what_is_lost_for_want_of_memory_is_not_waited_for(lost: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT.format(lost=lost)],
        cwd=ROOT, capture_output=True, text=True, timeout=SOON, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ebpftop: there is not enough memory to continue\n"
