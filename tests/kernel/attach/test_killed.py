"""kill -9 at random moments: the kernel, or the next start, removes all that was ours."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from probes.attach.journal import RUN
from probes.hooks import catalogue
from probes.kernel import cgroups
from probes.ladder.features import AnswerWord, answer
from probes.model import Hook, TargetKind
from tests.support.commands import COMMAND, GUEST, ROOT, cgroup_programs, ebpftop, running
from tests.support.namespaces import as_json, bpftool, namespace, run, veth

pytestmark = pytest.mark.kernel

SEED = int(os.environ.get("EBPFTOP_TEST_SEED") or random.SystemRandom().getrandbits(32))
"""Another one each time; what a failure names can be given back in this variable."""
LINKS, LASTING = 14, 6
SIDE_BY_SIDE = 2
GRACE = 20
"""Seconds that RCU, and a compiler that is still importing, may take; a busy guest is slow."""
LIVING = "alive"
ON_THEIR_OWN_FEET = ("xdp=netlink-generic", "tc-ingress=clsact", "tc-egress=clsact")


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@dataclass(frozen=True, slots=True)
class Victim:
    """One run and its end. at: where in its phase it is killed, 0 to 1."""

    phase: str
    at: float
    pins: tuple[str, ...]
    hooks: tuple[Hook, ...]

    def command(self, device: str) -> list[str]:
        # A slow machine is above any budget.
        asked = [*COMMAND, "stream", "--interval", "0.1", "--budget", "off"]
        for hook in self.hooks:
            target = {
                TargetKind.NONE: "",
                TargetKind.INTERFACE: f"@{device}",
                TargetKind.SYSCALL: "@getpgid",
            }[hook.target]
            asked += ["--hook", hook.name + target]
        return [*asked, *(word for pin in self.pins for word in ("--rung", pin))]


def _victims(
    dice: random.Random, count: int, pins: Callable[[random.Random], tuple[str, ...]]
) -> list[Victim]:
    """Most are killed on their way up. The first one stands: it tells how long that takes.

    In a guest, which takes a minute for all hooks, it alone has all of them.
    """
    phases = ["running", "leaving"] * (count // 5)
    phases += ["starting"] * (count - len(phases))
    made = []
    for place, phase in enumerate(phases):
        pinned = pins(dice)
        hooks = tuple(catalogue().values())
        if place and GUEST:
            needed = {_hook(pin) for pin in pinned}
            hooks = tuple(h for h in hooks if h.name in needed or dice.random() < 0.15)
        made.append(Victim(phase, dice.random(), pinned, hooks))
    return made


def _kill(victim: Victim, device: str, start: float) -> float:
    """Runs it and kills it. start: how long one takes until it stands. Returns that time."""
    began = time.monotonic()
    with subprocess.Popen(
        victim.command(device),
        cwd=ROOT,
        env=os.environ | {"EBPFTOP_TEST_VICTIM": str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            if victim.phase == "starting":
                time.sleep(victim.at * start * len(victim.hooks) / len(catalogue()))
            else:
                assert child.stdout is not None
                line = child.stdout.readline()
                assert line, (victim, child.communicate())
                told = json.loads(line)
                standing = {h["hook"]: h["state"] for h in told["hooks"]}
                assert set(standing.values()) <= {"attached", "passive"}, (victim, told)
                start = time.monotonic() - began
                if victim.phase == "leaving":
                    child.send_signal(signal.SIGTERM)
                time.sleep(victim.at * start / 10)
        finally:
            child.kill()
    return start


# -- what there is ---------------------------------------------------------------------------

Objects = set[tuple[str, int]]


def _objects() -> dict[tuple[str, int], str]:
    """Every program, map and link of the kernel, as bpftool lists them, with what they are."""
    kinds = ("prog", "map", "link")
    return {
        (kind, o["id"]): f"{o.get('type')} {o.get('name') or o.get('prog_id')}"
        for kind in kinds
        for o in bpftool(kind)
    }


def _held() -> Objects:
    """What living processes hold, and the maps of the programs among it."""
    found: Objects = set()
    for info in Path("/proc").glob("[0-9]*/fdinfo/*"):
        try:
            lines = info.read_text().splitlines()
        except OSError:
            continue  # it went meanwhile
        for line in lines:
            name, _, value = line.partition(":")
            if name in ("prog_id", "map_id", "link_id"):
                found.add((name.removesuffix("_id"), int(value)))
    for program in bpftool("prog"):
        if ("prog", program["id"]) in found:
            found |= {("map", id) for id in program.get("map_ids", ())}
    return found


def _orphans(before: Collection[tuple[str, int]]) -> list[str]:
    """What stays in nobody's hands although it was not there before; [] unless it lasts GRACE.

    Between two looks at the kernel others come and go, so only what every look found is one.
    """
    objects = _objects()
    left = objects.keys() - before

    def look_again() -> Objects:
        left.intersection_update(_objects().keys() - _held())
        return left

    _after_a_while(look_again)
    return sorted(f"{kind} {id}: {objects[kind, id]}" for kind, id in left)


def _after_a_while(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + GRACE
    while (left := ask()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _listing(devices: list[str]) -> Mapping[str, Any]:
    """What is attached in this namespace and to the root cgroup."""
    shown: dict[str, Any] = {"net": bpftool("net")}
    shown["link"] = as_json("ip", "-j", "-d", "link")
    shown["qdisc"] = as_json("tc", "-j", "qdisc")
    for device in devices:
        for direction in ("ingress", "egress"):
            shown[f"{device} {direction}"] = run("tc", "filter", "show", "dev", device, direction)
    root = cgroups.root()
    if root is not None:
        held = _held()
        attached = cgroup_programs(root)
        shown["cgroup"] = [p for p in attached if ("prog", p["id"]) not in held]
    return shown


def _records() -> set[Path]:
    """Records of dead processes. Others may run ebpftop at the same time."""
    files = set(RUN.iterdir()) if RUN.is_dir() else set()
    return {f for f in files if not Path("/proc", f.name.split(".")[0]).exists()}


def _still_running() -> list[str]:
    """Processes that a victim started: its compiler, and what that forked."""
    mark = f"EBPFTOP_TEST_VICTIM={os.getpid()}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (place / "environ").read_bytes().split(b"\0"):
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it went meanwhile
    return found


def _places() -> set[Path]:
    """Where a process of ours could leave files."""
    temporary = {p for p in Path("/tmp").iterdir() if p.name.startswith("ebpftop-")}
    pinned = Path("/sys/fs/bpf")
    return temporary | (set(pinned.rglob("*")) if pinned.is_dir() else set())


# -- the kills -------------------------------------------------------------------------------


def _has_tcx() -> bool:
    rung = catalogue()["tc-ingress"].rung("tcx")
    assert rung is not None
    return answer(rung).word is AnswerWord.YES


@pytest.mark.usefixtures("ready")
def test_after_twenty_kills_nothing_of_ours_is_left(
    record_property: Callable[[str, object], None],
) -> None:
    """Runs that hold links only leave nothing at all; what others leave, the next start removes.

    One that lives all the while keeps what it has.
    """
    links_only = () if _has_tcx() else ("tc-ingress=netlink", "tc-egress=netlink")
    dice = random.Random(SEED)
    light = _victims(dice, LINKS, lambda _: links_only)
    heavy = _victims(dice, LASTING, _some_that_last)
    devices = [*(f"k{place}" for place in range(LASTING)), LIVING]
    for device in devices:
        veth(device, f"q{device}")
    before, objects, places = _listing(devices), _objects(), _places()
    said = f"EBPFTOP_TEST_SEED={SEED}"

    start = _kill(light[0], devices[0], 0)
    assert _orphans(objects) == [], (said, light[0])
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        free: SimpleQueue[str] = SimpleQueue()  # no two on one interface at a time
        for device in devices[:SIDE_BY_SIDE]:
            free.put(device)

        def kill_and_look(victim: Victim) -> None:
            device = free.get()
            _kill(victim, device, start)
            assert _orphans(objects) == [], (said, victim)
            free.put(device)

        list(pool.map(kill_and_look, light[1:]))
        assert _listing(devices) == before, said
        with _living() as left_alone:
            list(pool.map(lambda v, device: _kill(v, device, start), heavy, devices))
            done = ebpftop("once", "--for", "0", "--hook", "interfaces")
            assert done.returncode == 0, (said, done.stderr)
            left_alone()
    assert _after_a_while(_still_running) == [], said
    assert _orphans(objects) == [], (said, done.stderr)
    assert _listing(devices) == before, (said, done.stderr)
    assert _after_a_while(_records) == set(), (said, done.stderr)
    assert _places() <= places, said
    record_property("count", f"{LINKS + LASTING} kills")


@contextmanager
def _living() -> Iterator[Callable[[], None]]:
    """One that nobody kills, with lasting rungs; what asserts that all of it is still there."""
    pins = [word for pin in ON_THEIR_OWN_FEET for word in ("--rung", pin)]
    hooks = [word for pin in ON_THEIR_OWN_FEET for word in ("--hook", f"{_hook(pin)}@{LIVING}")]
    with running("stream", "--interval", "2", *hooks, *pins) as child:
        assert child.stdout is not None
        states = {h["state"] for h in json.loads(child.stdout.readline())["hooks"]}
        assert states == {"attached"}

        def still_there() -> None:
            assert "xdp" in as_json("ip", "-j", "link", "show", LIVING)[0]
            for direction in ("ingress", "egress"):
                assert f"ebpftop_{direction}" in run(
                    "tc", "filter", "show", "dev", LIVING, direction
                )

        still_there()
        yield still_there
        child.send_signal(signal.SIGTERM)
        child.communicate()
        assert child.returncode == 128 + signal.SIGTERM


def _hook(pin: str) -> str:
    return pin.partition("=")[0]


def _some_that_last(dice: random.Random) -> tuple[str, ...]:
    """Two of three on average; sock_ops without a link in every second run."""
    pins = [pin for pin in ON_THEIR_OWN_FEET if dice.random() < 0.7] or [ON_THEIR_OWN_FEET[0]]
    return (*pins, "tcp-rtt=sock_ops-multi") if dice.random() < 0.5 else tuple(pins)
