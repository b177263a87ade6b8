"""How much memory it takes on a hostile host: 10,000 connections, 1,000 processes a second, a scan.

    python -m bench.memory [--memory MB] [--seconds N] [--connections N] [COMMAND...]

As root, in a network namespace of its own. COMMAND: of ebpftop (`stream`, `record FILE`, `export`);
none: the screen, at 160x50. Prints RSS of it and its children, with the memory of its maps, each
ten seconds, and the highest of all moments. Asserts nothing. --cold: nothing was compiled before.
--quiet: nothing else goes on.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.terminal import EBPFTOP, Terminal

EACH = 2500
"""Connections of one process, which has two files for each."""
LOADS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--cgroup", type=int, metavar="MB", help="run it in one of that size")
    parser.add_argument("--quiet", action="store_true", help="nothing else goes on")
    parser.add_argument("--cold", action="store_true", help="with an empty cache")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    if not arguments.inside:
        again = [sys.executable, "-m", "bench.memory", "--inside", *sys.argv[1:]]
        with tempfile.TemporaryDirectory() as empty:
            up = "ip link set lo up"
            if arguments.cold:
                up += f" && mount --bind {empty} /var/cache"
            inside = ["unshare", "-nm", "sh", "-c", f'{up} && exec "$@"', "-", *again]
            raise SystemExit(subprocess.call(inside))
    _measure(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    loads = [] if arguments.quiet else _loads(arguments.connections)
    memory = ["--memory", str(arguments.memory)] if arguments.memory else []
    command = [EBPFTOP, *arguments.command, *memory, "--budget", "off"]
    if arguments.cgroup:
        command = [*_confined(arguments.cgroup), *command]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    terminal = Terminal(command, environment, 50, 160)
    highest, when = _Used(0, 0, 0), 0.0
    try:
        for second in range(arguments.seconds):
            while time.monotonic() < terminal.started + second + 1:
                terminal.read(0.02, draw=False)
                used = _used(terminal.pid)
                if sum(used) > sum(highest):
                    highest, when = used, time.monotonic() - terminal.started
            if second % 10 == 9:
                print(f"{second + 1:4} s  {used}", flush=True)
    finally:
        for load in loads:
            os.kill(load, signal.SIGKILL)
            os.waitpid(load, 0)
    alive = Path(f"/proc/{terminal.pid}/exe").exists()
    print(f"highest {highest}, after {when:.0f} s; {'it lives' if alive else 'it was killed'}")
    terminal.close()


def _confined(megabytes: int) -> list[str]:
    """What puts a command into a memory cgroup (version 1 or 2) of that size, and becomes it."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        place = root / "ebpftop-bench"
        try:
            place.mkdir(exist_ok=True)
            (place / limit).write_text(str(megabytes * 1_000_000))
        except OSError:
            continue
        return ["sh", "-c", f'echo $$ >{place}/cgroup.procs && exec "$@"', "sh"]
    raise SystemExit("there is no memory controller here")


class _Used(NamedTuple):
    """Bytes: of the process, of those that it started, and of the maps that it holds."""

    own: int
    children: int
    maps: int

    def __str__(self) -> str:
        own, children, maps = (part / 1e6 for part in self)
        return f"{sum(self) / 1e6:6.1f} MB: {own:.1f}, its children {children:.1f}, maps {maps:.1f}"


def _used(pid: int) -> _Used:
    return _Used(_resident(pid), sum(map(_resident, _children(pid))), _maps(pid))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _children(pid: int) -> list[int]:
    """All below it: the compiler forks."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        found += [*direct, *(one for child in direct for one in _children(child))]
    return found


def _maps(pid: int) -> int:
    maps: dict[str, int] = {}
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            said = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        except (OSError, ValueError):
            continue
        if "map_id" in said:
            maps[said["map_id"]] = int(said.get("memlock", "0"))
    return sum(maps.values())


def _loads(connections: int) -> list[int]:
    held = [_load(_hold, n) for n in range(-(-connections // EACH))]
    return held + [_load(_churn, n) for n in range(LOADS)] + [_load(_scan, 0)]


def _load(work, number: int) -> int:  # type: ignore[no-untyped-def]
    pid = os.fork()
    if pid == 0:
        try:
            work(number)
        finally:
            os._exit(0)
    return pid


def _hold(number: int) -> None:
    """EACH connections, on which a third says something each second."""
    listener = socket.create_server((f"127.0.1.{number + 1}", 7000), backlog=4096)
    pairs = []
    for _ in range(EACH):
        ours = socket.create_connection(listener.getsockname())
        pairs.append((ours, listener.accept()[0]))
    while True:
        for ours, theirs in pairs[::3]:
            ours.send(b"x")
            theirs.recv(16)
        time.sleep(1)


def _churn(number: int) -> None:
    """250 processes a second, each under a name of its own, with a call and a connect."""
    n = 0
    while True:
        began = time.monotonic()
        for _ in range(25):
            n += 1
            if (pid := os.fork()) == 0:
                Path("/proc/self/comm").write_text(f"p{number}-{n}")
                with socket.socket() as s:
                    s.connect_ex(("127.0.0.1", 9))
                os._exit(0)
            os.waitpid(pid, 0)
        time.sleep(max(0.1 - (time.monotonic() - began), 0))


def _scan(_number: int) -> None:
    """UDP and TCP to every port in turn, from many addresses."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        n = 0
        while True:
            for _ in range(20):
                n += 1
                udp.sendto(b"x", ("127.0.0.1", 1 + n % 65535))
            with socket.socket() as tcp:
                tcp.bind((f"127.1.{n // 250 % 250 + 1}.{n % 250 + 1}", 0))
                tcp.setblocking(False)
                tcp.connect_ex(("127.0.0.1", 1 + n % 65535))
            time.sleep(0.01)


if __name__ == "__main__":
    main()
