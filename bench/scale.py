"""What many rows cost: the screen at 160x50 on a host with many of one thing.

    python -m bench.scale [CASE...] [--seconds N] [--memory MB] [--key KEY]

As root. Each case has network and mount namespaces of its own and loads that end with it:
`connections-1000`, `-10000`, `-100000` (established sockets, of which a third sends in each
second), `drops` (to 60,000 ports), `interfaces` (1,000), `programs` (1,000 BPF programs),
`processes` (20,000 that sleep), `containers` (200: a cgroup, a namespace and a pair each; `-shown`:
their interfaces are) and `nothing`, to compare with. Prints CPU of the program and its children,
the same in us per thing and tick, RSS, how long after a key, and after that of another pane and
back, the screen answers (median and worst of 15, pressed at random moments), and after how long it
was painted first. Without a case: all. Asserts nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.processes import Tree
from bench.terminal import EBPFTOP, Terminal
from probes.kernel import bpf, cgroups
from probes.point import ProgType

READY = b"."
WARM_UP, KEYS, PATIENCE = 12.0, 15, 5.0
"""Seconds before anything is measured; keys; seconds that a key's answer is waited for."""
EACH = 1250
"""Pairs of sockets in one process."""
PORTS = 60_000
_ROUND = 3000
"""Packets to closed ports between two pauses."""

Load = Callable[[int], None]
"""Makes its part of the things, says that it is ready (`_ready`), and goes on until it is ended."""


def _connections(pairs: int) -> list[Load]:
    parts = [min(EACH, pairs - begun) for begun in range(0, pairs, EACH)]
    return [lambda place, many=many: _hold(place, many) for many in parts]  # type: ignore[misc]


def _hold(place: int, pairs: int) -> None:
    """So many connections with both ends here, of which a third says something each second."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.create_server((f"127.0.{place // 250}.{place % 250 + 1}", 7000), backlog=4096)
    held = []
    for _ in range(pairs):
        ours = socket.create_connection(listener.getsockname())
        held.append((ours, listener.accept()[0]))
    _ready()
    while True:
        for ours, theirs in held[::3]:
            ours.send(b"x")
            theirs.recv(16)
        time.sleep(1)


def _drop(_place: int) -> None:
    """Packets to closed ports, each of which is a row."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        _ready()
        while True:
            for first in range(1, PORTS, _ROUND):
                for port in range(first, first + _ROUND):
                    udp.sendto(b"x", ("127.0.0.1", port))
                time.sleep(0.1)


def _interfaces(_place: int) -> None:
    """500 pairs of interfaces that have nothing to do."""
    made = "".join(f"link add l{n} up type veth peer name r{n}\n" for n in range(500))
    subprocess.run(["ip", "-batch", "-"], input=made.encode(), check=True)
    _rest()


def _programs(_place: int) -> None:
    """1,000 programs that never run."""
    insns = struct.pack("=BBhi", 0xB7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    for n in range(1000):
        bpf.prog_load(ProgType.SOCKET_FILTER, insns, name=f"idle{n}")
    _rest()


def _processes(_place: int) -> None:
    """10,000 processes that sleep."""
    for _ in range(10_000):
        if os.fork() == 0:
            signal.pause()
    _rest()


def _containers(_place: int) -> None:
    """Like 200 containers: in each a process in a cgroup and a network namespace of its own, at the
    end of a pair of interfaces."""
    libc = ctypes.CDLL(None, use_errno=True)
    lines = []
    for n in range(CONTAINERS):
        group = _groups() / f"docker-{n:064x}.scope"
        group.mkdir(parents=True, exist_ok=True)
        heard, said = os.pipe()
        if (pid := os.fork()) == 0:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            if libc.unshare(_CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            os.write(said, READY)
            signal.pause()
        os.read(heard, 1)
        os.close(heard)  # the next ones would have them all
        os.close(said)
        lines.append(f"link add c{n} up type veth peer name eth0 netns {pid}\n")
    subprocess.run(["ip", "-batch", "-"], input="".join(lines).encode(), check=True)
    _rest()


def _groups() -> Path:
    """Return where the cgroups are: nothing removes them but `_tidy`."""
    root = cgroups.root()
    if root is None:
        raise SystemExit(f"cgroup v2 is not mounted. {cgroups.MOUNT}")
    return root / "ebpftop-bench"


def _tidy() -> None:
    for group in (*_groups().glob("*.scope"), _groups()):
        with suppress(OSError):
            group.rmdir()


def _rest() -> None:
    _ready()
    signal.pause()


def _ready() -> None:
    os.write(int(os.environ["READY"]), READY)


CONTAINERS = 200
_CLONE_NEWNET = 0x40000000
CASES: dict[str, tuple[int, Callable[[], list[Load]], bytes]] = {
    "connections-1000": (1000, lambda: _connections(500), b"5"),
    "connections-10000": (10_000, lambda: _connections(5000), b"5"),
    "connections-100000": (100_000, lambda: _connections(50_000), b"5"),
    "drops": (PORTS, lambda: [_drop], b"2"),
    "interfaces": (1000, lambda: [_interfaces], b"2"),
    "programs": (1000, lambda: [_programs], b"7"),
    "processes": (20_000, lambda: [_processes, _processes], b"1"),
    "nothing": (1, list, b"1"),
    "containers": (CONTAINERS, lambda: [_containers], b"1"),
    "containers-shown": (CONTAINERS, lambda: [_containers], b"2"),
}
"""How many things, what makes them, and the key of the pane that is looked at."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--seconds", type=int, default=20, help="measured (default 20)")
    parser.add_argument("--memory", type=int, help="the program's --memory")
    parser.add_argument("--key", help="of the pane to look at, instead of the case's own")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - CASES.keys():
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if arguments.inside:
        _measure(arguments.cases[0], arguments)
        return
    titles = ("CPU", 8), ("us/tick", 10), ("RSS", 9), ("highest", 10), ("a key", 9), ("worst", 8)
    titles += ("a pane", 9), ("worst", 8), ("paint", 9)
    print(" " * 19 + "".join(f"{title:>{width}}" for title, width in titles), flush=True)
    for case in arguments.cases or CASES:
        _apart(case, arguments)


def _apart(case: str, arguments: argparse.Namespace) -> None:
    """Measure a case in namespaces of its own, which end with it."""
    again = [sys.executable, "-m", "bench.scale", "--inside", case]
    again += ["--seconds", str(arguments.seconds)]
    again += ["--memory", str(arguments.memory)] if arguments.memory else []
    again += ["--key", arguments.key] if arguments.key else []
    up = 'ip link set lo up && exec "$@"'
    apart = ["unshare", "-nmpf", "--mount-proc", "--kill-child", "sh", "-c", up, "-"]
    subprocess.call([*apart, *again])
    _tidy()


def _measure(case: str, arguments: argparse.Namespace) -> None:
    many, made, key = CASES[case]
    key, seconds = (arguments.key or key.decode()).encode(), arguments.seconds
    limit = ["--memory", str(arguments.memory)] if arguments.memory else []
    command = [EBPFTOP, *limit, "--budget", "off"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    with _loads(made()):
        began = time.monotonic()
        terminal = Terminal(command, environment, 50, 160)
        while not terminal.bytes and terminal.read(PATIENCE, draw=False):
            pass
        painted = time.monotonic() - began
        tree = Tree(terminal.pid)
        _watch(terminal, WARM_UP)
        terminal.type(key)
        _watch(terminal, 2)
        before, began = tree.look(), time.monotonic()
        _watch(terminal, seconds)
        spent, passed = tree.look() - before, time.monotonic() - began
        resident = _resident(terminal.pid)
        answers = sorted(_answers(terminal, (b"\x1b[B", b"\x1b[A")))
        panes = sorted(_answers(terminal, (b"6", key)))
        tree.look()
        terminal.close()
    print(
        f"{case:19}{100 * spent / passed:6.1f} %{1e6 * spent / passed / many:10.2f}"
        f"{resident / 1e6:6.0f} MB{tree.peak / 1e6:7.0f} MB"
        f"{1e3 * statistics.median(answers):6.0f} ms{1e3 * answers[-1]:5.0f} ms"
        f"{1e3 * statistics.median(panes):6.0f} ms{1e3 * panes[-1]:5.0f} ms"
        f"{1e3 * painted:6.0f} ms",
        flush=True,
    )


@contextmanager
def _loads(loads: list[Load]) -> Iterator[None]:
    """Start them all, and end them afterwards. They are in a PID namespace that ends with us."""
    started = [_start(load, place) for place, load in enumerate(loads)]
    try:
        for _, heard in started:
            if os.read(heard, 1) != READY:
                raise SystemExit("a load could not be made")
        yield
    finally:
        for pid, _ in started:
            os.kill(pid, signal.SIGKILL)


def _start(load: Load, place: int) -> tuple[int, int]:
    """Return its pid, and the end of a pipe on which it says that it is ready."""
    heard, said = os.pipe()
    os.environ["READY"] = str(said)
    pid = os.fork()
    if pid == 0:
        try:
            load(place)
        finally:
            os._exit(1)
    os.close(said)
    return pid, heard


def _watch(terminal: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not terminal.read(left, draw=False):
            raise SystemExit("the program ended")


def _answers(terminal: Terminal, keys: tuple[bytes, bytes]) -> list[float]:
    """How long it took from keys, in turn, to the bytes that answer them, at moments that have
    nothing to do with the program's ticks."""
    dice, found = random.Random(0), []
    for n in range(KEYS):
        _watch(terminal, 0.4 + dice.random())
        began, bytes = time.monotonic(), terminal.bytes
        terminal.type(keys[n % 2])
        while terminal.bytes == bytes and time.monotonic() < began + PATIENCE:
            terminal.read(0.01, draw=False)
        found.append(time.monotonic() - began)
    return found


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
