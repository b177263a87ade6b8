"""Somebody else's programs, made without ebpftop's code, and what the system's tools show."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from probes.kernel import cgroups
from tests.support.commands import cgroup_programs
from tests.support.foreign_process import LONGEST
from tests.support.namespaces import FRAME, as_json, bpftool, run, send

SHORT, LONG = FRAME, FRAME + b"\0" * LONGEST
"""A frame that foreign programs let go on, and one that they drop."""
ETHERTYPE = int.from_bytes(FRAME[12:14], "big")
OURS = "ebpftop"
_MODES = {"native": 4, "generic": 2}  # XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
_XDP, _SOCK_OPS, _TCX = 37, 3, {"ingress": 46, "egress": 47}
_CHANGING = {"run_time_ns", "run_cnt", "pids", "recursion_misses"}


class Somebody:
    """The other process (foreign_process.py) and what it has put where."""

    def __init__(self, process: subprocess.Popen[str], pins: Path) -> None:
        self._process = process
        self._pins = pins
        self._asked = 0
        self._lasting: list[tuple[Path, int]] = []

    def ask(self, name: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([name, *arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, f"{name} {arguments}: {self._process.communicate()[1]}"
        return json.loads(answer)

    def close(self) -> None:
        """Ends it, and with it its links and what only it held."""
        self._process.kill()
        self._process.wait()

    def detach(self) -> None:
        """What does not go with the process: attached to a cgroup without a link."""
        for cgroup, program in self._lasting:
            if cgroup.exists():
                run("bpftool", "cgroup", "detach", str(cgroup), "sock_ops", "id", str(program))

    def load(self, kind: str, name: str, *, btf: bool = False) -> int:
        return int(self.ask("load", kind, name, btf))

    def put(self, program: int, index: int, at: str, *, flags: int = 0, beside: int = 0) -> int:
        """A loaded program's link at "native", "generic", "ingress" or "egress"; the link's id.

        flags, beside: where in a TCX chain; a program's id.
        """
        where = (_XDP, _MODES[at]) if at in _MODES else (_TCX[at], flags)
        return int(self.ask("link", program, index, *where, beside))

    def seen(self, program: int) -> int:
        return int(self.ask("seen", program))

    def xdp_by_netlink(self, device: str, mode: str) -> int:
        program = self.load("xdp", "acme_xdp")
        option = {"native": "xdpdrv", "generic": "xdpgeneric"}[mode]
        run("bpftool", "net", "attach", option, "id", str(program), "dev", device)
        return program

    def xdp_by_link(self, index: int, mode: str) -> int:
        program = self.load("xdp", "acme_xdp")
        self.ask("link", program, index, _XDP, _MODES[mode])
        return program

    def tcx(self, index: int, direction: str, name: str) -> int:
        """Behind those that are there already. Raises AssertionError before Linux 6.6."""
        program = self.load("tc", name)
        self.ask("link", program, index, _TCX[direction], 0)
        return program

    def filter(self, device: str, direction: str, priority: int) -> int:
        """By tc(8), direct-action, from a pinned program, under a handle of its own."""
        program = self.load("tc", "acme_filter")
        self.filter_of(program, device, direction, priority)
        return program

    def filter_of(self, program: int, device: str, direction: str, priority: int) -> None:
        self._asked += 1
        pinned = self._pins / f"acme{self._asked}"
        self.ask("pin", program, str(pinned))
        run("tc", "filter", "add", "dev", device, direction, "prio", str(priority),
            "handle", "7", "bpf", "direct-action", "object-pinned", str(pinned))  # fmt: skip
        pinned.unlink()

    def sock_ops(self, cgroup: Path, how: str) -> int:
        program = self.load("sock_ops", "acme_ops")
        if how == "link":
            self.ask("link", program, str(cgroup), _SOCK_OPS, 0)
        else:
            self.ask("attach", program, str(cgroup), {"multi": 2, "exclusive": 0}[how])
            self._lasting.append((cgroup, program))
        return program


@contextmanager
def somebody(pins: Path) -> Iterator[Somebody]:
    """Starts the other process in this thread's network namespace. pins: a directory to mount."""
    run("mount", "-t", "bpf", "none", str(pins))
    script = str(Path(__file__).with_name("foreign_process.py"))
    command = [sys.executable, "-I", "-S", script]
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            other = Somebody(process, pins)
            try:
                yield other
            finally:
                process.kill()
                other.detach()
    finally:
        run("umount", str(pins))


def plain_filter(device: str, direction: str, priority: int) -> None:
    """A u32 filter that matches everything: no program in it."""
    run("tc", "filter", "add", "dev", device, direction, "prio", str(priority),
        "u32", "match", "u32", "0", "0", "flowid", "1:1")  # fmt: skip


def send_both(device: str, short: int, long: int) -> None:
    send(device, short, SHORT)
    send(device, long, LONG)


@contextmanager
def tap(device: str) -> Iterator[Callable[[int], int]]:
    """Counts the frames that reach the stack, behind XDP and TC.

    Told how many are expected, it waits for them.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as s:
        s.bind((device, ETHERTYPE))
        s.settimeout(0)

        def count(expected: int) -> int:
            came, deadline = 0, time.monotonic() + 5
            while came <= expected and time.monotonic() < deadline:
                try:
                    came += bool(s.recv(2048))
                except BlockingIOError:
                    if came == expected:
                        break
                    time.sleep(0.01)
            return came

        yield count


@contextmanager
def own_cgroup() -> Iterator[Path]:
    """A cgroup below the root one; gone at the end, when those in it have gone."""
    root = cgroups.root()
    if root is None:
        pytest.skip("cgroup v2 is not mounted here")
    group = root / f"ebpftop-test-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        deadline = time.monotonic() + 5
        while True:  # the last process is on its way out; a program goes with the cgroup
            try:
                group.rmdir()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def confined(group: Path) -> tuple[str, ...]:
    """What runs a command in a cgroup that is the root to it."""
    enter = f"echo $$ > {group}/cgroup.procs"
    mount = f"umount -l -a -t cgroup2 && mount -t cgroup2 none {group.parent}"
    script = f"""{enter} && exec unshare --cgroup --mount sh -c '{mount} && exec "$@"' - "$@" """
    return ("sh", "-c", script, "-")


# -- what the tools show ---------------------------------------------------------------------


def listing(devices: list[str], programs: list[int], cgroup: Path | None = None) -> dict[str, Any]:
    """What bpftool, tc and ip say of these devices, and of these programs wherever they are."""
    shown: dict[str, Any] = {"net": bpftool("net")}
    shown["programs"] = [_program(id) for id in programs]
    links = bpftool("link")
    shown["links"] = [_without(link, "pids") for link in links if link["prog_id"] in programs]
    for device in devices:
        shown[f"ip {device}"] = as_json("ip", "-j", "-d", "link", "show", "dev", device)
        shown[f"qdisc {device}"] = as_json("tc", "-j", "qdisc", "show", "dev", device)
        for direction in ("ingress", "egress"):
            filters = as_json("tc", "-j", "filter", "show", "dev", device, direction)
            shown[f"{direction} {device}"] = filters
    if cgroup is not None:
        shown["cgroup"] = [p for p in cgroup_programs(cgroup) if p["id"] in programs]
    return shown


def _program(id: int) -> dict[str, Any]:
    shown = bpftool("prog", "show", "id", str(id))
    return _without(shown, *_CHANGING)


def _without(shown: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in names}
