"""How ebpftop leaves: signals, alone and close together, at random moments, on a pseudo-terminal.

    make bench BENCH=leave ARGS="--count 50 --seed 7 --jobs 2"

As root: each job has a network namespace of its own, with a veth pair that XDP and clsact filters
are attached to so that they would outlive the process. Prints how many leavings there were, the
slowest, and each that hung, left something attached, or left the terminal otherwise than it was.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from probes.kernel import bpf

COMMAND = (sys.executable, "-c", "from tui.launcher import main; main()")
ROOT = Path(__file__).parents[1]
LIMIT, PATIENCE = 3.0, 10.0
"""Seconds that leaving may take; after which it hangs."""
LASTING = ("xdp=netlink-native", "tc-ingress=clsact", "tc-egress=clsact")
HOOKS = ("xdp@leave0", "tc-ingress@leave0", "tc-egress@leave0", "drops", "syscalls", "tcp-connect")
PINNED = tuple(w for r in LASTING for w in ("--rung", r))
ASKED = tuple(w for h in HOOKS for w in ("--hook", h))
COMMANDS = {
    "demo": ("demo", "--interval", "0.2"),
    "live": tuple(w for h in HOOKS[:3] for w in ("--attach", h)) + PINNED,
    "once": ("once", "--for", "60", *ASKED, *PINNED),
    "stream": ("stream", "--interval", "0.2", *ASKED, *PINNED),
}
SCREENS = ("demo", "live")
ENDING = ("TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "XCPU")
OTHERS = ("CONT", "TSTP")
UNDER = {
    "": (),
    "timeout": ("timeout", "60"),
    "nohup": ("sh", "-c", 'trap "" HUP; exec "$@"', "sh"),  # nohup(1) would write a file
}
"""What runs it, of the commands without a screen."""
MODES = {"25": True, "7": True}
"""What is on before; everything else is off."""
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Case:
    """command: of COMMANDS. moment: what it is doing. signals: so many seconds apart. under: of
    UNDER."""

    command: str
    moment: str
    after: float
    signals: tuple[str, ...]
    apart: float
    reads: bool
    under: str = ""

    def __str__(self) -> str:
        stalled = "" if self.reads else ", nobody reads the terminal"
        what = "+".join(self.signals)
        doing = f"{self.under} {self.command} {self.moment} {self.after:.2f} s"
        return f"{doing}: {what}, {self.apart:.3f} s{stalled}"


@dataclass(slots=True)
class Result:
    case: Case
    seconds: float = 0.0
    status: int | None = None
    wrong: list[str] = field(default_factory=list)


def cases(count: int, seed: int) -> Iterator[Case]:
    """Each signal, and each pair and three of them, in turn; everything else at random."""
    chance = random.Random(seed)
    for number in range(count):
        command = ("demo", "live", "once", "stream")[number % 4]
        moments = ("attaching", "painting", "prompting", "suspended")
        moment = chance.choice(moments if command in SCREENS else moments[:2])
        signals = [ENDING[(number // 4) % len(ENDING)]]
        more = chance.choice((0, 0, 1, 1, 2))
        signals += [chance.choice(ENDING + OTHERS * 3) for _ in range(more)]
        if chance.random() < 0.3:
            chance.shuffle(signals)
        after = chance.uniform(0.02, 1.5) if moment == "attaching" else chance.uniform(2.0, 4.0)
        apart = chance.choice((0.0, 0.0, 0.002, 0.02, 0.2))
        reads = command not in SCREENS or moment != "painting" or chance.random() < 0.7
        under = "" if command in SCREENS else chance.choice(("", "", *UNDER))
        yield Case(command, moment, after, _for(under, signals), apart, reads, under)


def _for(under: str, signals: Sequence[str]) -> tuple[str, ...]:
    """Those that mean the same there: timeout(1) hands on a few only, nohup takes HUP away."""
    if under == "timeout":
        return tuple(s if s in ("TERM", "INT", "HUP", "QUIT") else "TERM" for s in signals)
    if under == "nohup" and not {*signals} - {"HUP", *OTHERS}:
        return (*signals, "TERM")
    return tuple(signals)


class Child:
    """ebpftop on a pseudo-terminal of its own. reads: whether what it writes is taken."""

    def __init__(self, case: Case) -> None:
        self.output, self.reads = bytearray(), True
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs  # open, so that what is set last can be seen
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *UNDER[case.under], *COMMAND, *COMMANDS[case.command]],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        self.pid = self._process.pid  # setsid(1) becomes it

    def read(self, seconds: float) -> None:
        """Take what comes for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self.reads:
                time.sleep(left)
            elif select.select([self.fd], [], [], min(left, 0.05))[0]:
                self.output += os.read(self.fd, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def send(self, name: str) -> None:
        try:
            os.kill(self.pid, getattr(signal, f"SIG{name}"))
        except ProcessLookupError:
            pass  # it has ended already

    @property
    def worker(self) -> int:
        """What runs within it, if anything does yet."""
        try:
            return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])
        except (OSError, IndexError):
            return self.pid

    def ended(self) -> int | None:
        return self._process.poll()

    def state(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return ""

    def left_on_terminal(self) -> list[str]:
        """What is otherwise than before."""
        self.reads = True
        self.read(0.1)
        state = dict(MODES)
        for names, way in re.findall(rb"\x1b\[\?([0-9;]+)([hl])", self.output):
            state |= dict.fromkeys(names.decode().split(";"), way == b"h")
        wrong = [f"mode {n}" for n, on in state.items() if on != MODES.get(n, False)]
        if termios.tcgetattr(self._theirs) != self.before:
            wrong.append("termios")
        return wrong

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self.fd)
        os.close(self._theirs)


def leave(case: Case) -> Result:
    result, child = Result(case), Child(case)
    try:
        _bring_to(case, child)
        held = _held(child.worker if case.under == "timeout" else child.pid)
        begun = time.monotonic()
        for name in case.signals:
            child.send(name)
            child.read(case.apart)
        _wake(case, child)
        while (status := child.ended()) is None and time.monotonic() - begun < PATIENCE:
            child.read(0.02)
        result.seconds, result.status = time.monotonic() - begun, status
        result.wrong = _wrong(case, child, held, result)
    finally:
        child.close()
        _tidy()
    return result


def _bring_to(case: Case, child: Child) -> None:
    child.read(case.after)
    if case.moment == "prompting":
        child.type(b"/abc")
        child.read(0.3)
    elif case.moment == "suspended":
        child.type(b"\x1a")
        for _ in range(100):
            if child.state() == "T" or child.ended() is not None:
                break
            child.read(0.05)
    elif not case.reads:
        child.reads = False
        time.sleep(2)  # until the pseudo-terminal is full


def _wake(case: Case, child: Child) -> None:
    """Who is stopped cannot leave: a stop that came last, or before the wish to leave."""
    if case.moment == "suspended" or "TSTP" in case.signals:
        child.read(0.05)
        child.send("CONT")


def _wrong(case: Case, child: Child, held: tuple[set[int], set[int]], result: Result) -> list[str]:
    wrong = []
    wanted = {128 + getattr(signal, f"SIG{name}") for name in case.signals if name in ENDING}
    if case.under == "nohup":
        wanted -= {128 + signal.SIGHUP}
    if result.status is None:
        wrong.append("HUNG")
    elif result.seconds > LIMIT:
        wrong.append("slow")
    early = {-getattr(signal, f"SIG{n}") for n in ENDING} if case.moment == "attaching" else set()
    if b"Fatal Python error: init_" in child.output:
        early |= {1}  # Python had not begun to run anything
    if result.status is not None and result.status not in wanted | early:
        wrong.append(f"status {result.status}")
    wrong += child.left_on_terminal()
    before_us = not re.search(rb'File "[^"]*/(ebpftop|tui|probes)/[^"]*\.py"', child.output)
    if (b"Traceback" in child.output and not before_us) or b"internal error" in child.output:
        last = child.output.split()[-20:]
        wrong.append(f"traceback: {b' '.join(last).decode(errors='replace')}")
    if result.status is not None:
        wrong += _attached(held)
    return wrong


def _held(pid: int) -> tuple[set[int], set[int]]:
    """Ids of the programs and links that a process has open, our own programs only."""
    found: tuple[set[int], set[int]] = (set(), set())
    try:
        files = list(Path(f"/proc/{pid}/fdinfo").iterdir())
    except OSError:
        return found
    for file in files:
        try:
            text = file.read_text()
        except OSError:
            continue
        for name, number in re.findall(r"^(prog_id|link_id):\s*(\d+)", text, re.MULTILINE):
            found[name == "link_id"].add(int(number))
    ours = {id for id in found[0] if (bpf.prog_name(id) or "").startswith("ebpftop")}
    return ours, found[1]


def _attached(held: tuple[set[int], set[int]]) -> list[str]:
    """What of it is still there a grace period later, and what sits on our own interface."""
    end = time.monotonic() + 3
    while True:
        left = (held[0] & set(bpf.prog_ids())) | (held[1] & set(bpf.link_ids()))
        there = [
            *([f"programs or links {sorted(left)}"] if left else []),
            *(["XDP"] if "xdp" in _said("ip", "link", "show", "leave0") else []),
            *(["clsact"] if "clsact" in _said("tc", "qdisc", "show", "dev", "leave0") else []),
        ]
        if not there or time.monotonic() > end:
            return there
        time.sleep(0.1)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _tidy() -> None:
    """What one case left is not the next one's."""
    for command in ("ip link set leave0 xdp off", "tc qdisc del dev leave0 clsact"):
        subprocess.run(command.split(), capture_output=True, check=False)


def _namespace() -> None:
    """This thread, and what it starts, from now on in one of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    for command in (
        "ip link set lo up",
        "ip link add leave0 type veth peer name leave1",
        "ip link set leave0 up",
        "ip link set leave1 up",
    ):
        subprocess.run(command.split(), check=True)


class Job(threading.Thread):
    """Takes cases until there are no more."""

    def __init__(self, waiting: Iterator[Case], lock: threading.Lock, done: list[Result]) -> None:
        super().__init__()
        self._waiting, self._lock, self._done = waiting, lock, done

    def run(self) -> None:
        _namespace()
        while True:
            with self._lock:
                case = next(self._waiting, None)
            if case is None:
                return
            result = leave(case)
            self._done.append(result)
            if result.wrong:
                print(f"{result.case}: {', '.join(result.wrong)} ({result.seconds:.2f} s)")
                sys.stdout.flush()


def report(done: Sequence[Result]) -> str:
    wrong = Counter(what.split(" [")[0] for result in done for what in result.wrong)
    slowest = max(done, key=lambda result: result.seconds)
    times = sorted(result.seconds for result in done)
    attached = sum(n for what, n in wrong.items() if what in ("XDP", "clsact", "programs or links"))
    terminal = sum(n for what, n in wrong.items() if what.startswith(("mode", "termios")))
    other = sum(wrong.values()) - attached - terminal - wrong["HUNG"] - wrong["slow"]
    return "\n".join(
        (
            f"leavings          {len(done)}",
            f"median            {times[len(times) // 2]:.2f} s",
            f"slowest           {slowest.seconds:.2f} s ({slowest.case})",
            f"hung              {wrong['HUNG']}",
            f"over {LIMIT:g} s          {wrong['slow']}",
            f"left attached     {attached}",
            f"terminal not as before  {terminal}",
            f"other             {other}",
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    for name in (*ENDING, *OTHERS):  # a shell ignores some for what it starts in the background
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_DFL)
    done: list[Result] = []
    waiting, lock = cases(arguments.count, arguments.seed), threading.Lock()
    jobs = [Job(waiting, lock, done) for _ in range(arguments.jobs)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    print(report(done))
    return int(any(result.wrong for result in done))


if __name__ == "__main__":
    raise SystemExit(main())
